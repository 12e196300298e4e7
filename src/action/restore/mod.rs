//! `restore`: ClickHouse's own RESTORE, table by table, on one replica of each shard, proved on all of them.

pub(crate) mod data;
mod facts;
mod gate;
mod operations;
mod outcome;
mod plan;
mod prove;
pub(crate) mod rows;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod undo;
mod way;
mod words;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::backup::destination::check_path;
use crate::action::backup::kill;
use crate::action::backup::settings::{self, Forbidden, Settings};
use crate::action::gate::same_server;
use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::manifest::{object_refusal, read};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{DatabaseName, TableName, TargetRole};
use crate::plan::fact::Fact;
use crate::plan::operation::Operation;
use source::BackupSource;

/// The action.
pub struct Restore;

/// Arguments of `restore`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreArguments {
    /// What is restored: the id of an earlier `backup` step, or `{ storage: ..., path: ... }` of a backup that is in
    /// the bucket already.
    pub(crate) backup: BackupSource,
    /// Target that is restored to, one replica of each shard; the others fetch.
    pub(crate) to: TargetRole,
    /// Only these databases of the backup.
    #[serde(default)]
    pub(crate) databases: Vec<DatabaseName>,
    /// Only these tables, views or dictionaries of the backup (with those of `databases`, if both are given).
    #[serde(default)]
    pub(crate) tables: Vec<TableName>,
    /// Tables to leave out.
    #[serde(default)]
    pub(crate) except_tables: Vec<TableName>,
    /// Settings of the RESTORE statements. `allow_different_table_def: true` to restore MergeTree tables into
    /// ReplicatedMergeTree ones; `allow_non_empty_tables: true` only where rows of the backup are meant to come
    /// beside rows that are there: the proof then expects the sum.
    #[serde(default)]
    pub(crate) settings: Settings,
    /// Tables restored side by side on each host.
    #[serde(default = "default_parallel_tables")]
    #[schemars(range(min = 1, max = 64))]
    pub(crate) parallel_tables: u32,
    /// Shard of the target that gets the backup, where the backup is of one shard and the target has several.
    #[serde(default)]
    pub(crate) shard: Option<String>,
    /// Whether an earlier `run` or `sql` step creates the tables, so that a plan cannot see them: they are looked at
    /// right before each restore instead.
    #[serde(default)]
    pub(crate) created_by_earlier_step: bool,
}

fn default_parallel_tables() -> u32 {
    4
}

impl RestoreArguments {
    /// Whether rows may come beside rows.
    pub(crate) fn appends(&self) -> bool {
        self.settings.get("allow_non_empty_tables").is_some_and(settings::Scalar::is_on)
    }

    /// Whether a table may have another definition than in the backup.
    pub(crate) fn allows_different_definition(&self) -> bool {
        self.settings.get("allow_different_table_def").is_some_and(settings::Scalar::is_on)
    }
}

/// Settings that only RESTORE has and a runbook may not give.
const FORBIDDEN: &[Forbidden] = &[
    ("create_table", "the plan says for every table whether it is created"),
    ("create_database", "databases are made by a step of their own"),
    ("restore_broken_parts_as_detached", "rows of broken parts would be missing"),
];

#[async_trait]
impl Action for Restore {
    fn name(&self) -> &'static str {
        "restore"
    }

    fn summary(&self) -> &'static str {
        "Restore tables from a backup with ClickHouse's own RESTORE, and prove their rows on every replica"
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        RestoreArguments::json_schema(generator)
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let Ok(arguments) = RestoreArguments::deserialize(arguments) else { return Vec::new() };
        let mut errors = settings::check(&arguments.settings, FORBIDDEN);
        if let BackupSource::Existing(existing) = &arguments.backup {
            let path = existing.path.trim_end_matches('/');
            if path.contains("${") {
                errors.push(ArgumentError {
                    pointer: "/backup/path".to_owned(),
                    message: "the path of an existing backup cannot depend on the run".to_owned(),
                    help: Some("give the path as it is in the bucket, or a parameter; for a backup of this runbook name its step".to_owned()),
                });
            } else {
                errors.extend(check_path("/backup/path", path));
            }
        }
        errors
    }

    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        let arguments: RestoreArguments = context.arguments()?;
        let BackupSource::Existing(existing) = &arguments.backup else { return Ok(Value::Null) };
        let role = existing.storage.as_str();
        let Some(objects) = context.ports.objects.get(role) else {
            return Err(Failure::simple(format!("the storage `{role}` is not bound"), "bind it in the environment"));
        };
        objects.check_access().await.map_err(|error| {
            Failure::error(object_refusal(&format!("looking at the storage `{role}` ({})", objects.describe()), &error))
        })?;
        let manifest = read(&**objects, &existing.path)
            .await
            .map_err(|error| Failure::error(error.refusal("reading the backup to restore")))?;
        if manifest.head.incremental {
            return Err(Failure::simple(
                format!(
                    "the backup at {} is incremental: a part of its rows is in another backup and cannot be counted here",
                    existing.path
                ),
                "restore a full backup",
            ));
        }
        let tables: Vec<Value> = manifest
            .tables
            .iter()
            .map(|table| {
                json!({ "database": table.database, "table": table.table, "engine": table.engine, "create_query": table.create_query, "rows": table.rows, "bytes": table.bytes })
            })
            .collect();
        Ok(json!({
            "uuid": manifest.head.uuid,
            "timestamp": manifest.head.timestamp,
            "objects": manifest.objects.number,
            "stored_bytes": manifest.objects.bytes,
            "objects_digest": manifest.objects.digest,
            "tables": tables,
        }))
    }

    fn unseen(&self, arguments: &Value, problems: &[Refusal]) -> Vec<Fact> {
        let Ok(arguments) = RestoreArguments::deserialize(arguments) else { return Vec::new() };
        facts::unreadable(&arguments, problems).into_iter().collect()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        let gate = gate::prepare(context).await?;
        if gate.clears {
            same_server(context, context.host()?).await?;
        }
        Ok(serde_json::to_value(gate).unwrap_or(Value::Null))
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        run::run(context).await
    }

    async fn kill(&self, context: &RunContext<'_>) -> Result<Option<String>, RunError> {
        Ok(if kill::kill(context).await? { Some(outcome::leftovers(context).await?) } else { None })
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        outcome::probe(context).await
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        prove::prove(context).await
    }

    async fn remains(&self, context: &RunContext<'_>) -> Result<bool, RunError> {
        undo::remains(context).await
    }

    async fn leaves(&self, context: &RunContext<'_>) -> Value {
        undo::leaves(context).await
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds {
        prove::still_holds(context, outcome).await
    }
}
