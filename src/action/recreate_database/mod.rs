//! `recreate_database`: drops a database on every replica and creates it empty.

mod creating;
mod dropping;
mod keeping;
mod plan;
pub(crate) mod seen;
mod setting_aside;
#[cfg(test)]
mod tests;
mod undo;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{DatabaseName, DurationText, TargetRole};
use crate::plan::operation::Operation;

/// Drops a database on every replica and creates it empty.
pub struct RecreateDatabase;

/// Arguments of `recreate_database`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Target whose database is dropped and created.
    pub on: TargetRole,
    /// On which hosts; only every replica is possible, for one that is left out would keep the old rows.
    #[serde(default)]
    pub every: Every,
    /// Database that is dropped and created.
    pub database: DatabaseName,
    /// Engine of the new database.
    #[serde(default)]
    pub engine: DatabaseEngine,
    /// The former database is renamed and kept for a while instead of dropped: `undo` gives it its name again,
    /// `purge` drops it afterwards.
    #[serde(default)]
    pub keep_old: Option<KeepOld>,
}

/// How a former database is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepOld {
    /// How long `purge` leaves it alone, e.g. `168h`.
    pub r#for: DurationText,
}

/// Hosts that the database is recreated on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Every host of the target.
    #[default]
    Replica,
}

/// Engine of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseEngine {
    /// `Atomic`, the default of ClickHouse since 20.10.
    #[default]
    Atomic,
}

/// What an operation needs at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Data {
    Drop(DropData),
    SetAside(SetAsideData),
    Create(CreateData),
}

/// The database that is renamed instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SetAsideData {
    /// As it was planned to be renamed.
    former: DropData,
    /// Its name afterwards, with the label of the run as a late value.
    aside: String,
    /// How long it is kept, in seconds.
    keep_seconds: i64,
}

/// The database as it was planned to be dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DropData {
    database: String,
    /// UUID; `None` where an earlier step of the plan creates the database or its tables, so that what stands in
    /// it cannot be known before.
    uuid: Option<String>,
    tables: Vec<PlannedTable>,
}

/// A table that is dropped with its database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PlannedTable {
    name: String,
    uuid: String,
    /// Rows, where it holds rows of its own.
    rows: Option<u64>,
    /// Whether it holds some and nobody can tell how many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    untold: bool,
}

/// The database to create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct CreateData {
    database: String,
    /// UUID of the one dropped before, where it was known at planning.
    former: Option<String>,
}

#[async_trait]
impl Action for RecreateDatabase {
    fn name(&self) -> &'static str {
        "recreate_database"
    }

    fn summary(&self) -> &'static str {
        "Drops a database on every replica, with proof that nothing of it is left, and creates it empty."
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Arguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let database = arguments.get("database").and_then(Value::as_str).unwrap_or_default();
        if ["system", "information_schema"].contains(&database.to_ascii_lowercase().as_str()) {
            return vec![ArgumentError {
                pointer: "/database".to_owned(),
                message: format!("`{database}` belongs to the server itself and is never dropped"),
                help: Some("name a database of yours".to_owned()),
            }];
        }
        Vec::new()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Drop(data) => dropping::prepare(context, &data).await,
            Data::SetAside(data) => setting_aside::prepare(context, &data).await,
            Data::Create(data) => creating::prepare(context, &data).await,
        }
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        context.execute(0).await.map(|_| ())
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        match context.data() {
            Ok(Data::Drop(data)) => dropping::probe(context, &data).await,
            Ok(Data::SetAside(data)) => setting_aside::probe(context, &data).await,
            Ok(Data::Create(data)) => creating::probe(context, &data).await,
            Err(error) => Probe::Unknown(Box::new(error.refusal)),
        }
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Drop(data) => dropping::prove(context, &data).await,
            Data::SetAside(data) => setting_aside::prove(context, &data).await,
            Data::Create(data) => creating::prove(context, &data).await,
        }
    }

    async fn remains(&self, context: &RunContext<'_>) -> Result<bool, RunError> {
        undo::remains(context).await
    }

    fn no_way_back(&self, operation: &Operation, _arguments: &Value) -> Option<String> {
        undo::no_way_back(operation)
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds {
        match context.data() {
            Ok(Data::Drop(data)) => dropping::still_holds(context, &data, outcome).await,
            Ok(Data::SetAside(_)) => setting_aside::still_holds(context, outcome).await,
            Ok(Data::Create(data)) => creating::still_holds(context, &data, outcome).await,
            Err(error) => Holds::CannotTell(Box::new(error.refusal)),
        }
    }
}
