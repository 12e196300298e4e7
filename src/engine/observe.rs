//! Looks at every server once for each role it has, with a fixed number of reading statements, however many tables there
//! are. Only tables whose engine does not tell its rows take more: they are counted, a hundred to a statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::clusters::{self, Member};
use super::disks::observe_disks;
use super::errors::explain_look;
use super::observe_tables::{MaskedDefinitions, observe_tables};
use super::ports::{Answer, Call, Ports, Sql, SqlError};
use super::settings::settings;
use super::untold::observe_more;
use crate::diag::{Failure, Refusal};
use crate::model::environment::{Environment, HostBinding, TargetBinding};
use crate::model::ids::HostName;
use crate::model::observed::{Database, HostWorld, Identity, TargetWorld, World};
use crate::model::runbook::Topology;
use crate::model::words::count_of;
use crate::plan::convert::mask;

/// Databases of the server itself.
pub(super) const OWN: &str = "('system', 'information_schema', 'INFORMATION_SCHEMA')";

/// UUID of what has none.
pub(super) const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// The world as far as it could be seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The servers that answered.
    pub world: World,
    /// Servers that did not, and why.
    pub silent: Vec<(HostName, Refusal)>,
    /// Servers that answered and do not fit the environment.
    pub unfit: Vec<Refusal>,
}

impl Seen {
    /// The world, where every server was seen and fits.
    ///
    /// # Errors
    /// Every host that does not answer or does not fit the environment, in one go.
    pub fn whole(self) -> Result<World, Failure> {
        let mut problems: Vec<Refusal> = self.silent.into_iter().map(|(_, refusal)| refusal).collect();
        problems.extend(self.unfit);
        problems.dedup();
        if problems.is_empty() { Ok(self.world) } else { Err(Failure::Error(problems)) }
    }
}

/// Observes the targets that a runbook names, or all targets of the environment.
///
/// # Errors
/// Every host that does not answer or does not fit the environment, in one go.
pub async fn observe(
    environment: &Environment,
    wanted: &BTreeMap<String, Topology>,
    ports: &Ports,
) -> Result<World, Failure> {
    see(environment, wanted, ports).await.whole()
}

/// As [`observe`], and what could not be seen is told beside the rest.
pub async fn see(environment: &Environment, wanted: &BTreeMap<String, Topology>, ports: &Ports) -> Seen {
    let mut seen = Seen::default();
    let mut hosts: BTreeMap<String, Vec<(HostWorld, Vec<Member>)>> = BTreeMap::new();
    for (role, name, result) in observe_hosts(environment, wanted, &ports.sql).await {
        match result {
            Ok((host, members, unfit)) => {
                hosts.entry(role).or_default().push((host, members));
                seen.unfit.extend(unfit);
            }
            Err(refusal) => seen.silent.push((name, refusal)),
        }
    }
    for (role, topology) in wanted {
        let Some(binding) = environment.targets.get(role) else { continue };
        let hosts = hosts.remove(role).unwrap_or_default();
        if let Some(cluster) = &binding.cluster {
            seen.unfit.extend(clusters::contradictions(cluster, &hosts));
        }
        seen.world.targets.insert(
            role.clone(),
            TargetWorld {
                topology: *topology,
                cluster: binding.cluster.clone(),
                keeper: binding.keeper.is_some(),
                hosts: hosts.into_iter().map(|(host, _)| host).collect(),
            },
        );
    }
    seen
}

/// A server, the members of its cluster, and in what it does not fit the environment; or why it was not seen.
type Observed = Result<(HostWorld, Vec<Member>, Vec<Refusal>), Refusal>;

