//! How the servers differ from what a plan leaves: per host and object. Pure.
//!
//! UUIDs, sizes and parts are no difference: a plan does not promise them. Rows count only where they can be told
//! before; see [`Untold`].

mod beyond;
mod definition;
mod tables;
mod untold;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::beyond::lost_with;
pub use self::beyond::{BackupMade, KeeperDiff, KeeperObject, LostWith, backups_made, keeper_diff};
use self::tables::tables;
pub use self::untold::{Untold, untold};
use crate::model::observed::{HostWorld, World};
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
    /// What goes with tables that are dropped, made anew or not, and stands in no count of rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub lost: Vec<LostWith>,
}

impl HostDiff {
    /// Number of differences.
    #[must_use]
    pub fn differences(&self) -> u64 {
        (self.changes.len() + self.lost.len()) as u64
    }
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
            diff.lost = lost_with(host, left);
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

#[cfg(test)]
mod tests;
