//! `verify`: a verdict for every table of every host.

mod arguments;
mod count;
mod ddl;
mod expected;
mod facts;
mod health;
mod known;
mod live;
mod outcome;
mod plan;
mod prove;
mod reads;
mod replica;
mod rules;
mod table;

use async_trait::async_trait;
use schemars::{Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use arguments::{ContentRule, VerifyArguments};
use known::Observed;
use table::Key;

use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::manifest;
use crate::plan::operation::Operation;

/// The action.
pub struct Verify;

#[async_trait]
impl Action for Verify {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn summary(&self) -> &'static str {
        "Compares every table on every replica with a backup, a live source or the other replicas; only reads."
    }

    fn reference(&self) -> &'static str {
        REFERENCE
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<VerifyArguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        VerifyArguments::deserialize(arguments).map(|arguments| arguments.check()).unwrap_or_default()
    }

    /// What lies in a backup that is there already, where only that tells what is asked. A backup that cannot be read
    /// now may come into being by an earlier step; it is reported when the step runs.
    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        let arguments: VerifyArguments = context.arguments()?;
        let asks_backup = arguments.databases.is_empty() || arguments.content != ContentRule::None;
        let Some((storage, path)) = arguments.backup().filter(|(_, path)| asks_backup && !path.contains("${")) else {
            return Ok(Value::Null);
        };
        let Some(objects) = context.ports.objects.get(storage) else { return Ok(Value::Null) };
        let tables = manifest::read(objects.as_ref(), path).await.map(|manifest| {
            manifest.tables.into_iter().map(|table| (table.database, table.table)).collect::<Vec<Key>>()
        });
        Ok(serde_json::to_value(Observed { backup: tables.ok() }).unwrap_or_default())
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn run(&self, _context: &RunContext<'_>) -> Result<(), RunError> {
        Ok(())
    }

    async fn probe(&self, _context: &RunContext<'_>) -> Probe {
        Probe::NotDone
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        prove::prove(context).await
    }

    async fn still_holds(&self, _context: &RunContext<'_>, _outcome: &Value) -> Holds {
        // A verdict is about the moment it was given.
        Holds::Yes
    }
}

const REFERENCE: &str = "\
**Operations**: one per host, reading only; a user without any right to change something is enough. First the queues \
of replicated tables are given up to a minute to become empty. Then every table is counted on every host directly, \
never through a Distributed table, and so that the table is read instead of its metadata.

**Statements**: the plan lists every read with the host it goes to: up to 100 tables are counted in one statement, and \
all but the first replica also look at the first one. Some are sent in a certain case only, which the plan says: a count \
with FINAL where two live sides differ, each table alone where the server answers a count of several with an error, no \
settings where the user may not give any. Tables that were not there at planning (a command creates them) are counted in \
the same form; the tables that are there are a fact that must still hold at apply.

**Verdict** per host and table: `pass`, `fail` or `cannot tell`, each with the expected rows, the found ones and the \
query. A missing table fails; a table that the backup does not have is noted.

| engine | rows must be |
|---|---|
| MergeTree, Log, Memory | equal |
| Replacing, Summing, Aggregating, Collapsing, Graphite, Coalescing | equal, or fewer (merged), never none; against a live source equal with FINAL |
| with a TTL that deletes, or a lightweight DELETE | equal, or fewer, never none |
| materialized view with a hidden table | as its engine says, counted under the view's name |
| materialized view `TO` a table, dictionary, Distributed, Kafka and the like | no rows of its own: it must be there |
| view | it must be there and answer `SELECT * ... LIMIT 0` |
| refreshable materialized view | other numbers cannot be told |

Rows that a `mark_migrations_clean` step of the same run inserted are expected on top.

**Also**: `replication` (writable, session alive, all replicas of the environment known and active, the same Keeper \
path on all replicas, nothing to fetch), `schema` (same definition on all replicas of a shard, apart from UUIDs), \
`parts` (no more detached parts than at planning, no failing mutation), `content` (count, sum and exclusive or of a \
hash over every row, with FINAL where the engine merges).

**Probe, undo**: none. A run whose verification fails ends with exit code 2.
";

#[cfg(test)]
mod tests;
