//! What the rows are compared with: a backup of this run, a backup in a bucket, a live source.

use std::collections::BTreeMap;

use serde_json::Value;

use super::count::{Counter, failed};
use super::live;
use super::plan::{Source, VerifyData};
use super::reads::Asked;
use super::table::{Key, LiveTable, Scope};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::manifest;
use crate::model::formats::parse_table;
use crate::model::ids::HostName;
use crate::plan::operation::Operation;

/// What a table should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedTable {
    /// Rows; `None` where it has none of its own, or nobody can tell.
    pub rows: Option<u64>,
    /// Engine.
    pub engine: String,
}

/// What a host should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Where this is from, for people.
    pub origin: String,
    /// Tables.
    pub tables: BTreeMap<Key, ExpectedTable>,
    /// The live source, where there is one.
    pub live: Option<HostName>,
}

/// Finds out what the operation's host should hold; `None` where nothing is compared.
pub async fn expected(
    context: &RunContext<'_>,
    data: &VerifyData,
    counter: &mut Counter<'_>,
) -> Result<Option<Expected>, RunError> {
    let mut found = match &data.against {
        None => return Ok(None),
        Some(Source::Step { step }) => of_step(context, data, step)?,
        Some(Source::Backup { storage, path }) => of_backup(context, storage, path).await?,
        Some(Source::Live { host }) => of_live(context, data, host, counter).await?,
    };
    let except: Vec<Key> = data.except();
    found.tables.retain(|key, _| {
        let hidden = key.1.starts_with(".inner.") || key.1.starts_with(".inner_id.");
        !hidden && !except.contains(key) && (data.databases.is_empty() || data.databases.contains(&key.0))
    });
    add_marked_rows(context, data, &mut found);
    Ok(Some(found))
}

/// From the outcomes of a backup step of this run.
fn of_step(context: &RunContext<'_>, data: &VerifyData, step: &str) -> Result<Expected, RunError> {
    let outcomes = context.outcomes_of(step);
    let shards: Vec<String> =
        outcomes.iter().filter_map(|outcome| outcome.get("shard").and_then(Value::as_str)).map(str::to_owned).collect();
    let Some(at) = matching_shard(&shards, &data.shards, &data.shard) else {
        let found = if outcomes.is_empty() {
            "no backup of this run".to_owned()
        } else {
            format!("backups of the shards {}", shards.join(", "))
        };
        return Err(context.fail(
            RunErrorKind::Broken,
            format!("the backup step `{step}` does not tell what shard {} should hold", data.shard),
            format!("one backup for each of the shards {}", data.shards.join(", ")),
            found,
            "",
            "run the whole runbook, or verify `against: { storage: ROLE, path: PATH }` of the backup",
        ));
    };
    let mut expected = Expected { origin: format!("backup step `{step}`"), ..Expected::default() };
    let tables = outcomes.get(at).and_then(|outcome| outcome.get("tables")).and_then(Value::as_array);
    for table in tables.into_iter().flatten() {
        let text = |name: &str| table.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let entry = ExpectedTable { rows: table.get("rows").and_then(Value::as_u64), engine: text("engine") };
        expected.tables.insert((text("database"), text("table")), entry);
    }
    Ok(expected)
}

/// Which of the source's shards belongs to a shard of the target: the one of the same name; else the one at the same
/// place, where there are as many.
pub(super) fn matching_shard(source: &[String], target: &[String], shard: &str) -> Option<usize> {
    if let Some(at) = source.iter().position(|name| name == shard) {
        return Some(at);
    }
    if source.len() != target.len() {
        return None;
    }
    let place = target.iter().position(|name| name == shard)?;
    let mut sorted: Vec<(usize, &String)> = source.iter().enumerate().collect();
    sorted.sort_by_key(|(_, name)| *name);
    sorted.get(place).map(|(at, _)| *at)
}

/// From a backup in a bucket.
async fn of_backup(context: &RunContext<'_>, storage: &str, path: &str) -> Result<Expected, RunError> {
    let Some(objects) = context.ports.objects.get(storage) else {
        return Err(context.fail(
            RunErrorKind::Broken,
            format!("the storage `{storage}` is not bound"),
            "",
            "",
            "",
            "bind it in the environment",
        ));
    };
    let path = context.fill_path(path)?;
    let manifest = manifest::read(objects.as_ref(), &path).await.map_err(|error| RunError {
        kind: RunErrorKind::Broken,
        class: error.class(),
        refusal: error.refusal(&format!("{}: reading the backup to verify against", context.operation.id)),
    })?;
    let tables = manifest
        .tables
        .into_iter()
        .map(|table| ((table.database, table.table), ExpectedTable { rows: table.rows, engine: table.engine }))
        .collect();
    Ok(Expected { origin: format!("backup {path} in {}", objects.describe()), tables, live: None })
}

