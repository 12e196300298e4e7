//! What planning knows of the tables that will be verified. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::arguments::VerifyArguments;
use super::expected::matching_shard;
use super::plan::{Source, VerifyData};
use super::table::{Key, LiveTable, Scope};
use crate::engine::context::PlanContext;
use crate::model::observed::HostWorld;
use crate::model::words::count_of;
use crate::plan::fact::Fact;
use crate::plan::plan_file::sha256;

/// What `observe` found in the backup that is there already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The tables in it; absent where it cannot be read yet.
    #[serde(default)]
    pub backup: Option<Vec<Key>>,
}

/// Tables of a host when the step begins.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Databases that are verified; none where only the backup tells.
    pub databases: Vec<String>,
    /// Tables of the host.
    pub tables: BTreeMap<Key, LiveTable>,
    /// Tables of the live source.
    pub source: BTreeMap<Key, LiveTable>,
    /// What the tables are compared with; absent where only the backup tells.
    expected: Option<BTreeSet<Key>>,
    /// Whether they are compared with each other only.
    all_are_expected: bool,
}

impl Known {
    /// Looks at the world as the steps before leave it.
    #[must_use]
    pub fn of(context: &PlanContext<'_>, arguments: &VerifyArguments, data: &VerifyData, host: &HostWorld) -> Self {
        let expected: Option<BTreeSet<Key>> = match &data.against {
            Some(Source::Step { step }) => promised(context, data, step),
            Some(Source::Backup { .. }) => {
                Observed::deserialize(context.observed).unwrap_or_default().backup.map(BTreeSet::from_iter)
            }
            Some(Source::Live { .. }) | None => None,
        };
        let mut databases: Vec<String> = arguments.databases.iter().map(|name| name.0.clone()).collect();
        if databases.is_empty() {
            databases = expected.iter().flatten().map(|(database, _)| database.clone()).collect();
            databases.sort();
            databases.dedup();
        }
        let scope = Scope { databases: databases.clone(), except: data.except() };
        let source = match &data.against {
            Some(Source::Live { host }) => context
                .world
                .targets
                .values()
                .flat_map(|target| &target.hosts)
                .find(|source| source.name == *host)
                .map(|source| tables(source, &scope))
                .unwrap_or_default(),
            _ => BTreeMap::new(),
        };
        let expected = match &data.against {
            Some(Source::Live { .. }) => Some(source.keys().cloned().collect()),
            _ => expected,
        };
        Self { tables: tables(host, &scope), source, databases, expected, all_are_expected: data.against.is_none() }
    }

    /// Whether a table is compared with something; `None` where only the backup tells.
    #[must_use]
    pub fn is_expected(&self, key: &Key) -> Option<bool> {
        if self.all_are_expected { Some(true) } else { self.expected.as_ref().map(|keys| keys.contains(key)) }
    }

    /// The tables that are there now and are named in the statements: with others the plan would be another one.
    #[must_use]
    pub fn fact(&self, host: &HostWorld) -> Option<Fact> {
        let there: Vec<String> = host
            .tables
            .iter()
            .filter(|table| table.is_seen())
            .filter(|table| self.tables.contains_key(&(table.database.clone(), table.name.clone())))
            .map(|table| format!("{} {}", table.full_name(), table.engine))
            .collect();
        if there.is_empty() {
            return None;
        }
        let digest = sha256(there.join("\n").as_bytes());
        let scope = Scope { databases: self.databases.clone(), ..Scope::default() };
        Some(Fact::new(
            &host.name,
            format!("tables that are verified in {}", self.databases.join(", ")),
            format!("{} ({})", count_of(there.len(), "table"), &digest[..12]),
            format!("SELECT database, name, engine FROM system.tables WHERE {}", scope.condition()),
        ))
    }
}

fn tables(host: &HostWorld, scope: &Scope) -> BTreeMap<Key, LiveTable> {
    host.tables
        .iter()
        .map(|table| {
            let live = LiveTable {
                engine: table.engine.clone(),
                uuid: String::new(),
                create_query: table.create_query.clone(),
            };
            ((table.database.clone(), table.name.clone()), live)
        })
        .filter(|(key, _)| scope.holds(key))
        .collect()
}

/// What a backup step of this plan promised for the host's shard.
fn promised(context: &PlanContext<'_>, data: &VerifyData, step: &str) -> Option<BTreeSet<Key>> {
    let promise = context.promises.iter().find(|(id, _)| id.as_str() == step).map(|(_, promise)| promise)?;
    let shards = promise.get("shards").and_then(Value::as_object)?;
    let names: Vec<String> = shards.keys().cloned().collect();
    let shard = names.get(matching_shard(&names, &data.shards, &data.shard)?)?;
    let text = |table: &Value, name: &str| table.get(name).and_then(Value::as_str).map(str::to_owned);
    let tables = shards.get(shard)?.get("tables").and_then(Value::as_array)?;
    Some(tables.iter().filter_map(|table| Some((text(table, "database")?, text(table, "table")?))).collect())
}
