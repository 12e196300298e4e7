//! Builds the ports of an environment. Secrets are read; no server is contacted.

mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;

pub use self::state::connect_state;
use super::clickhouse::{ClickHouse, Host};
use super::clock::SystemClock;
use super::command::LocalCommands;
use super::keeper::ZooKeeper;
use super::redact::Redactor;
use super::s3::{Bucket, BucketConfig};
use super::secrets::LocalSecrets;
use crate::diag::Refusal;
use crate::engine::ports::{Keeper, Objects, Ports, Secrets};
use crate::model::environment::{Credentials, Environment, S3Credentials, TargetBinding};
use crate::model::ids::HostName;
use crate::model::secret::SecretRef;

/// The ports of an environment; relative paths in it start at `base_dir`. Every secret read is told to `redactor`.
///
/// # Errors
/// Every secret that cannot be read and every address that cannot be used, in one go.
pub async fn connect(environment: &Environment, base_dir: &Path, redactor: &Redactor) -> Result<Ports, Vec<Refusal>> {
    let secrets = LocalSecrets::new(base_dir, redactor.clone());
    let mut builder = Builder { secrets, refusals: Vec::new() };

    let hosts = builder.hosts(environment).await;
    let objects = builder.objects(environment).await;
    let keepers = builder.keepers(environment);
    let state = builder.state(&environment.state, base_dir).await;
    let sql = ClickHouse::new(hosts, redactor.clone());

    let Builder { secrets, refusals } = builder;
    let Some(state) = state.filter(|_| refusals.is_empty()) else { return Err(refusals) };
    Ok(Ports {
        sql: Arc::new(sql),
        objects,
        keepers,
        secrets: Arc::new(secrets),
        commands: Arc::new(LocalCommands),
        state,
        clock: Arc::new(SystemClock),
    })
}

struct Builder {
    secrets: LocalSecrets,
    refusals: Vec<Refusal>,
}

impl Builder {
    async fn secret(&mut self, owner: &str, reference: &SecretRef) -> Option<SecretString> {
        match self.secrets.resolve(reference).await {
            Ok(value) => Some(value),
            Err(error) => {
                self.refusals.push(refusal(
                    format!("the {owner} cannot be read"),
                    format!("a value in {}", error.source_name),
                    error.reason,
                    evidence(reference),
                    "provide the secret there, or name another source in the environment file",
                ));
                None
            }
        }
    }

    async fn hosts(&mut self, environment: &Environment) -> Vec<Host> {
        let mut hosts = Vec::new();
        // One server may stand behind several roles; it must be the same server and user then.
        let mut seen: BTreeMap<HostName, (String, String, Option<SecretRef>)> = BTreeMap::new();
        for (role, target) in &environment.targets {
            let (user, reference) = user_of(target);
            let password = match &reference {
                Some(reference) => self.secret(&format!("password of target {role}"), reference).await,
                None => None,
            };
            for binding in &target.hosts {
                let name = binding.host_name();
                if let Some(reason) = unusable(&binding.url) {
                    self.refusals.push(refusal(
                        format!("the address of a host of target {role} cannot be used"),
                        "http://host:port or https://host:port, without user and password",
                        reason,
                        "",
                        "correct `url` in the environment file; credentials have a place of their own there",
                    ));
                    continue;
                }
                let identity = (binding.url.clone(), user.clone(), reference.clone());
                match seen.get(&name) {
                    None => {
                        let url = binding.url.clone();
                        let password = password.clone();
                        hosts.push(Host { name: name.clone(), url, user: user.clone(), password });
                        seen.insert(name, identity);
                    }
                    Some(other) if *other == identity => {}
                    Some(other) => self.refusals.push(refusal(
                        format!("two different hosts are called {name}"),
                        "one address and one user per name",
                        format!("{} as {} and {} as {user}", other.0, other.1, binding.url),
                        "",
                        "give one of them another `name` in the environment file",
                    )),
                }
            }
        }
        hosts
    }

