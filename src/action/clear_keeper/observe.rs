//! What stands below the paths now.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt, HashSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use super::own::{Other, OwnTables};
use super::still::{Still, moves, still};
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::ports::{KeeperNode, KeeperStat};
use crate::model::environment::Environment;
use crate::model::observed::{TargetWorld, World};

/// Everything that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By path, macros filled in.
    pub paths: BTreeMap<String, Subtree>,
}

/// What stands at and below a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtree {
    /// Nodes in all; 0 where the path does not exist.
    pub nodes: u64,
    /// Tables by their path.
    pub tables: BTreeMap<String, KeeperTable>,
    /// Tables whose replicas servers of the environment have, and in which nothing else stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
    /// Ephemeral nodes that are not `is_active` of a replica.
    pub sessions: Vec<String>,
    /// What stands still, by the path that it stands below.
    #[serde(default)]
    pub still: BTreeMap<String, Still>,
    /// Nodes outside of tables.
    #[serde(default)]
    pub outside: BTreeSet<String>,
}

/// Tables that differ in nothing but their path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// Their paths, sorted.
    pub paths: Vec<String>,
    /// Nodes at and below each path, without those that its servers make and remove by themselves.
    pub nodes: u64,
    /// Names of the replicas.
    pub replicas: Vec<String>,
    /// Children, but for those that servers make and remove by themselves.
    pub children: BTreeSet<String>,
    /// What stands still in each.
    pub still: Still,
}

/// A replicated table in Keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperTable {
    /// Nodes at and below its path.
    pub nodes: u64,
    /// Replicas by name, but for those of `own`.
    pub replicas: BTreeMap<String, KeeperReplica>,
    /// Names of the replicas where servers of the environment have all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
    /// Its children, but for those that servers make and remove by themselves.
    #[serde(default)]
    pub children: BTreeSet<String>,
}

impl KeeperTable {
    /// Names of all replicas, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.own.iter().chain(self.replicas.keys()).map(String::as_str)
    }
}

/// A replica of a table in Keeper.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperReplica {
    /// Nodes at and below it.
    pub nodes: u64,
    /// Whether its server holds a session.
    pub is_active: bool,
    /// What `host` says, in one line, where it is active.
    pub host: String,
}

/// A replicated table of a server.
#[derive(Clone, Copy, Debug)]
pub struct LiveTable<'w> {
    /// Target role.
    pub target: &'w str,
    /// Keeper path.
    pub path: &'w str,
    /// Replica name.
    pub replica: &'w str,
}

pub async fn observe(context: &ObserveContext<'_>) -> Result<Value, Failure> {
    let arguments: Arguments = context.arguments()?;
    let mut observed = Observed::default();
    let role = arguments.on.as_str();
    let live: HashSet<&str> = sharing(context.world, context.environment, role).map(|table| table.path).collect();
    if let (Some(target), Some(keeper)) = (context.world.targets.get(role), context.ports.keepers.get(role)) {
        for path in expanded(&arguments, target).into_keys() {
            if path.contains('{') {
                continue;
            }
            let failed = |error| {
                Failure::error(explain_keeper(format!("looking below the Keeper path {path} of `{role}`"), &error))
            };
            let own = OwnTables::read(&known_replicas(context, role, &path), &**keeper).await.map_err(failed)?;
            let mut roots = vec![path.clone()];
            roots.extend(own.strange().map(str::to_owned));
            let mut nodes = keeper.subtrees_without(&roots, &|node| own.hold(node)).await.map_err(failed)?;
            nodes.extend(own.paths().filter(|table| *table != path).map(of_table));
            let summary = summary(&nodes, &live, &own);
            observed.paths.insert(path, summary);
        }
    }
    serde_json::to_value(&observed).map_err(|error| Failure::simple(error.to_string(), "report this as a defect"))
}

/// Replicas that servers have of the tables at or below a path, by the path of their table.
fn known_replicas<'w>(context: &ObserveContext<'w>, role: &str, path: &str) -> BTreeMap<&'w str, HashSet<&'w str>> {
    let mut replicas: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
    for table in sharing(context.world, context.environment, role) {
        if is_at_or_below(table.path, path) {
            replicas.entry(table.path).or_default().insert(table.replica);
        }
    }
    replicas
}

/// A table that was listed and not read: nothing is told of its own node but that it is there.
pub fn of_table(path: &str) -> KeeperNode {
    let stat = KeeperStat { version: 0, children: 0, ephemeral: false, created_zxid: 0 };
    KeeperNode { path: path.to_owned(), value: Vec::new(), stat }
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

/// A path, and every one that it stands below.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |at| at.rsplit_once('/').map(|(above, _)| above))
}

