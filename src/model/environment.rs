//! The environment file: which real endpoints stand behind the roles of a runbook.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::HostName;
use super::secret::SecretRef;

/// `kind: Environment`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Environment {
    /// `clickferry/v1`.
    pub api_version: String,
    /// `Environment`.
    pub kind: String,
    /// Name and labels.
    pub metadata: EnvironmentMetadata,
    /// Target roles and the servers behind them.
    pub targets: IndexMap<String, TargetBinding>,
    /// Storage roles and the buckets behind them.
    #[serde(default)]
    pub storage: IndexMap<String, StorageBinding>,
    /// Where plans, journals and locks are kept.
    #[serde(default)]
    pub state: StateBinding,
}

impl Environment {
    /// Whether two roles may have one Keeper. They have not only where both name theirs and these share no server and root.
    #[must_use]
    pub fn may_share_keeper(&self, one: &str, other: &str) -> bool {
        let keeper = |role: &str| self.targets.get(role).and_then(|binding| binding.keeper.as_ref());
        match (keeper(one), keeper(other)) {
            (Some(first), Some(second)) if one != other => {
                let root = |text: &Option<String>| text.as_deref().unwrap_or("/").trim_matches('/').to_owned();
                root(&first.root) == root(&second.root) && first.hosts.iter().any(|host| second.hosts.contains(host))
            }
            _ => true,
        }
    }

    /// Names of the variables of clickferry's own environment that hold secrets of this one.
    #[must_use]
    pub fn secret_variables(&self) -> Vec<String> {
        let passwords = self.targets.values().filter_map(|target| target.credentials.as_ref()?.password.clone());
        let mut references: Vec<SecretRef> = passwords.collect();
        let buckets = self.storage.values().map(|storage| &storage.s3().credentials);
        let state = match &self.state {
            StateBinding::Directory(_) => None,
            StateBinding::S3(binding) => Some(&binding.credentials),
        };
        for credentials in buckets.chain(state) {
            references.extend(match credentials {
                Some(keys) => [keys.access_key.clone(), keys.secret_key.clone()],
                None => ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].map(|name| SecretRef::Env(name.to_owned())),
            });
        }
        let mut names: Vec<String> = references
            .into_iter()
            .filter_map(|reference| if let SecretRef::Env(name) = reference { Some(name) } else { None })
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Name and labels of an environment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvironmentMetadata {
    /// Name, shown in every plan and asked for at consent.
    pub name: String,
    /// Free labels, for people.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether every change needs the environment's name besides: typed at the terminal, or as
    /// `--consent <name>:<digest>`.
    #[serde(default)]
    pub protected: bool,
}

/// The servers behind one target role.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetBinding {
    /// Name of the cluster in `system.clusters`; the hosts below are cross-checked with it.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Every server, each addressed directly (never through a load balancer).
    pub hosts: Vec<HostBinding>,
    /// The Keeper (or ZooKeeper) of these servers.
    #[serde(default)]
    pub keeper: Option<KeeperBinding>,
    /// Who connects; user `default` without a password when absent.
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

/// One ClickHouse server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostBinding {
    /// Address of the HTTP interface, e.g. `http://ch-0:8123`.
    pub url: String,
    /// Name used in plans and reports; `host:port` of the address when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Name of the shard; must equal the server's `{shard}` macro where it has one.
    #[serde(default)]
    pub shard: Option<String>,
}

impl HostBinding {
    /// The host's name in plans: `name`, else `host:port`.
    #[must_use]
    pub fn host_name(&self) -> HostName {
        if let Some(name) = &self.name {
            return HostName(name.clone());
        }
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        HostName(rest.split('/').next().unwrap_or(rest).to_owned())
    }
}

/// Address of a Keeper ensemble.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeeperBinding {
    /// Servers as `host:port`.
    pub hosts: Vec<String>,
    /// Root (chroot) that the ClickHouse servers use, `/` when absent.
    #[serde(default)]
    pub root: Option<String>,
}

/// User and password of a ClickHouse server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// User name.
    #[serde(default = "default_user")]
    pub user: String,
    /// Where the password comes from.
    #[serde(default)]
    pub password: Option<SecretRef>,
}

fn default_user() -> String {
    "default".to_owned()
}

/// One storage role.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StorageBinding {
    /// An S3 bucket or a store that speaks its protocol.
    S3(S3Binding),
}

impl StorageBinding {
    /// The S3 settings.
    #[must_use]
    pub fn s3(&self) -> &S3Binding {
        let Self::S3(binding) = self;
        binding
    }
}

/// An S3 bucket.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Binding {
    /// Address of the store, e.g. `https://s3.eu-central-1.amazonaws.com`; path-style requests are used.
    pub endpoint: String,
    /// Address under which the ClickHouse servers reach the same store, where it differs.
    #[serde(default)]
    pub endpoint_for_servers: Option<String>,
    /// Bucket.
    pub bucket: String,
    /// Region that requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// Prefix put before every path, without slashes at its ends.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Keys; absent means that the ClickHouse servers use their own configuration and clickferry the
    /// variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    #[serde(default)]
    pub credentials: Option<S3Credentials>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// Keys of an S3 store, by reference.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Credentials {
    /// Access key id.
    pub access_key: SecretRef,
    /// Secret access key.
    pub secret_key: SecretRef,
}

/// Where state is kept: one place for one environment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StateBinding {
    /// A folder, relative to the environment file.
    Directory(String),
    /// A bucket whose store honours conditional writes.
    S3(StateS3Binding),
}

/// A bucket for state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateS3Binding {
    /// Address of the store, e.g. `https://s3.eu-central-1.amazonaws.com`; path-style requests are used.
    pub endpoint: String,
    /// Bucket.
    pub bucket: String,
    /// Prefix of everything, of this environment alone; needed so that two environments never share a state by accident.
    pub prefix: String,
    /// Region that requests are signed for.
    #[serde(default = "default_region")]
    pub region: String,
    /// Keys; the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY when absent.
    #[serde(default)]
    pub credentials: Option<S3Credentials>,
}

impl Default for StateBinding {
    fn default() -> Self {
        Self::Directory(".clickferry".to_owned())
    }
}
