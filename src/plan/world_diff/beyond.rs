//! What differs beside databases and their objects: nodes in Keeper, and what lies in the folders of tables and stands in
//! no count of rows. Backups that a plan makes are no difference: a run adds one whatever is there.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use foldhash::HashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::definition::place;
use crate::model::environment::Environment;
use crate::model::observed::{HostWorld, Table, World};
use crate::plan::cleared::Cleared;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;

/// Kinds of what stands in Keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeeperObject {
    /// A replicated table that no server has.
    Table,
    /// A replica that no server has, of a table that one has.
    Replica,
    /// Another node, with everything below it.
    Node,
}

/// Something in Keeper that is there and would not be. What replicated tables of the servers have there comes and goes
/// with them, and is told as theirs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct KeeperDiff {
    /// Target role whose Keeper it is.
    pub target: String,
    /// Its kind.
    pub object: KeeperObject,
    /// Its path.
    pub path: String,
}

/// A backup that the plan makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BackupMade {
    /// Storage role.
    pub storage: String,
    /// Path below the prefix of the storage; what is only known at the run stands as `${...}`.
    pub path: String,
    /// What is backed up.
    pub of: String,
    /// Host that makes it.
    pub host: String,
    /// Number of tables in it.
    pub tables: u64,
}

/// What goes with a table and stands in no count of rows. Detached parts are lost; what waits may still arrive where it is
/// sent to, if the server gets it there before the table is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LostWith {
    /// The table, as `database.name`.
    pub table: String,
    /// Its detached parts.
    pub detached_parts: u64,
    /// Files of rows that it has not sent to other servers.
    pub waiting_files: u64,
    /// Rows that it has not written to its table.
    pub waiting_rows: u64,
}

/// What a `clear_keeper` keeps that is told of here.
#[derive(Deserialize)]
struct Clearing {
    #[serde(default)]
    planned: Option<Cleared>,
}

/// Names of replicas by Keeper path.
type Places = BTreeMap<String, BTreeSet<String>>;

/// Nodes in Keeper that a plan removes and that nothing makes again.
#[must_use]
pub fn keeper_diff(plan: &Plan, environment: &Environment, now: &World, after: &World) -> Vec<KeeperDiff> {
    let mut found = BTreeSet::new();
    for operation in changing(plan, "clear_keeper") {
        let Ok(Clearing { planned: Some(known) }) = operation.data.read::<Clearing>() else { continue };
        let role = operation.target.as_deref().unwrap_or_default();
        let (is, will) = (replicas(now, environment, role), replicas(after, environment, role));
        let mut add = |object: KeeperObject, path: String| {
            found.insert(KeeperDiff { target: role.to_owned(), object, path });
        };
        for (path, table) in known.all_tables() {
            let of_servers =
                |name: &String| [&is, &will].iter().any(|all| all.get(path).is_some_and(|names| names.contains(name)));
            let strangers: Vec<&String> = table.replicas.iter().filter(|name| !of_servers(name)).collect();
            if strangers.len() == table.replicas.len() && !is_used(&will, path) {
                add(KeeperObject::Table, path.to_owned());
            } else {
                strangers.iter().for_each(|name| add(KeeperObject::Replica, format!("{path}/replicas/{name}")));
            }
        }
        let tables: BTreeMap<&str, ()> = known.all_tables().map(|(path, _)| (path, ())).collect();
        // What stands above a table goes and comes with it.
        let is_gone = |path: &&str| !is_used(&will, path) && !is_used(&tables, path);
        let gone: BTreeSet<&str> = known.outside.iter().map(String::as_str).filter(is_gone).collect();
        let is_topmost = |path: &&str| !path.rsplit_once('/').is_some_and(|(above, _)| gone.contains(above));
        gone.iter().copied().filter(is_topmost).for_each(|path| add(KeeperObject::Node, path.to_owned()));
    }
    found.into_iter().collect()
}

