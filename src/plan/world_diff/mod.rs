//! How the servers differ from what a plan leaves: per host and object. Pure.
//!
//! UUIDs, sizes and parts are no difference: a plan does not promise them. Rows count only where they can be told
//! before; see [`Untold`].

mod definition;
mod untold;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use self::definition::definition_change;
pub use self::untold::{Untold, untold};
use crate::model::observed::{HostWorld, Table, World};
use crate::plan::text_diff::TextChange;

/// What differs on one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HostDiff {
    /// Target role.
    pub target: String,
    /// Name of the host.
    pub host: String,
    /// Shard; `-` on a standalone server.
    pub shard: String,
    /// Objects that differ: databases first, then tables, by name.
    pub changes: Vec<ObjectDiff>,
    /// Number of objects that are as the plan leaves them.
    pub same: u64,
    /// Of these, the ones that the plan drops and makes anew, alike.
    pub made_anew: Vec<String>,
    /// Tables whose exact number of rows afterwards cannot be told before.
    pub rows_untold: Vec<String>,
}

/// Kinds of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// A database.
    Database,
    /// A table.
    Table,
    /// A view, materialized ones too.
    View,
    /// A dictionary.
    Dictionary,
}

/// What would happen to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is there and would not be.
    Dropped,
    /// It is not there and would be.
    Created,
    /// It is there and would be another.
    Changed,
}

/// One object that differs. What is the same on both sides is left out of an object that changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct ObjectDiff {
    /// Its kind.
    pub object: ObjectKind,
    /// Database.
    pub database: String,
    /// Name within the database; absent for a database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What would happen to it.
    pub change: Change,
    /// Engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Sides<String>>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<Sides<u64>>,
    /// Keeper path, macros resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeper_path: Option<Sides<String>>,
    /// Clauses of the definition that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub definition: Vec<TextChange>,
}

/// A value now and as the plan leaves it; absent where there is none or it is not known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Sides<T> {
    /// As it is.
    pub now: Option<T>,
    /// As the plan leaves it.
    pub expected: Option<T>,
}

impl<T: PartialEq> Sides<T> {
    fn new(now: Option<T>, expected: Option<T>) -> Option<Self> {
        (now.is_some() || expected.is_some()).then_some(Self { now, expected })
    }

    fn differing(now: Option<T>, expected: Option<T>) -> Option<Self> {
        (now != expected).then_some(Self { now, expected })
    }
}

impl ObjectDiff {
    /// `database` or `database.name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &self.name {
            Some(name) => format!("{}.{name}", self.database),
            None => self.database.clone(),
        }
    }
}

/// Compares the world with the one that a plan leaves, host by host in the order of the environment.
#[must_use]
pub fn world_diff(now: &World, after: &World, untold: &Untold) -> Vec<HostDiff> {
    let mut diffs = Vec::new();
    for (role, target) in &now.targets {
        for host in &target.hosts {
            let Some(left) = after.targets.get(role).and_then(|target| target.host(&host.name)) else { continue };
            let mut diff = HostDiff {
                target: role.clone(),
                host: host.name.0.clone(),
                shard: host.shard.clone(),
                ..HostDiff::default()
            };
            databases(host, left, &mut diff);
            tables(host, left, untold, &mut diff);
            diffs.push(diff);
        }
    }
    diffs
}

fn databases(now: &HostWorld, after: &HostWorld, diff: &mut HostDiff) {
    let names: BTreeSet<&String> = now.databases.keys().chain(after.databases.keys()).collect();
    for name in names {
        let (is, will) = (now.databases.get(name), after.databases.get(name));
        let engine = |database: Option<&crate::model::observed::Database>| database.map(|found| found.engine.clone());
        let change = match (is, will) {
            (Some(is), Some(will)) if is.engine == will.engine => {
                diff.same += 1;
                if will.uuid.is_empty() && !is.uuid.is_empty() {
                    diff.made_anew.push(name.clone());
                }
                continue;
            }
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Dropped,
            (None, _) => Change::Created,
        };
        diff.changes.push(ObjectDiff {
            object: ObjectKind::Database,
            database: name.clone(),
            name: None,
            change,
            engine: Sides::new(engine(is), engine(will)),
            rows: None,
            keeper_path: None,
            definition: Vec::new(),
        });
    }
}

fn tables(now: &HostWorld, after: &HostWorld, untold: &Untold, diff: &mut HostDiff) {
    let (is, will) = (folded(now), folded(after));
    let names: BTreeSet<&(String, String)> = is.keys().chain(will.keys()).collect();
    for key in names {
        let changed = match (is.get(key), will.get(key)) {
            (Some(is), Some(will)) => {
                let is_untold = untold.rows.contains(key);
                match compared(is, will, now, is_untold) {
                    Compared::Same { rows_untold } => {
                        diff.same += 1;
                        if will.uuid.is_empty() && !is.uuid.is_empty() {
                            diff.made_anew.push(is.full_name());
                        }
                        if rows_untold {
                            diff.rows_untold.push(is.full_name());
                        }
                        continue;
                    }
                    Compared::Differs(changed) => *changed,
                }
            }
            (is, will) => {
                let is_unknown = will.is_some_and(|table| holds_rows(table) && rows_of(table).is_none());
                if is_unknown || (will.is_some() && untold.rows.contains(key)) {
                    diff.rows_untold.push(format!("{}.{}", key.0, key.1));
                }
                one_sided(is, will)
            }
        };
        diff.changes.push(changed);
    }
}

