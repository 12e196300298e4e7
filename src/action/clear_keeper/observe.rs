//! What stands below the paths now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use super::still::{Still, moves, still};
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::ports::KeeperNode;
use crate::model::observed::{TargetWorld, World};

/// Everything that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By path, macros filled in.
    pub paths: BTreeMap<String, Subtree>,
    /// Replicated tables of all observed hosts now.
    pub tables: Vec<LiveTable>,
}

/// What stands at and below a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtree {
    /// Nodes in all; 0 where the path does not exist.
    pub nodes: u64,
    /// Tables by their path.
    pub tables: BTreeMap<String, KeeperTable>,
    /// Ephemeral nodes that are not `is_active` of a replica.
    pub sessions: Vec<String>,
    /// What stands still, by the path that it stands below.
    #[serde(default)]
    pub still: BTreeMap<String, Still>,
    /// Nodes outside of tables.
    #[serde(default)]
    pub outside: BTreeSet<String>,
}

/// A replicated table in Keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperTable {
    /// Nodes at and below its path.
    pub nodes: u64,
    /// Replicas by name.
    pub replicas: BTreeMap<String, KeeperReplica>,
    /// Its children, but for those that servers make and remove by themselves.
    #[serde(default)]
    pub children: BTreeSet<String>,
}

/// A replica of a table in Keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperReplica {
    /// Nodes at and below it.
    pub nodes: u64,
    /// Whether its server holds a session.
    pub is_active: bool,
    /// What `host` says, in one line.
    pub host: String,
}

/// A replicated table of a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTable {
    /// Target role.
    pub target: String,
    /// Host.
    pub host: String,
    /// `database.table`.
    pub table: String,
    /// UUID.
    pub uuid: String,
    /// Keeper path.
    pub path: String,
    /// Replica name.
    pub replica: String,
}

pub async fn observe(context: &ObserveContext<'_>) -> Result<Value, Failure> {
    let arguments: Arguments = context.arguments()?;
    let mut observed = Observed { tables: live_tables(context.world), ..Observed::default() };
    let role = arguments.on.as_str();
    if let (Some(target), Some(keeper)) = (context.world.targets.get(role), context.ports.keepers.get(role)) {
        for path in expanded(&arguments, target).into_keys() {
            if path.contains('{') {
                continue;
            }
            let nodes = keeper.subtree(&path).await.map_err(|error| {
                Failure::error(explain_keeper(format!("looking below the Keeper path {path} of `{role}`"), &error))
            })?;
            let summary = summary(&nodes, &observed.tables);
            observed.paths.insert(path, summary);
        }
    }
    serde_json::to_value(&observed).map_err(|error| Failure::simple(error.to_string(), "report this as a defect"))
}

/// The paths with macros filled in, each once, with the hosts it stands for; a path below another one of them is
/// removed with that one.
pub fn expanded(arguments: &Arguments, target: &TargetWorld) -> BTreeMap<String, Vec<String>> {
    let mut paths: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in &arguments.paths {
        for host in &target.hosts {
            paths.entry(host.expand_macros(path.as_str())).or_default().push(host.name.0.clone());
        }
    }
    let all: Vec<String> = paths.keys().cloned().collect();
    paths.retain(|path, _| !all.iter().any(|other| other != path && is_at_or_below(path, other)));
    paths
}

/// Whether a path is another one or stands below it.
pub fn is_at_or_below(path: &str, above: &str) -> bool {
    path == above || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn live_tables(world: &World) -> Vec<LiveTable> {
    let mut tables = Vec::new();
    for (role, target) in &world.targets {
        for host in &target.hosts {
            for table in &host.tables {
                let Some(path) = &table.zookeeper_path else { continue };
                tables.push(LiveTable {
                    target: role.clone(),
                    host: host.name.0.clone(),
                    table: table.full_name(),
                    uuid: table.uuid.clone(),
                    path: path.clone(),
                    replica: table.replica_name.clone().unwrap_or_default(),
                });
            }
        }
    }
    tables
}

/// Tables are nodes with `replicas` and one of the other nodes every table has. Those of `live` are written to by
/// their servers.
pub fn summary(nodes: &[KeeperNode], live: &[LiveTable]) -> Subtree {
    let by_path: BTreeMap<&str, &KeeperNode> = nodes.iter().map(|node| (node.path.as_str(), node)).collect();
    let below = |path: &str| nodes.iter().filter(|node| is_at_or_below(&node.path, path)).count() as u64;
    let mut subtree = Subtree { nodes: nodes.len() as u64, ..Subtree::default() };
    for node in nodes {
        let Some(table) = node.path.strip_suffix("/replicas") else { continue };
        let is_table =
            ["metadata", "log", "columns"].iter().any(|name| by_path.contains_key(format!("{table}/{name}").as_str()));
        if !is_table {
            continue;
        }
        let prefix = format!("{}/", node.path);
        let replicas = nodes
            .iter()
            .filter_map(|replica| Some((replica.path.strip_prefix(&prefix)?, replica)))
            .filter(|(name, _)| !name.contains('/'))
            .map(|(name, replica)| {
                let host = by_path.get(format!("{}/host", replica.path).as_str());
                let seen = KeeperReplica {
                    nodes: below(&replica.path),
                    is_active: by_path.contains_key(format!("{}/is_active", replica.path).as_str()),
                    host: host.map(|node| one_line(&node.value)).unwrap_or_default(),
                };
                (name.to_owned(), seen)
            })
            .collect();
        let children = nodes
            .iter()
            .filter_map(|node| node.path.strip_prefix(table)?.strip_prefix('/'))
            .filter(|inside| !inside.contains('/') && !moves(inside))
            .map(str::to_owned)
            .collect();
        subtree.tables.insert(table.to_owned(), KeeperTable { nodes: below(table), replicas, children });
    }
    let tables: Vec<&str> = subtree.tables.keys().map(String::as_str).collect();
    let is_live = |path: &str| {
        let is_active = |table: &KeeperTable| table.replicas.values().any(|replica| replica.is_active);
        live.iter().any(|table| table.path == path) || subtree.tables.get(path).is_some_and(is_active)
    };
    subtree.still = still(nodes, &tables, is_live);
    let is_outside = |path: &&str| !tables.iter().any(|table| is_at_or_below(path, table));
    subtree.outside = nodes.iter().map(|node| node.path.as_str()).filter(is_outside).map(str::to_owned).collect();
    subtree.sessions = nodes
        .iter()
        .filter(|node| node.stat.ephemeral && !node.path.ends_with("/is_active"))
        .map(|node| node.path.clone())
        .collect();
    subtree
}

fn one_line(value: &[u8]) -> String {
    String::from_utf8_lossy(value).lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ")
}
