//! Makes the operations of a backup: one BACKUP per shard, on its first replica.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::TargetWorld;
use crate::model::words::count_of;
use crate::plan::SHARE;
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

use super::destination::destination;
use super::settings::clause;
use super::tables::{PlannedTable, facts, has_rows, notes, select};
use super::{BackupArguments, Observed};

/// What an operation needs to know at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupData {
    /// Storage role.
    pub(crate) storage: String,
    /// Path below the storage's prefix, with the tokens of the run and the attempt.
    pub(crate) path: String,
    /// Shard.
    pub(crate) shard: String,
    /// Tables that must be in it.
    pub(crate) tables: Vec<PlannedTable>,
}

/// Path of a shard's backup, without the number of the attempt.
pub(crate) fn shard_path(path: &str, shard: &str, shards: usize) -> String {
    if shards > 1 { format!("{path}/shard-{shard}") } else { path.to_owned() }
}

/// Plans the step.
pub(crate) fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: BackupArguments = context.arguments()?;
    let role = arguments.to.as_str();
    let Some(storage) = context.environment.storage.get(role) else {
        return Err(vec![context.refuse(
            format!("the storage `{role}` is not bound"),
            "",
            "",
            "bind it in the environment",
        )]);
    };
    let target = context.target(arguments.from.as_str())?.clone();
    let (mut operations, mut problems, mut shards) = (Vec::new(), taken(context), Map::new());
    let names = target.shards();
    let paths = place_facts(context, &arguments, &names);
    context.facts.extend(paths);
    for shard in &names {
        let Some(host) = target.replicas(shard).next() else { continue };
        context.facts.extend(facts(&arguments, host));
        let selection = match select(context, &arguments, host) {
            Ok(selection) => selection,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        let told = notes(context, host, target.replicas(shard).count(), &selection);
        context.notes.extend(told);
        let path = format!("{}${{attempt}}", shard_path(&arguments.path, shard, names.len()));
        let own = [("id", "'${operation.id}'".to_owned())];
        let text = format!(
            "BACKUP {} TO {} SETTINGS {} ASYNC",
            selection.elements,
            destination(role, storage.s3(), &path),
            clause(&own, &arguments.settings)
        );
        let tables = selection
            .tables
            .iter()
            .map(|table| PlannedTable {
                database: table.database.clone(),
                table: table.name.clone(),
                engine: table.engine.clone(),
            })
            .collect();
        let data = BackupData { storage: role.to_owned(), path: path.clone(), shard: shard.clone(), tables };
        let mut operation = Operation::new(
            context.step,
            "backup",
            "backup",
            object(&arguments, &target, shard),
            Effect::Write,
        )
        .on(arguments.from.as_str(), &host.name)
        .statement(Statement::late(text))
        .promises(
            format!("nothing at {path} of storage `{role}`"),
            format!("a backup of {} at {path} of storage `{role}`", count_of(selection.tables.len(), "table")),
            "every file that the backup lists is in the bucket, with its size; rows per table counted from the bucket",
        )
        .with_data(&data);
        // The same tables as a restore of it counts, so that both tell the same number.
        let with_rows = || selection.tables.iter().filter(|table| has_rows(&table.engine, &table.create_query));
        operation.estimate_rows = Some(with_rows().filter_map(|table| table.rows).sum());
        operation.estimate_bytes = Some(with_rows().filter_map(|table| table.bytes).sum());
        operations.push(operation);
        let promised: Vec<Value> = selection
            .tables
            .par_iter()
            .with_min_len(SHARE)
            .map(|table| json!({ "database": table.database, "table": table.name, "engine": table.engine, "create_query": table.create_query, "rows": table.rows.filter(|_| has_rows(&table.engine, &table.create_query)), "bytes": table.bytes.filter(|_| has_rows(&table.engine, &table.create_query)) }))
            .collect();
        // Put in as it is, for `json!` would copy all of it.
        shards.insert(shard.clone(), Map::from_iter([("tables".to_owned(), promised.into())]).into());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut promise = json!({ "storage": role });
    promise["shards"] = shards.into();
    context.promises.insert(context.step.clone(), promise);
    Ok(operations)
}

fn object(arguments: &BackupArguments, target: &TargetWorld, shard: &str) -> String {
    let mut words: Vec<String> =
        arguments.databases.iter().map(|database| format!("database {}", database.as_str())).collect();
    words.extend(arguments.tables.iter().map(|table| format!("table {}", table.as_str())));
    let of = if target.shards().len() > 1 { format!(" of shard {shard}") } else { String::new() };
    format!("{}{of}", words.join(", "))
}

/// What lies at a fixed path now; one that the run completes is new by itself.
fn place_facts(context: &PlanContext<'_>, arguments: &BackupArguments, shards: &[String]) -> Vec<Fact> {
    if arguments.path.contains("${") {
        return Vec::new();
    }
    let observed: Observed = serde_json::from_value(context.observed.clone()).unwrap_or_default();
    let storage = arguments.to.as_str();
    let paths = shards.iter().map(|shard| shard_path(&arguments.path, shard, shards.len()));
    let fact = |path: String| {
        let value = observed.taken.get(&path).map_or_else(|| "nothing".to_owned(), |names| names.join(", "));
        let query = format!("the objects below {path}/ in storage `{storage}`");
        Fact::new(&HostName::default(), format!("what is at the path {path} of storage `{storage}`"), value, query)
    };
    paths.map(fact).collect()
}

/// A fixed path that already holds something.
fn taken(context: &PlanContext<'_>) -> Vec<Refusal> {
    let observed: Observed = serde_json::from_value(context.observed.clone()).unwrap_or_default();
    observed
        .taken
        .iter()
        .map(|(path, found)| {
            context
                .refuse(
                    format!("something is at the path {path} already"),
                    "an empty path: backups are never written over each other",
                    found.join(", "),
                    "choose another path, best with `{{ run.started | date('%Y-%m-%d_%H%M%S') }}` in it",
                )
                .shown_by("clickferry inspect -e ENVIRONMENT")
        })
        .collect()
}