/// Tables by database and name. The hidden table of a view is told as the view's own rows and Keeper path, since its
/// name holds a UUID that the plan cannot know.
fn folded(host: &HostWorld) -> BTreeMap<(String, String), Table> {
    let mut all: BTreeMap<(String, String), Table> =
        host.tables.iter().map(|table| ((table.database.clone(), table.name.clone()), table.clone())).collect();
    let views: Vec<&Table> = host.tables.iter().filter(|table| table.engine == "MaterializedView").collect();
    for view in views {
        for hidden in [format!(".inner.{}", view.name), format!(".inner_id.{}", view.uuid)] {
            let Some(hidden) = all.remove(&(view.database.clone(), hidden)) else { continue };
            if let Some(view) = all.get_mut(&(view.database.clone(), view.name.clone())) {
                view.rows = view.rows.max(hidden.rows);
                view.zookeeper_path = hidden.zookeeper_path;
            }
        }
    }
    all
}

enum Compared {
    Same { rows_untold: bool },
    Differs(Box<ObjectDiff>),
}

fn compared(is: &Table, will: &Table, host: &HostWorld, is_untold: bool) -> Compared {
    if is == will {
        return Compared::Same { rows_untold: is_untold && is.rows.is_some() };
    }
    // An engine that a statement leaves to the server is not known before.
    let engine = if will.engine.is_empty() { None } else { Some(will.engine.clone()) };
    let engine = engine.and_then(|engine| Sides::differing(Some(is.engine.clone()), Some(engine)));
    let definition = definition_change(&is.create_query, &will.create_query, &host.identity.macros);
    let keeper_path = match &will.zookeeper_path {
        // The place of a table that a statement of the user creates is not worked out.
        None if will.engine.starts_with("Replicated") => None,
        _ => Sides::differing(is.zookeeper_path.clone(), will.zookeeper_path.clone()),
    };
    let (rows, rows_untold) = rows_change(is, will, is_untold);
    if engine.is_none() && definition.is_empty() && keeper_path.is_none() && rows.is_none() {
        return Compared::Same { rows_untold };
    }
    Compared::Differs(Box::new(ObjectDiff {
        object: kind_of(will),
        database: will.database.clone(),
        name: Some(will.name.clone()),
        change: Change::Changed,
        engine,
        rows,
        keeper_path,
        definition,
    }))
}

/// Rows that differ, and whether equal ones could not be told.
fn rows_change(is: &Table, will: &Table, is_untold: bool) -> (Option<Sides<u64>>, bool) {
    let (Some(now), Some(expected)) = (rows_of(is), rows_of(will)) else {
        return (None, is_untold || (rows_of(is).is_some() && holds_rows(will)));
    };
    let differ = Some(Sides { now: Some(now), expected: Some(expected) });
    if now == expected {
        return (None, is_untold);
    }
    // Merges and TTL change numbers, but neither makes rows out of none.
    if (is_untold || changes_by_itself(will)) && now > 0 && expected > 0 {
        return (None, true);
    }
    (differ, false)
}

fn one_sided(is: Option<&Table>, will: Option<&Table>) -> ObjectDiff {
    let table = will.or(is).cloned().unwrap_or_default();
    let engine = |table: &Table| table.engine.clone();
    ObjectDiff {
        object: kind_of(&table),
        database: table.database.clone(),
        name: Some(table.name.clone()),
        change: if will.is_some() { Change::Created } else { Change::Dropped },
        engine: Sides::new(is.map(engine), will.map(engine)),
        rows: Sides::new(is.and_then(rows_of), will.and_then(rows_of)),
        keeper_path: Sides::new(
            is.and_then(|table| table.zookeeper_path.clone()),
            will.and_then(|table| table.zookeeper_path.clone()),
        ),
        definition: Vec::new(),
    }
}

fn kind_of(table: &Table) -> ObjectKind {
    match table.engine.as_str() {
        "Dictionary" => ObjectKind::Dictionary,
        engine if engine.ends_with("View") => ObjectKind::View,
        _ => ObjectKind::Table,
    }
}

/// Rows of its own; those of a view are its hidden table's.
fn rows_of(table: &Table) -> Option<u64> {
    table.rows.filter(|_| holds_rows(table))
}

fn holds_rows(table: &Table) -> bool {
    table.holds_rows() || (table.engine == "MaterializedView" && !definition::writes_elsewhere(&table.create_query))
}

/// Whether merges or time take rows away.
fn changes_by_itself(table: &Table) -> bool {
    let merging = ["Replacing", "Collapsing", "Summing", "Aggregating", "Graphite"];
    let engine = if table.engine == "MaterializedView" { &table.create_query } else { &table.engine };
    merging.iter().any(|word| engine.contains(word)) || definition::has_ttl(&table.create_query)
}

#[cfg(test)]
mod tests;
