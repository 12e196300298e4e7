//! `create_replicated`: creates a source's tables on every replica of a target, replicated.

mod converting;
mod gather;
mod hosts;
mod placement;
mod plan;
mod problems;
#[cfg(test)]
mod refused_tests;
mod run;
mod seen;
#[cfg(test)]
mod tests;
mod undo;
mod users;
mod world;

use std::sync::Arc;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{DatabaseName, KeeperPath, TargetRole};
use crate::plan::convert;
use crate::plan::operation::Operation;

pub(crate) use undo::noun_of;

/// Creates a source's tables on every replica of a target, replicated.
pub struct CreateReplicated;

/// Arguments of `create_replicated`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Target whose definitions are taken, from its first host.
    pub from: TargetRole,
    /// Target on whose hosts the tables are created.
    pub on: TargetRole,
    /// Database, of the same name on both sides.
    pub database: DatabaseName,
    /// Keeper path of the tables; `{database}` and `{table}` are filled in by clickferry, `{shard}` and other
    /// macros by each server.
    #[serde(default = "default_path")]
    pub path: KeeperPath,
    /// Name of each replica in Keeper, made of the servers' macros.
    #[serde(default = "default_replica")]
    pub replica: String,
    /// Tables, views and dictionaries of the database that are left out.
    #[serde(default)]
    pub except_tables: Vec<String>,
    /// What becomes of tables with an engine of the Log family, which cannot be replicated.
    #[serde(default)]
    pub log_tables: LogTables,
}

/// What becomes of tables with an engine of the Log family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogTables {
    /// They become `ReplicatedMergeTree`; a history of golang-migrate in the order of its sequence.
    #[default]
    Convert,
    /// They stay what they are; every replica has rows of its own.
    Keep,
    /// They are not created.
    Skip,
}

fn default_path() -> KeeperPath {
    KeeperPath("/clickhouse/tables/{shard}/{database}/{table}".to_owned())
}

fn default_replica() -> String {
    "{replica}".to_owned()
}

impl Arguments {
    fn replication(&self) -> convert::Replication<'_> {
        convert::Replication {
            path: self.path.as_str(),
            replica: &self.replica,
            log_tables: match self.log_tables {
                LogTables::Convert => convert::LogTables::Convert,
                LogTables::Keep => convert::LogTables::Keep,
                LogTables::Skip => convert::LogTables::Skip,
            },
        }
    }

    /// Whether a table is left out; `except_tables` may name it with or without its database.
    fn leaves_out(&self, name: &str) -> bool {
        self.except_tables.iter().any(|entry| self.bare(entry) == name)
    }

    fn bare<'n>(&self, entry: &'n str) -> &'n str {
        entry.strip_prefix(&format!("{}.", self.database.as_str())).unwrap_or(entry)
    }
}

/// What an operation needs at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Data {
    Create(CreateData),
    Check(CheckData),
}

/// One object on one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CreateData {
    database: String,
    name: String,
    /// `name type [kind of default]` of the source's columns; empty where they were not known at planning.
    columns: Vec<String>,
    /// Where it is in Keeper.
    place: Option<Place>,
}

/// Where a replicated table is in Keeper, macros filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    path: String,
    replica: String,
    /// Names of all replicas that the plan creates at this path.
    replicas: Arc<[String]>,
    /// Whether it is the hidden table of a materialized view.
    is_inner: bool,
}

/// [`Data::Check`], without a copy of the names.
#[derive(Serialize)]
struct CheckedData<'a> {
    kind: &'static str,
    database: &'a str,
    tables: &'a [(&'a str, Place)],
}

/// All replicated tables of one host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CheckData {
    database: String,
    tables: Vec<(String, Place)>,
}

#[async_trait]
impl Action for CreateReplicated {
    fn name(&self) -> &'static str {
        "create_replicated"
    }

    fn summary(&self) -> &'static str {
        "Creates the tables of a source on every replica of a target, with replicated engines and explicit Keeper paths."
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Arguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let text = |name: &str| arguments.get(name).and_then(Value::as_str);
        let mut errors = Vec::new();
        let mut wrong = |pointer: &str, message: &str, help: &str| {
            errors.push(ArgumentError {
                pointer: pointer.to_owned(),
                message: message.to_owned(),
                help: Some(help.to_owned()),
            });
        };
        if let Some(path) = text("path") {
            if !path.contains("{table}") {
                wrong("/path", "two tables would have one path in Keeper", "end the path with `{table}`");
            }
            if path.contains("{uuid}") {
                wrong(
                    "/path",
                    "`{uuid}` gives every replica a path of its own, for each host creates its table with its own UUID",
                    "use `{shard}`, `{database}` and `{table}`",
                );
            }
        }
        if let Some(replica) = text("replica")
            && (!replica.contains('{') || replica.contains('/') || replica.contains("{uuid}"))
        {
            wrong(
                "/replica",
                "every replica needs a name of its own, made of a macro of its server",
                "use `{replica}`",
            );
        }
        errors
    }

    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        gather::observe(context).await
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Create(data) => run::prepare(context, &data).await,
            Data::Check(_) => Ok(Value::Null),
        }
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        match context.data()? {
            Data::Create(_) => context.execute(0).await.map(|_| ()),
            Data::Check(_) => Ok(()),
        }
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        match context.data() {
            Ok(Data::Create(data)) => run::probe(context, &data).await,
            Ok(Data::Check(_)) => Probe::NotDone,
            Err(error) => Probe::Unknown(Box::new(error.refusal)),
        }
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Create(data) => run::prove(context, &data).await,
            Data::Check(data) => run::check(context, &data).await,
        }
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    /// The UUID lasts. What the check saw (sessions, lag) does not, and the tables are asked one by one.
    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds {
        match context.data() {
            Ok(Data::Create(data)) => run::still_holds(context, &data, outcome).await,
            Ok(Data::Check(_)) => Holds::Yes,
            Err(error) => Holds::CannotTell(Box::new(error.refusal)),
        }
    }
}