/// From a live source, counted now.
async fn of_live(
    context: &RunContext<'_>,
    data: &VerifyData,
    host: &HostName,
    counter: &mut Counter<'_>,
) -> Result<Expected, RunError> {
    let scope = Scope { databases: data.databases.clone(), except: data.except() };
    let tables = live::tables(context, host, &scope).await.map_err(|error| failed(context, &error))?;
    let counts = counter.tables(host, data.rows, &data.source, &Asked::of(&tables).counted()).await?;
    let of = |key: &Key, table: &LiveTable| ExpectedTable {
        rows: counts.get(key).and_then(|counted| counted.as_ref().ok()).copied(),
        engine: table.engine.clone(),
    };
    let tables = tables.iter().map(|(key, table)| (key.clone(), of(key, table))).collect();
    Ok(Expected { origin: format!("live source {host}"), tables, live: Some(host.clone()) })
}

/// Adds the rows that earlier steps of this run put into tables on purpose: the clean row of a migrator's history.
fn add_marked_rows(context: &RunContext<'_>, data: &VerifyData, expected: &mut Expected) {
    let own = context.operation.host.as_ref();
    for operation in context.plan.operations.iter().take_while(|operation| operation.id != context.operation.id) {
        if operation.action != "mark_migrations_clean" || operation.target.as_deref() != Some(&data.role) {
            continue;
        }
        let Some(outcome) = context.outcomes.get(&operation.id) else { continue };
        let Some(table) = table_of(&operation.data.value()).and_then(|key| expected.tables.get_mut(&key)) else {
            continue;
        };
        if reaches(operation, own) {
            table.rows = table.rows.map(|rows| rows + inserted(&outcome));
        }
    }
}

/// Rows that a marking put in; none where the history was clean before.
fn inserted(outcome: &Value) -> u64 {
    let was_clean = outcome.get("was_clean").and_then(Value::as_bool).unwrap_or(true);
    outcome.get("inserted").and_then(Value::as_u64).unwrap_or(u64::from(!was_clean))
}

/// Whether a host has the row: each with a history of its own, or every replica of a replicated one.
fn reaches(operation: &Operation, host: Option<&HostName>) -> bool {
    let data = operation.data.value();
    let listed = data.get("hosts").and_then(Value::as_array);
    let named = listed.is_some_and(|hosts| hosts.iter().any(|name| name.as_str() == host.map(HostName::as_str)));
    named || (host.is_some() && operation.host.as_ref() == host)
}

/// `table: database.table`, or `database` and `table`.
fn table_of(value: &Value) -> Option<Key> {
    let table = value.get("table")?.as_str()?;
    match value.get("database").and_then(Value::as_str) {
        Some(database) => Some((database.to_owned(), table.to_owned())),
        None => parse_table(table).ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn shards_are_matched_by_name_then_by_place() {
        assert_eq!(matching_shard(&names(&["-"]), &names(&["01"]), "01"), Some(0));
        assert_eq!(matching_shard(&names(&["02", "01"]), &names(&["01", "02"]), "01"), Some(1));
        assert_eq!(matching_shard(&names(&["b", "a"]), &names(&["01", "02"]), "01"), Some(1));
        assert_eq!(matching_shard(&names(&["-"]), &names(&["01", "02"]), "01"), None);
        assert_eq!(matching_shard(&[], &names(&["01"]), "01"), None);
    }

    #[test]
    fn rows_that_a_marking_put_in() {
        assert_eq!(inserted(&json!({ "was_clean": false })), 1);
        assert_eq!(inserted(&json!({ "was_clean": true })), 0);
        assert_eq!(inserted(&json!({ "inserted": 0, "was_clean": false })), 0);
        let step = crate::model::ids::StepId::from("mark");
        let operation =
            Operation::new(&step, "mark_migrations_clean", "insert", "", crate::plan::operation::Effect::Write)
                .on("d", &HostName::from("r1"))
                .with_data(&json!({ "hosts": ["r1", "r2"] }));
        let on = |name: &str| reaches(&operation, Some(&HostName::from(name)));
        assert!(on("r1") && on("r2") && !on("r3"));
    }

    #[test]
    fn tables_of_outcomes() {
        let key = Some(("d".to_owned(), "t".to_owned()));
        assert_eq!(table_of(&json!({ "table": "d.t" })), key);
        assert_eq!(table_of(&json!({ "database": "d", "table": "t" })), key);
        assert_eq!(table_of(&json!({})), None);
    }
}