/// Observes every server, each in a task of its own: of thousands of tables there is much to take in.
async fn observe_hosts(
    environment: &Environment,
    wanted: &BTreeMap<String, Topology>,
    sql: &Arc<dyn Sql>,
) -> Vec<(String, HostName, Observed)> {
    let definitions = Arc::new(MaskedDefinitions::default());
    let mut tasks = JoinSet::new();
    for role in wanted.keys() {
        let Some(binding) = environment.targets.get(role) else { continue };
        let target = Arc::new(binding.clone());
        for host in 0..target.hosts.len() {
            let (role, target, number) = (role.clone(), Arc::clone(&target), tasks.len());
            let (sql, definitions) = (Arc::clone(sql), Arc::clone(&definitions));
            tasks.spawn(async move {
                let host = &target.hosts[host];
                (number, (role, host.host_name(), observe_host(host, &target, &*sql, &definitions).await))
            });
        }
    }
    let mut observed = tasks.join_all().await;
    observed.sort_unstable_by_key(|(number, _)| *number);
    observed.into_iter().map(|(_, observed)| observed).collect()
}

/// Observes one server.
async fn observe_host(
    binding: &HostBinding,
    target: &TargetBinding,
    sql: &dyn Sql,
    definitions: &MaskedDefinitions,
) -> Observed {
    let host = binding.host_name();
    let asker = Asker { host: &host, sql, definitions };
    let what = || format!("looking at {host}");
    let explain = |error: SqlError| explain_look(what(), &error);
    let identity = asker
        .newer(
            "SELECT version() AS version, hostName() AS host, toString(serverUUID()) AS uuid",
            "SELECT version() AS version, hostName() AS host",
        )
        .await
        .map_err(explain)?;
    let mut world = HostWorld {
        name: host.clone(),
        url: binding.url.clone(),
        version: identity.text(0, "version").unwrap_or_default(),
        ..HostWorld::default()
    };
    world.identity = Identity {
        server_uuid: identity.text(0, "uuid").unwrap_or_default(),
        host_name: identity.text(0, "host").unwrap_or_default(),
        ..Identity::default()
    };
    let macros = asker.ask("SELECT macro, substitution FROM system.macros ORDER BY macro").await.map_err(explain)?;
    for row in 0..macros.rows.len() {
        if let (Some(name), Some(value)) = (macros.text(row, "macro"), macros.text(row, "substitution")) {
            world.identity.macros.insert(name, value);
        }
    }
    observe_disks(&asker, &mut world).await.map_err(explain)?;
    world.settings = settings(&asker).await.map_err(explain)?;
    let named = |columns| format!("SELECT {columns} FROM system.databases WHERE name NOT IN {OWN} ORDER BY name");
    let databases = asker.newer(&named("name, engine, uuid"), &named("*")).await.map_err(explain)?;
    for row in 0..databases.rows.len() {
        world.databases.insert(
            databases.text(row, "name").unwrap_or_default(),
            Database {
                engine: databases.text(row, "engine").unwrap_or_default(),
                uuid: databases.text(row, "uuid").unwrap_or_else(|| NO_UUID.to_owned()),
            },
        );
    }
    world.tables = observe_tables(&asker).await.map_err(explain)?;
    observe_more(&asker, &mut world).await.map_err(explain)?;
    world.pending_drops = asker.names(&format!("SELECT concat(database, '.', table) AS name FROM system.dropped_tables WHERE database NOT IN {OWN} ORDER BY name")).await.map_err(explain)?;
    world.running_backups = asker.names("SELECT toString(id) AS name FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') ORDER BY name").await.map_err(explain)?;
    world.mutations = asker.names("SELECT concat(database, '.', table, ': ', command) AS name FROM system.mutations WHERE NOT is_done ORDER BY name").await.map_err(explain)?;
    for mutation in &mut world.mutations {
        *mutation = mask(mutation).into_owned();
    }
    let detached = asker.optional("SELECT concat(database, '.', table) AS name, count() AS parts FROM system.detached_parts GROUP BY database, table ORDER BY name").await.map_err(explain)?;
    for row in 0..detached.rows.len() {
        world
            .detached_parts
            .insert(detached.text(row, "name").unwrap_or_default(), detached.number(row, "parts").unwrap_or(0));
    }
    let mut unfit = Vec::new();
    world.shard = shard_of(binding, &world, &mut unfit);
    let mut members = clusters::members(&asker).await.map_err(explain)?;
    world.clusters = Some(clusters::names(&members));
    members.retain(|member| Some(&member.cluster) == target.cluster.as_ref());
    if let Some(cluster) = &target.cluster {
        world.cluster_members = members.iter().map(|member| member.words.clone()).collect();
        unfit.extend(check_cluster(cluster, target, &world));
    }
    Ok((world, members, unfit))
}

