//! `exchange_tables`: two tables get each other's names, on every replica.

mod compare;
mod notes;
mod pairs;
mod plan;
mod problems;
mod run;
pub(crate) mod swap;
#[cfg(test)]
mod tests;
mod undo;
mod world;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{DatabaseName, TargetRole};
use crate::model::ids::HostName;
use crate::plan::operation::Operation;
use compare::CompareData;
use swap::Swap;

/// Name in plans.
pub(crate) const NAME: &str = "exchange_tables";

/// Two tables get each other's names, on every replica.
pub struct ExchangeTables;

/// Arguments of `exchange_tables`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Target whose tables are exchanged.
    pub on: TargetRole,
    /// On which hosts; only every replica is possible, for on one that is left out each name would stand for the other
    /// table, and replicas would mix the rows of both.
    #[serde(default)]
    pub every: EveryReplica,
    /// Database of the tables. Without it they are written as `database.table`, and may be of two databases.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    /// The pairs, exchanged one after the other. A table stands in one pair only.
    #[schemars(length(min = 1))]
    pub pairs: Vec<Pair>,
    /// Whether the two may have different columns. Whoever reads or writes by the name then finds other columns.
    #[serde(default)]
    pub allow_different_columns: bool,
}

/// Two tables that get each other's names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The name that people and programs use: it must stand for the other table from then on.
    pub table: String,
    /// The table that gets this name; the former one gets its name in turn, and a later step may drop it by that.
    pub with: String,
}

/// Hosts on which tables are exchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EveryReplica {
    /// Every host of the target.
    #[default]
    Replica,
}

/// What an operation needs at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Data {
    Exchange(Swap),
    Compare(CompareData),
}

/// The name that a table had before an operation of a plan, by the name it has afterwards.
pub(crate) fn name_before(operation: &Operation, host: &HostName, name: &(String, String)) -> Option<(String, String)> {
    if operation.action != NAME || operation.host.as_ref() != Some(host) {
        return None;
    }
    match operation.data.read() {
        Ok(Data::Exchange(swap)) => swap.other_of(name),
        Ok(Data::Compare(_)) | Err(_) => None,
    }
}

#[async_trait]
impl Action for ExchangeTables {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Gives two tables each other's names on every replica, at once for everybody who asks by name."
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Arguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        Arguments::deserialize(arguments).map_or_else(|_| Vec::new(), |arguments| pairs::check(&arguments))
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Exchange(swap) => run::prepare(context, &swap).await,
            Data::Compare(data) => compare::prepare(context, &data).await,
        }
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        match context.data()? {
            Data::Exchange(_) => context.execute(0).await.map(|_| ()),
            Data::Compare(_) => Ok(()),
        }
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        match context.data() {
            Ok(Data::Exchange(swap)) => swap::probe(context, &swap).await,
            Ok(Data::Compare(_)) => Probe::NotDone,
            Err(error) => Probe::Unknown(Box::new(error.refusal)),
        }
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Exchange(swap) => swap::prove(context, &swap).await,
            Data::Compare(data) => compare::prove(context, &data).await,
        }
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    /// What is compared before the exchange is not so afterwards.
    fn outlasts(&self, operation: &Operation) -> bool {
        !matches!(operation.data.read(), Ok(Data::Compare(data)) if !data.is_after)
    }

    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds {
        match context.data() {
            Ok(Data::Exchange(swap)) => run::still_holds(context, &swap, outcome).await,
            Ok(Data::Compare(data)) => compare::still_holds(context, &data).await,
            Err(error) => Holds::CannotTell(Box::new(error.refusal)),
        }
    }
}
