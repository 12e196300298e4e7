//! `sql`: statements of the runbook on a named selection of hosts.

mod arguments;
mod charged;
mod outcome;
mod plan;
mod simulate;
mod undo;

use async_trait::async_trait;
use schemars::{Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use arguments::SqlArguments;
pub use arguments::{check_query, error, one_query};
use plan::SqlData;

use super::gate::same_server;
use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::{Effect, Operation};
pub use crate::plan::statement::first_line;

/// The action.
pub struct Sql;

#[async_trait]
impl Action for Sql {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn summary(&self) -> &'static str {
        "Sends statements to a selection of hosts, each directly and once."
    }

    fn reference(&self) -> &'static str {
        REFERENCE
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<SqlArguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        SqlArguments::deserialize(arguments).map(|arguments| arguments.check()).unwrap_or_default()
    }

    fn authored(&self, arguments: &Value) -> Vec<(String, String)> {
        let Ok(arguments) = SqlArguments::deserialize(arguments) else { return Vec::new() };
        let mut texts: Vec<String> = arguments.parse().unwrap_or_default().into_iter().map(|one| one.text).collect();
        texts.extend(arguments.parse_undo().unwrap_or_default().into_iter().map(|one| one.text));
        texts.extend(arguments.undo_probe.iter().map(|probe| one_query(&probe.query)));
        texts.extend(arguments.probe.iter().map(|probe| one_query(&probe.query)));
        texts.extend(arguments.expect.iter().map(|expect| one_query(&expect.query)));
        texts.into_iter().map(|text| (arguments.on.as_str().to_owned(), text)).collect()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        if context.operation.effect == Effect::Destroy {
            same_server(context, context.host()?).await?;
            charged::check(context, &context.data()?).await?;
        }
        Ok(Value::Null)
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        outcome::run(context).await
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        outcome::probe(context).await
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        outcome::prove(context).await
    }

    fn no_way_back(&self, operation: &Operation, arguments: &Value) -> Option<String> {
        without_undo(operation, arguments)
    }

    fn proves(&self, operation: &Operation) -> bool {
        let asks = |data: SqlData| data.expect.is_some() || data.promise.is_some() || data.probe.is_some();
        operation.data.read().is_ok_and(asks)
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    async fn still_holds(&self, context: &RunContext<'_>, _outcome: &Value) -> Holds {
        outcome::still_holds(context).await
    }
}

/// A step that changes something and whose author wrote no `undo:` for it.
pub(super) fn without_undo(operation: &Operation, arguments: &Value) -> Option<String> {
    let has_none = match arguments.get("undo") {
        None | Some(Value::Null) => true,
        Some(Value::Array(statements)) => statements.is_empty(),
        Some(_) => false,
    };
    (has_none && operation.effect != Effect::Read).then(|| "the step has no `undo:`".to_owned())
}

const REFERENCE: &str = "\
**Operations**: one per statement and host. All hosts finish a statement before the next one starts. The effect \
(read, write, destroy) and the loss are told from the statement: DROP and TRUNCATE lose what the observed objects \
hold; DELETE, DROP PARTITION, CREATE OR REPLACE and the like lose at most all rows of their table; for everything \
that cannot be told, `loss:` must be declared (per host). On a replicated table, what one host's statement does to \
the other replicas counts too.

**Refused**: ON CLUSTER (a queued task can run days later), BACKUP and RESTORE (they are actions of their own), SET \
and USE (every statement has a session of its own), an INSERT into a replicated table on more than one replica of a \
shard.

**Gate of what destroys**: the servers of the plan; each table that loses rows has the UUID of the plan and at most its \
rows, on every replica that is reached; in a database that goes as a whole no table is new. Tables that earlier steps of \
the plan put rows into, or something else in the place of, are not compared; behind a `run` step that changes \
something, none are.

**Probe after a lost outcome**: still in `system.processes` is running. Then the step's `probe:`; without one, the \
catalogue of the server for CREATE and DROP of tables and databases, an empty table for TRUNCATE, and a \
`QueryFinish` in `system.query_log`. Otherwise the outcome is unknown and the run stops for a person: look, then \
add a `probe:` to the step or plan anew.

**Post-condition**: `expect:` on every selected host after the last statement; CREATE, DROP and TRUNCATE are looked \
after by themselves; otherwise the `probe:`. ALTER ... UPDATE and DELETE return before the rows are changed: write \
`SETTINGS mutations_sync = 2`.

**Undo**: the statements of `undo:`, in their order, on every host where all statements of the step are done; without \
them, or where only some are done, there is no way back. `undo_probe:` tells whether the changing one of them took \
effect; what they destroy is declared with `undo_loss:` and counts against the budget of the runbook.
";

#[cfg(test)]
mod tests;
