//! What stands below the paths now.

use std::collections::{BTreeMap, BTreeSet};

use foldhash::{HashMap, HashMapExt, HashSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use super::still::{Still, moves, still};
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::ports::{Keeper, KeeperError, KeeperNode};
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
    let live: HashSet<&str> = live_tables(context.world).iter().map(|table| table.path).collect();
    let role = arguments.on.as_str();
    if let (Some(target), Some(keeper)) = (context.world.targets.get(role), context.ports.keepers.get(role)) {
        for path in expanded(&arguments, target).into_keys() {
            if path.contains('{') {
                continue;
            }
            let failed = |error| {
                Failure::error(explain_keeper(format!("looking below the Keeper path {path} of `{role}`"), &error))
            };
            let own = own_tables(context, role, &path, &**keeper).await.map_err(failed)?;
            let mut nodes = keeper.subtree_without(&path, &|node| is_written(node, &own)).await.map_err(failed)?;
            if has_stranger(&nodes, &own) {
                // A replica came in between, and whether it is alive stands in what was not read.
                nodes = keeper.subtree(&path).await.map_err(failed)?;
            }
            let summary = summary(&nodes, &live);
            observed.paths.insert(path, summary);
        }
    }
    serde_json::to_value(&observed).map_err(|error| Failure::simple(error.to_string(), "report this as a defect"))
}

/// Names of replicas by the path of their table.
type OwnTables = HashMap<String, HashSet<String>>;

/// Whether a table has a replica that its list did not have.
fn has_stranger(nodes: &[KeeperNode], own: &OwnTables) -> bool {
    nodes.iter().any(|node| {
        let replica =
            node.path.rsplit_once('/').and_then(|(above, name)| Some((above.strip_suffix("/replicas")?, name)));
        replica.is_some_and(|(table, name)| own.get(table).is_some_and(|known| !known.contains(name)))
    })
}

/// Tables at or below a path whose replicas in Keeper are all known: the servers of the environment have them.
async fn own_tables(
    context: &ObserveContext<'_>,
    role: &str,
    path: &str,
    keeper: &dyn Keeper,
) -> Result<OwnTables, KeeperError> {
    let mut replicas: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
    let tables = live_tables(context.world);
    for table in tables.iter().filter(|table| context.environment.may_share_keeper(role, table.target)) {
        if is_at_or_below(table.path, path) {
            replicas.entry(table.path).or_default().insert(table.replica);
        }
    }
    let below: Vec<String> = replicas.keys().map(|path| format!("{path}/replicas")).collect();
    let found = keeper.children_of(&below).await?;
    let are_known = |known: &HashSet<&str>, found: &[String]| {
        !found.is_empty() && found.iter().all(|name| known.contains(name.as_str()))
    };
    let own = replicas.into_iter().zip(found).filter_map(|((path, known), found)| {
        let found = found.filter(|found| are_known(&known, found))?;
        Some((path.to_owned(), found.into_iter().collect()))
    });
    Ok(own.collect())
}

/// Whether a node is one that servers write into a table of theirs: there are a hundred of them for each table, they go with
/// it, and nothing is told of them.
fn is_written(node: &str, own: &OwnTables) -> bool {
    let table = ancestors(node).skip(1).find(|above| own.contains_key(*above));
    table.and_then(|table| node.get(table.len() + 1..)).is_some_and(moves)
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
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
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

/// Tables are nodes with `replicas` and one of the other nodes every table has. Those at the paths of `live` are
/// written to by their servers. Every node is looked at a few times, however many tables there are.
pub fn summary(nodes: &[KeeperNode], live: &HashSet<&str>) -> Subtree {
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
    let mut below: HashMap<&str, u64> = replicas.keys().copied().chain(counted).map(|path| (path, 0)).collect();
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
        let table_seen = KeeperTable { nodes: number(table), replicas: seen.collect(), children };
        subtree.tables.insert((*table).to_owned(), table_seen);
    }
    let tables: HashSet<&str> = replicas.keys().copied().collect();
    let is_live = |path: &str| {
        let is_active = |table: &KeeperTable| table.replicas.values().any(|replica| replica.is_active);
        live.contains(path) || subtree.tables.get(path).is_some_and(is_active)
    };
    subtree.still = still(nodes, &tables, is_live);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::KeeperStat;

    #[test]
    fn what_servers_write_into_their_tables_is_left_out_and_nothing_else() {
        let own = OwnTables::from_iter([("/x/t".to_owned(), HashSet::from_iter(["r1".to_owned()]))]);
        for written in ["/x/t/log", "/x/t/log/log-1", "/x/t/replicas/r1/parts", "/x/t/replicas/r1/queue/q-1"] {
            assert!(is_written(written, &own), "{written}");
        }
        for read in
            ["/x", "/x/log", "/x/t", "/x/t/columns", "/x/t/more", "/x/t/replicas/r1/more", "/x/u/log", "/x/tt/log"]
        {
            assert!(!is_written(read, &own), "{read}");
        }
        let stat = KeeperStat { version: 0, children: 0, ephemeral: false, created_zxid: 1 };
        let node = |path: &str| KeeperNode { path: path.to_owned(), value: Vec::new(), stat: stat.clone() };
        assert!(!has_stranger(&["/x/t/replicas/r1", "/x/u/replicas/r9", "/x/t/r9"].map(node), &own));
        assert!(has_stranger(&["/x/t/replicas/r1", "/x/t/replicas/r9"].map(node), &own));
    }
}