/// Backups that a plan makes, in its order.
#[must_use]
pub fn backups_made(plan: &Plan) -> Vec<BackupMade> {
    #[derive(Deserialize)]
    struct Data {
        storage: String,
        path: String,
        tables: Vec<serde::de::IgnoredAny>,
    }
    let made = |operation: &Operation| {
        let data: Data = operation.data.read().ok()?;
        Some(BackupMade {
            storage: data.storage,
            path: data.path.replace("${attempt}", ""),
            of: operation.object.clone(),
            host: operation.host.as_ref().map(|host| host.0.clone()).unwrap_or_default(),
            tables: data.tables.len() as u64,
        })
    };
    changing(plan, "backup").filter_map(made).collect()
}

/// What goes with the tables of a host that are dropped, those that are made anew too.
pub(super) fn lost_with(now: &HostWorld, after: &HostWorld) -> Vec<LostWith> {
    let number = |of: &BTreeMap<String, u64>, name: &String| of.get(name).copied().unwrap_or(0);
    let with = |table: &Table| {
        let name = table.full_name();
        let lost = LostWith {
            detached_parts: number(&now.detached_parts, &name),
            waiting_files: number(&now.waiting_files, &name),
            waiting_rows: number(&now.waiting_rows, &name),
            table: name,
        };
        (lost.detached_parts + lost.waiting_files + lost.waiting_rows > 0).then_some(lost)
    };
    let lost: Vec<(&Table, LostWith)> = now.tables.iter().filter_map(|table| Some((&**table, with(table)?))).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let kept = Kept::of(after);
    lost.into_iter().filter(|(table, _)| !kept.holds(table)).map(|(_, lost)| lost).collect()
}

/// The tables that are still there afterwards, under their name or another one.
struct Kept<'w> {
    uuids: HashSet<&'w str>,
    /// Databases and names that they have now.
    names: HashSet<(&'w str, &'w str)>,
}

impl<'w> Kept<'w> {
    fn of(after: &'w HostWorld) -> Self {
        let name = |table: &'w Table| match &table.renamed_from {
            Some((database, name)) => Some((database.as_str(), name.as_str())),
            None => table.is_seen().then_some((table.database.as_str(), table.name.as_str())),
        };
        // Servers and engines without UUIDs tell one of zeros.
        let has_uuid = |uuid: &&str| uuid.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
        Self {
            uuids: after.tables.iter().map(|table| table.uuid.as_str()).filter(has_uuid).collect(),
            names: after.tables.iter().filter_map(|table| name(table)).collect(),
        }
    }

    fn holds(&self, table: &Table) -> bool {
        self.uuids.contains(table.uuid.as_str()) || self.names.contains(&(table.database.as_str(), table.name.as_str()))
    }
}

fn changing<'p>(plan: &'p Plan, action: &'static str) -> impl Iterator<Item = &'p Operation> {
    plan.operations.iter().filter(move |operation| operation.action == action && operation.effect != Effect::Read)
}

/// Names of the replicas of all tables that may have the Keeper of a role, by Keeper path. Where a statement of the
/// runbook's author or a restore makes a table, only its definition tells.
fn replicas(world: &World, environment: &Environment, role: &str) -> Places {
    let mut all = Places::new();
    let targets = world.targets.iter().filter(|(other, _)| environment.may_share_keeper(role, other));
    for host in targets.flat_map(|(_, target)| &target.hosts) {
        for table in &host.tables {
            let found = match &table.zookeeper_path {
                Some(path) => Some((path.clone(), table.replica_name.clone().unwrap_or_default())),
                None if table.engine.starts_with("Replicated") || table.engine == "MaterializedView" => {
                    place(&table.create_query, &host.identity.macros)
                }
                None => None,
            };
            if let Some((path, replica)) = found {
                all.entry(path).or_default().insert(replica);
            }
        }
    }
    all
}

/// Whether there is one of these at or below a path.
fn is_used<K: Borrow<str> + Ord, T>(paths: &BTreeMap<K, T>, path: &str) -> bool {
    let below = format!("{path}/");
    let first = paths.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded)).next();
    paths.contains_key(path) || first.is_some_and(|(found, _)| found.borrow().starts_with(&below))
}
