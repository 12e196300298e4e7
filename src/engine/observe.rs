//! Looks at every server once, with a fixed number of reading statements per host, however many tables there are.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::disks::observe_disks;
use super::errors::explain_sql;
use super::ports::{Answer, Call, Ports, SqlError};
use crate::diag::{Failure, Refusal};
use crate::model::environment::{Environment, HostBinding, TargetBinding};
use crate::model::ids::HostName;
use crate::model::observed::{Database, HostWorld, Identity, Table, TargetWorld, World};
use crate::model::runbook::Topology;

/// Databases of the server itself.
const OWN: &str = "('system', 'information_schema', 'INFORMATION_SCHEMA')";

/// Observes the targets that a runbook names, or all targets of the environment.
///
/// # Errors
/// Every host that does not answer or does not fit the environment, in one go.
pub async fn observe(
    environment: &Environment,
    wanted: &BTreeMap<String, Topology>,
    ports: &Ports,
) -> Result<World, Failure> {
    let mut tasks = Vec::new();
    for role in wanted.keys() {
        let Some(binding) = environment.targets.get(role) else { continue };
        for host in &binding.hosts {
            tasks.push(async move { (role.clone(), observe_host(host, binding, ports).await) });
        }
    }
    let mut problems = Vec::new();
    let mut hosts: BTreeMap<String, Vec<HostWorld>> = BTreeMap::new();
    for (role, result) in join_all(tasks).await {
        match result {
            Ok(host) => hosts.entry(role).or_default().push(host),
            Err(refusal) => problems.push(refusal),
        }
    }
    problems.dedup();
    if !problems.is_empty() {
        return Err(Failure::Error(problems));
    }
    let mut world = World::default();
    for (role, topology) in wanted {
        let Some(binding) = environment.targets.get(role) else { continue };
        world.targets.insert(
            role.clone(),
            TargetWorld {
                topology: *topology,
                cluster: binding.cluster.clone(),
                keeper: binding.keeper.is_some(),
                hosts: hosts.remove(role).unwrap_or_default(),
            },
        );
    }
    Ok(world)
}

/// Observes one server.
async fn observe_host(binding: &HostBinding, target: &TargetBinding, ports: &Ports) -> Result<HostWorld, Refusal> {
    let host = binding.host_name();
    let asker = Asker { host: &host, ports };
    let what = || format!("looking at {host}");
    let explain = |error: SqlError| explain_sql(what(), &error);
    let identity = asker.ask("SELECT version() AS version, hostName() AS host").await.map_err(explain)?;
    let mut world = HostWorld {
        name: host.clone(),
        url: binding.url.clone(),
        version: identity.text(0, "version").unwrap_or_default(),
        ..HostWorld::default()
    };
    world.identity = Identity {
        server_uuid: asker
            .optional("SELECT toString(serverUUID()) AS uuid")
            .await
            .map_err(explain)?
            .text(0, "uuid")
            .unwrap_or_default(),
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
    let databases = asker
        .ask(&format!("SELECT * FROM system.databases WHERE name NOT IN {OWN} ORDER BY name"))
        .await
        .map_err(explain)?;
    for row in 0..databases.rows.len() {
        world.databases.insert(
            databases.text(row, "name").unwrap_or_default(),
            Database {
                engine: databases.text(row, "engine").unwrap_or_default(),
                uuid: databases.text(row, "uuid").unwrap_or_default(),
            },
        );
    }
    world.tables = tables(&asker).await.map_err(explain)?;
    world.pending_drops = asker.names(&format!("SELECT concat(database, '.', table) AS name FROM system.dropped_tables WHERE database NOT IN {OWN} ORDER BY name")).await.map_err(explain)?;
    world.running_backups = asker.names("SELECT toString(id) AS name FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') ORDER BY name").await.map_err(explain)?;
    world.mutations = asker.names("SELECT concat(database, '.', table, ': ', command) AS name FROM system.mutations WHERE NOT is_done ORDER BY name").await.map_err(explain)?;
    let detached = asker.optional("SELECT concat(database, '.', table) AS name, count() AS parts FROM system.detached_parts GROUP BY database, table ORDER BY name").await.map_err(explain)?;
    for row in 0..detached.rows.len() {
        world
            .detached_parts
            .insert(detached.text(row, "name").unwrap_or_default(), detached.number(row, "parts").unwrap_or(0));
    }
    world.shard = shard_of(binding, &world)?;
    check_cluster(&asker, target, &world).await?;
    Ok(world)
}

pub(super) struct Asker<'a> {
    host: &'a HostName,
    ports: &'a Ports,
}