pub(super) struct Asker<'a> {
    host: &'a HostName,
    sql: &'a dyn Sql,
    /// Definitions that any of the servers has told.
    pub definitions: &'a MaskedDefinitions,
}

impl Asker<'_> {
    pub(super) async fn ask(&self, sql: &str) -> Result<Answer, SqlError> {
        self.sql.call(self.host, Call::read(sql)).await
    }

    /// As [`Self::ask`], but a table, column or function that this version does not have gives an empty answer
    /// (46 UNKNOWN_FUNCTION, 47 UNKNOWN_IDENTIFIER, 60 UNKNOWN_TABLE).
    pub(super) async fn optional(&self, sql: &str) -> Result<Answer, SqlError> {
        match self.ask(sql).await {
            Err(error) if matches!(error.code(), Some(46 | 47 | 60)) => Ok(Answer::default()),
            other => other,
        }
    }

    /// Asks for what newer versions have; where this one does not have all of it, for what each version has.
    pub(super) async fn newer(&self, newer: &str, any: &str) -> Result<Answer, SqlError> {
        match self.ask(newer).await {
            Err(error) if matches!(error.code(), Some(46 | 47)) => self.ask(any).await,
            other => other,
        }
    }

    async fn names(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        let answer = self.optional(sql).await?;
        Ok((0..answer.rows.len()).filter_map(|row| answer.text(row, "name")).collect())
    }
}

fn shard_of(binding: &HostBinding, world: &HostWorld, unfit: &mut Vec<Refusal>) -> String {
    let in_macro = world.identity.macros.get("shard");
    if let (Some(said), Some(is)) = (&binding.shard, in_macro)
        && said != is
    {
        unfit.push(Refusal {
            what: format!("{} is not in the shard the environment says", world.name),
            expected: format!("shard {said}"),
            found: format!("its macro {{shard}} is {is}"),
            evidence: format!("on {}: SELECT * FROM system.macros", world.name),
            action: "correct `shard` of this host in the environment, or its address".to_owned(),
        });
    }
    binding.shard.as_ref().or(in_macro).cloned().unwrap_or_else(|| "-".to_owned())
}

/// The statement that shows who belongs to a cluster.
#[must_use]
pub fn cluster_query(cluster: &str) -> String {
    format!(
        "SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = {} ORDER BY shard_num, replica_num",
        crate::plan::sql::literal(cluster)
    )
}

/// Every member of the cluster must be named in the environment, or replicas would be forgotten.
fn check_cluster(cluster: &str, target: &TargetBinding, world: &HostWorld) -> Option<Refusal> {
    let evidence = format!("on {}: {}", world.name, cluster_query(cluster));
    let members = world.cluster_members.len();
    if members == 0 {
        return Some(Refusal {
            what: format!("{} does not know the cluster `{cluster}`", world.name),
            expected: format!("a cluster `{cluster}` in system.clusters"),
            found: "none of that name".to_owned(),
            evidence,
            action: "correct `cluster` in the environment".to_owned(),
        });
    }
    (members != target.hosts.len()).then(|| Refusal {
        what: format!("the environment does not name every server of the cluster `{cluster}`"),
        expected: format!("{}, as {} knows the cluster", count_of(members, "server"), world.name),
        found: format!("{} in the environment", count_of(target.hosts.len(), "host")),
        evidence,
        action: "list every replica of every shard under `hosts:`; a forgotten replica would keep old data".to_owned(),
    })
}
