//! `backup`: ClickHouse's own BACKUP to S3, one statement per shard, proved from the bucket.

pub(crate) mod destination;
pub(crate) mod kill;
mod plan;
mod prove;
mod run;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::manifest::object_refusal;
use crate::model::formats::{DatabaseName, StorageRole, TableName, TargetRole};
use crate::plan::operation::Operation;
pub(crate) use run::not_sent;
use settings::Settings;

/// The action.
pub struct Backup;

/// Arguments of `backup`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackupArguments {
    /// Target that is backed up; of every shard its first replica does it.
    pub(crate) from: TargetRole,
    /// Databases to back up, with everything in them.
    #[serde(default)]
    pub(crate) databases: Vec<DatabaseName>,
    /// Single tables, views or dictionaries to back up.
    #[serde(default)]
    pub(crate) tables: Vec<TableName>,
    /// Tables of these databases to leave out.
    #[serde(default)]
    pub(crate) except_tables: Vec<TableName>,
    /// Storage that the servers write to.
    pub(crate) to: StorageRole,
    /// Path below the storage's prefix. It must be empty, so put the time of the run into it:
    /// `"backup/{{ run.started | date('%Y-%m-%d_%H%M%S') }}"`. A second attempt of one run gets `.2` behind it;
    /// with several shards each gets a folder of its own.
    pub(crate) path: String,
    /// Settings of the BACKUP statement, e.g. `backup_restore_s3_retry_attempts: 5`.
    #[serde(default)]
    pub(crate) settings: Settings,
}

/// What `observe` found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Observed {
    /// Fixed paths that hold something already, with what lies there.
    taken: BTreeMap<String, Vec<String>>,
}

/// Settings that only BACKUP has and a runbook may not give.
const FORBIDDEN: &[settings::Forbidden] = &[
    ("compression_method", "it is for archives, which cannot be checked from the bucket"),
    ("compression_level", "it is for archives, which cannot be checked from the bucket"),
    ("experimental_lightweight_snapshot", "such a backup does not hold its data"),
];

#[async_trait]
impl Action for Backup {
    fn name(&self) -> &'static str {
        "backup"
    }

    fn summary(&self) -> &'static str {
        "Back up databases or tables to a bucket with ClickHouse's own BACKUP, and prove the backup from the bucket"
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        BackupArguments::json_schema(generator)
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let Ok(arguments) = BackupArguments::deserialize(arguments) else { return Vec::new() };
        let mut errors = settings::check(&arguments.settings, FORBIDDEN);
        errors.extend(destination::check_path("/path", &arguments.path));
        if arguments.databases.is_empty() && arguments.tables.is_empty() {
            errors.push(ArgumentError {
                pointer: String::new(),
                message: "nothing is selected".to_owned(),
                help: Some("name at least one of `databases:` or `tables:`".to_owned()),
            });
        }
        for (at, table) in arguments.except_tables.iter().enumerate() {
            let database =
                crate::model::formats::parse_table(table.as_str()).map(|(database, _)| database).unwrap_or_default();
            if !arguments.databases.iter().any(|selected| selected.as_str() == database) {
                errors.push(ArgumentError {
                    pointer: format!("/except_tables/{at}"),
                    message: format!("{} is not in any of the databases that are backed up", table.as_str()),
                    help: Some("remove it, or correct its name".to_owned()),
                });
            }
        }
        errors
    }

    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        let arguments: BackupArguments = context.arguments()?;
        let role = arguments.to.as_str();
        let Some(objects) = context.ports.objects.get(role) else {
            return Err(Failure::simple(format!("the storage `{role}` is not bound"), "bind it in the environment"));
        };
        let explain = |error| {
            Failure::error(object_refusal(&format!("looking at the storage `{role}` ({})", objects.describe()), &error))
        };
        objects.check_access().await.map_err(explain)?;
        let mut observed = Observed::default();
        if !arguments.path.contains("${") {
            let shards =
                context.world.targets.get(arguments.from.as_str()).map(|target| target.shards()).unwrap_or_default();
            for shard in &shards {
                let path = plan::shard_path(&arguments.path, shard, shards.len());
                let names = objects.list_level(&format!("{path}/")).await.map_err(explain)?;
                if !names.is_empty() {
                    observed.taken.insert(path, names.into_iter().take(5).collect());
                }
            }
        }
        Ok(serde_json::to_value(observed).unwrap_or(Value::Null))
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        run::prepare(context).await
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        run::run(context).await
    }

    async fn kill(&self, context: &RunContext<'_>) -> Result<Option<String>, RunError> {
        Ok(if kill::kill(context).await? { Some(run::leftovers(context).await?) } else { None })
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        run::probe(context).await
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        prove::prove(context).await
    }

    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds {
        prove::still_holds(context, outcome).await
    }
}
