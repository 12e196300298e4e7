//! Takes finished operations back. No action of a runbook: its operations come from [`Action::undo`] of the others,
//! and run, are probed and proved like all operations.

pub(crate) mod bucket;
pub(crate) mod database;
pub(crate) mod history;
pub(crate) mod keeper;
pub(crate) mod purging;
pub(crate) mod table;

pub use purging::purge_operations;

use async_trait::async_trait;
use database::Becomes;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::exchange_tables::swap;
use crate::diag::Refusal;
use crate::engine::action::{Action, Holds, Probe, RunError};
use crate::engine::context::{PlanContext, RunContext};
use crate::model::ids::HostName;
use crate::plan::operation::Operation;
use crate::plan::plan_file::Plan;
use crate::plan::sql::qualified;

/// Name in plans.
pub(crate) const NAME: &str = "undo";

/// Takes finished operations back.
pub struct TakeBack;

/// What an operation needs at run time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "takes_back", rename_all = "snake_case")]
pub(crate) enum Data {
    /// Drops or empties what the run created or filled.
    Table(table::TableData),
    /// Drops or renames a database.
    Database(database::DatabaseData),
    /// Gives a history of migrations its former last row.
    History(history::HistoryData),
    /// Makes nodes of Keeper again.
    Keeper(keeper::KeeperData),
    /// Deletes the objects of a backup.
    Bucket(bucket::BucketData),
    /// Gives two tables the names again that they had.
    Exchange(swap::Swap),
}

/// Whether an operation of an undo gives one of these names to another table on the same host.
fn exchanges(other: &Operation, swap: &swap::Swap, host: Option<&HostName>) -> bool {
    other.host.as_ref() == host
        && matches!(other.data.read(), Ok(Data::Exchange(earlier)) if earlier.names.iter().any(|name| swap.names.contains(name)))
}

#[async_trait]
impl Action for TakeBack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "Takes finished operations back."
    }

    fn reference(&self) -> &'static str {
        ""
    }

    fn schema(&self, _: &mut SchemaGenerator) -> Schema {
        json_schema!({ "not": {} })
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        Err(vec![context.refuse("no runbook can ask for an undo", "", "", "`clickferry undo RUN`")])
    }

    /// A table that is emptied is as its restore left it, unless a step behind wrote to it and is taken back first.
    fn asks_early(&self, plan: &Plan, operation: &Operation) -> bool {
        let before = || plan.operations.iter().take_while(|other| other.id != operation.id);
        let authored = |other: &Operation| matches!(other.action.as_str(), "sql" | "run");
        match operation.data.read() {
            Ok(Data::Table(table)) if !table.drops => {
                let name = qualified(&table.database, &table.name);
                let marks = |other: &Operation| matches!(other.data.read(), Ok(Data::History(history)) if history.table == name);
                !before().any(|other| authored(other) || marks(other))
            }
            Ok(Data::History(_)) => !before().any(authored),
            Ok(Data::Bucket(_)) => true,
            Ok(Data::Exchange(swap)) => {
                !before().any(|other| authored(other) || exchanges(other, &swap, operation.host.as_ref()))
            }
            Ok(Data::Database(database)) => matches!(database.becomes, Becomes::Dropped) && !database.tables.is_empty(),
            Ok(Data::Table(_) | Data::Keeper(_)) | Err(_) => false,
        }
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Table(data) => table::prepare(context, &data).await,
            Data::Database(data) => database::prepare(context, &data).await,
            Data::History(data) => history::prepare(context, &data).await,
            Data::Keeper(data) => keeper::prepare(context, &data).await,
            Data::Bucket(data) => bucket::prepare(context, &data).await,
            Data::Exchange(swap) => swap::gate(context, &swap).await,
        }
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        match context.data()? {
            Data::Keeper(data) => keeper::run(context, &data).await,
            Data::Bucket(data) => bucket::run(context, &data).await,
            Data::Table(_) | Data::Database(_) | Data::History(_) | Data::Exchange(_) => {
                context.execute(0).await.map(|_| ())
            }
        }
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        let probed = match context.data() {
            Ok(Data::Table(data)) => table::probe(context, &data).await,
            Ok(Data::Database(data)) => database::probe(context, &data).await,
            Ok(Data::History(data)) => history::probe(context, &data).await,
            Ok(Data::Keeper(data)) => keeper::probe(context, &data).await,
            Ok(Data::Bucket(data)) => bucket::probe(context, &data).await,
            Ok(Data::Exchange(swap)) => Ok(swap::probe(context, &swap).await),
            Err(error) => Err(error),
        };
        probed.unwrap_or_else(|error| Probe::Unknown(Box::new(error.refusal)))
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match context.data()? {
            Data::Table(data) => table::prove(context, &data).await,
            Data::Database(data) => database::prove(context, &data).await,
            Data::History(data) => history::prove(context, &data).await,
            Data::Keeper(data) => keeper::prove(context, &data).await,
            Data::Bucket(data) => bucket::prove(context, &data).await,
            Data::Exchange(swap) => swap::prove(context, &swap).await,
        }
    }

    /// What was taken back may be made again by anybody, rightly so. Nothing is asked.
    async fn still_holds(&self, _: &RunContext<'_>, _: &Value) -> Holds {
        Holds::Yes
    }
}