    async fn objects(&mut self, environment: &Environment) -> BTreeMap<String, Arc<dyn Objects>> {
        let mut objects: BTreeMap<String, Arc<dyn Objects>> = BTreeMap::new();
        for (role, binding) in &environment.storage {
            let binding = binding.s3();
            if let Some(reason) = unusable(&binding.endpoint) {
                self.refusals.push(refusal(
                    format!("the endpoint of storage {role} cannot be used"),
                    "http://host:port or https://host, without keys",
                    reason,
                    "",
                    "correct `endpoint` in the environment file",
                ));
            }
            let (access, secret) = keys_of(binding.credentials.as_ref());
            let access_key = self.secret(&format!("access key of storage {role}"), &access).await;
            let secret_key = self.secret(&format!("secret key of storage {role}"), &secret).await;
            if let (Some(access_key), Some(secret_key)) = (access_key, secret_key) {
                let config = BucketConfig {
                    endpoint: binding.endpoint.clone(),
                    bucket: binding.bucket.clone(),
                    region: binding.region.clone(),
                    prefix: binding.prefix.clone().unwrap_or_default(),
                    access_key,
                    secret_key,
                };
                objects.insert(role.clone(), Arc::new(Bucket::new(config)));
            }
        }
        objects
    }

    fn keepers(&mut self, environment: &Environment) -> BTreeMap<String, Arc<dyn Keeper>> {
        let mut keepers: BTreeMap<String, Arc<dyn Keeper>> = BTreeMap::new();
        for (role, target) in &environment.targets {
            let Some(binding) = &target.keeper else {
                continue;
            };
            let root = binding.root.as_deref().unwrap_or("/");
            let named = binding.hosts.iter().all(|host| host.contains(':'));
            if binding.hosts.is_empty() || !named || !root.starts_with('/') {
                self.refusals.push(refusal(
                    format!("the Keeper of target {role} cannot be used"),
                    "one host:port or more, and a root that starts with /",
                    format!("the hosts {:?} and the root {root:?}", binding.hosts),
                    "SELECT * FROM system.zookeeper_connection",
                    "correct `keeper` in the environment file",
                ));
                continue;
            }
            let keeper = ZooKeeper::new(binding.hosts.clone(), Some(root));
            keepers.insert(role.clone(), Arc::new(keeper));
        }
        keepers
    }
}

fn user_of(target: &TargetBinding) -> (String, Option<SecretRef>) {
    match &target.credentials {
        Some(Credentials { user, password }) => (user.clone(), password.clone()),
        None => ("default".to_owned(), None),
    }
}

/// Without keys in the environment file the usual variables are asked.
fn keys_of(credentials: Option<&S3Credentials>) -> (SecretRef, SecretRef) {
    match credentials {
        Some(keys) => (keys.access_key.clone(), keys.secret_key.clone()),
        None => (SecretRef::Env("AWS_ACCESS_KEY_ID".to_owned()), SecretRef::Env("AWS_SECRET_ACCESS_KEY".to_owned())),
    }
}

/// Why an address cannot be used; never quotes it, as it may hold a password.
fn unusable(url: &str) -> Option<String> {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return Some("it is not an address".to_owned());
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Some("it does not start with http:// or https://".to_owned());
    }
    match uri.authority() {
        None => Some("it names no host".to_owned()),
        Some(authority) if authority.as_str().contains('@') => Some("it holds a user or a password".to_owned()),
        Some(_) if uri.query().is_some() => Some("it has parameters".to_owned()),
        Some(_) => None,
    }
}

fn evidence(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("printenv {name} | wc -c"),
        SecretRef::File(path) => format!("ls -l {path}"),
        SecretRef::Command(_) => String::new(),
    }
}

fn refusal(
    what: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
    evidence: impl Into<String>,
    action: impl Into<String>,
) -> Refusal {
    Refusal {
        what: what.into(),
        expected: expected.into(),
        found: found.into(),
        evidence: evidence.into(),
        action: action.into(),
    }
}

#[cfg(test)]
mod tests;