/// Every replicated table of a world.
pub fn live_tables(world: &World) -> Vec<LiveTable<'_>> {
    let mut tables = Vec::new();
    for (target, seen) in &world.targets {
        for table in seen.hosts.iter().flat_map(|host| &host.tables) {
            let Some(path) = &table.zookeeper_path else { continue };
            tables.push(LiveTable { target, path, replica: table.replica_name.as_deref().unwrap_or_default() });
        }
    }
    tables
}

/// Those whose servers may have the Keeper of a role: the same path in another Keeper is another table.
pub fn sharing<'w>(world: &'w World, environment: &Environment, role: &str) -> impl Iterator<Item = LiveTable<'w>> {
    live_tables(world).into_iter().filter(move |table| environment.may_share_keeper(role, table.target))
}

/// Tables are nodes with `replicas` and one of the other nodes every table has, and those of `own`. Those at the paths
/// of `live` are written to by their servers. Every node is looked at a few times, however many tables there are.
pub fn summary(nodes: &[KeeperNode], live: &HashSet<&str>, own: &OwnTables) -> Subtree {
    let by_path: HashMap<&str, &KeeperNode> = nodes.iter().map(|node| (node.path.as_str(), node)).collect();
    let mut replicas: BTreeMap<&str, Vec<&KeeperNode>> = BTreeMap::new();
    for node in nodes {
        let Some(table) = node.path.strip_suffix("/replicas") else { continue };
        if ["metadata", "log", "columns"].iter().any(|name| by_path.contains_key(format!("{table}/{name}").as_str())) {
            replicas.insert(table, Vec::new());
        }
    }
    for node in nodes {
        let above = node.path.rsplit_once('/').and_then(|(parent, _)| parent.strip_suffix("/replicas"));
        if let Some(found) = above.and_then(|table| replicas.get_mut(table)) {
            found.push(node);
        }
    }
    let mut children: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for node in nodes {
        if let Some((table, name)) = node.path.rsplit_once('/')
            && replicas.contains_key(table)
            && !moves(name)
        {
            children.entry(table).or_default().insert(name.to_owned());
        }
    }
    let counted = replicas.values().flatten().map(|node| node.path.as_str());
    let mut below: HashMap<&str, u64> =
        replicas.keys().copied().chain(counted).chain(own.paths()).map(|path| (path, 0)).collect();
    for node in nodes {
        for at in ancestors(&node.path) {
            if let Some(number) = below.get_mut(at) {
                *number += 1;
            }
        }
    }
    let number = |path: &str| below.get(path).copied().unwrap_or(0);
    let mut subtree = Subtree { nodes: nodes.len() as u64, ..Subtree::default() };
    for (table, found) in &replicas {
        let seen = found.iter().map(|replica| {
            let beside = |name: &str| by_path.get(format!("{}/{name}", replica.path).as_str());
            let is_active = beside("is_active").is_some();
            // Told of those alone that hold a session.
            let host = beside("host").filter(|_| is_active).map(|node| one_line(&node.value)).unwrap_or_default();
            let state = KeeperReplica { nodes: number(&replica.path), is_active, host };
            (replica.path.rsplit('/').next().unwrap_or_default().to_owned(), state)
        });
        let children = children.remove(table).unwrap_or_default();
        let table_seen = KeeperTable { nodes: number(table), replicas: seen.collect(), own: Vec::new(), children };
        subtree.tables.insert((*table).to_owned(), table_seen);
    }
    let others = own.others();
    for other in &others {
        let mut table = other.seen();
        subtree.nodes += table.nodes;
        table.nodes += number(other.path);
        subtree.tables.insert(other.path.to_owned(), table);
    }
    subtree.alike = own.alike();
    // The nodes of the tables themselves are among those that were read.
    subtree.nodes += subtree.alike.iter().map(|alike| (alike.nodes - 1) * alike.paths.len() as u64).sum::<u64>();
    let tables: HashSet<&str> = replicas.keys().copied().chain(own.paths()).collect();
    let is_live = |path: &str| {
        let is_active = |table: &KeeperTable| table.replicas.values().any(|replica| replica.is_active);
        live.contains(path) || subtree.tables.get(path).is_some_and(is_active)
    };
    subtree.still = still(nodes, &tables, others.iter().map(Other::entries), is_live);
    let is_outside = |path: &&str| !ancestors(path).any(|above| tables.contains(above));
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