impl Asker<'_> {
    async fn ask(&self, sql: &str) -> Result<Answer, SqlError> {
        self.ports.sql.call(self.host, Call::read(sql)).await
    }

    /// As [`Self::ask`], but a table, column or function that this version does not have gives an empty answer
    /// (46 UNKNOWN_FUNCTION, 47 UNKNOWN_IDENTIFIER, 60 UNKNOWN_TABLE).
    pub(super) async fn optional(&self, sql: &str) -> Result<Answer, SqlError> {
        match self.ask(sql).await {
            Err(error) if matches!(error.code(), Some(46 | 47 | 60)) => Ok(Answer::default()),
            other => other,
        }
    }

    async fn names(&self, sql: &str) -> Result<Vec<String>, SqlError> {
        let answer = self.optional(sql).await?;
        Ok((0..answer.rows.len()).filter_map(|row| answer.text(row, "name")).collect())
    }
}

async fn tables(asker: &Asker<'_>) -> Result<Vec<Table>, SqlError> {
    let all = asker
        .ask(&format!(
            "SELECT * FROM system.tables WHERE database NOT IN {OWN} AND NOT is_temporary ORDER BY database, name"
        ))
        .await?;
    let parts = asker.ask(&format!("SELECT database, table, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database NOT IN {OWN} GROUP BY database, table")).await?;
    let replicas = asker
        .optional("SELECT database, table, zookeeper_path, replica_name, is_readonly FROM system.replicas")
        .await?;
    let by_name = |answer: &Answer| -> BTreeMap<(String, String), usize> {
        (0..answer.rows.len())
            .filter_map(|row| Some(((answer.text(row, "database")?, answer.text(row, "table")?), row)))
            .collect()
    };
    let (part_rows, replica_rows) = (by_name(&parts), by_name(&replicas));
    let mut tables = Vec::with_capacity(all.rows.len());
    for row in 0..all.rows.len() {
        let text = |column: &str| all.text(row, column).unwrap_or_default();
        let key = (text("database"), text("name"));
        let mut table = Table {
            engine: text("engine"),
            engine_full: text("engine_full"),
            uuid: text("uuid"),
            create_query: text("create_table_query"),
            rows: all.number(row, "total_rows"),
            bytes: all.number(row, "total_bytes"),
            ..Table::default()
        };
        if table.engine.ends_with("MergeTree") {
            let at = part_rows.get(&key);
            table.rows = Some(at.and_then(|&row| parts.number(row, "rows")).unwrap_or(0));
            table.bytes = Some(at.and_then(|&row| parts.number(row, "bytes")).unwrap_or(0));
            table.parts = at.and_then(|&row| parts.number(row, "parts")).unwrap_or(0);
        }
        if let Some(&row) = replica_rows.get(&key) {
            table.zookeeper_path = replicas.text(row, "zookeeper_path");
            table.replica_name = replicas.text(row, "replica_name");
            table.is_readonly = replicas.number(row, "is_readonly") == Some(1);
        }
        (table.database, table.name) = key;
        tables.push(table);
    }
    Ok(tables)
}

fn shard_of(binding: &HostBinding, world: &HostWorld) -> Result<String, Refusal> {
    let in_macro = world.identity.macros.get("shard");
    match (&binding.shard, in_macro) {
        (Some(said), Some(is)) if said != is => Err(Refusal {
            what: format!("{} is not in the shard the environment says", world.name),
            expected: format!("shard {said}"),
            found: format!("its macro {{shard}} is {is}"),
            evidence: format!("on {}: SELECT * FROM system.macros", world.name),
            action: "correct `shard` of this host in the environment, or its address".to_owned(),
        }),
        (Some(said), _) => Ok(said.clone()),
        (None, Some(is)) => Ok(is.clone()),
        (None, None) => Ok("-".to_owned()),
    }
}

/// Every member of the cluster must be named in the environment, or replicas would be forgotten.
async fn check_cluster(asker: &Asker<'_>, target: &TargetBinding, world: &HostWorld) -> Result<(), Refusal> {
    let Some(cluster) = &target.cluster else { return Ok(()) };
    let query = format!(
        "SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = {}",
        crate::plan::sql::literal(cluster)
    );
    let answer = asker.ask(&query).await.map_err(|error| explain_sql(format!("looking at {}", world.name), &error))?;
    let evidence = format!("on {}: {query}", world.name);
    if answer.rows.is_empty() {
        return Err(Refusal {
            what: format!("{} does not know the cluster `{cluster}`", world.name),
            expected: format!("a cluster `{cluster}` in system.clusters"),
            found: "none of that name".to_owned(),
            evidence,
            action: "correct `cluster` in the environment".to_owned(),
        });
    }
    if answer.rows.len() != target.hosts.len() {
        return Err(Refusal {
            what: format!("the environment does not name every server of the cluster `{cluster}`"),
            expected: format!("{} servers, as {} knows the cluster", answer.rows.len(), world.name),
            found: format!("{} hosts in the environment", target.hosts.len()),
            evidence,
            action: "list every replica of every shard under `hosts:`; a forgotten replica would keep old data"
                .to_owned(),
        });
    }
    Ok(())
}
