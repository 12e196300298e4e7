//! Runs the operations of a restore.

use std::time::Duration;

use crate::action::backup::server;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::model::ids::HostName;

use super::data::{Gate, RestoreData, kind};
use super::rows::{Seen, evidence, is_settled, see_until, words};

/// How long a table may take to be empty on every replica.
const EMPTYING: Duration = Duration::from_secs(120);

/// Sends the statement, after removing what an earlier attempt left, and waits for its end.
pub(crate) async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    let data: RestoreData = context.data()?;
    let gate: Gate = context.intent_data().unwrap_or_default();
    let this = context.operation.kind.as_str();
    if gate.clears {
        clear(context, &data, &gate).await?;
    }
    context.execute(0).await?;
    if matches!(this, kind::INSERT | kind::UNSTAGE) {
        return Ok(());
    }
    server::wait(context, context.host()?, context.operation.estimate_bytes).await
}

/// Removes what an earlier attempt of this operation left, and proves that nothing is there any more.
async fn clear(context: &RunContext<'_>, data: &RestoreData, gate: &Gate) -> Result<(), RunError> {
    context.execute(1).await?;
    let hosts: Vec<HostName> = gate.hosts.keys().cloned().collect();
    let table = data.filled(&context.operation.kind);
    let is_clear = |seen: &[Seen]| is_settled(seen) && seen.iter().all(Seen::is_empty);
    let seen = see_until(context, &hosts, (&data.database, table), EMPTYING, is_clear).await.map_err(|error| {
        RunError::from_sql(
            format!("{} {}: looking whether it is empty", context.operation.id, context.operation.object),
            &error,
        )
    })?;
    if is_clear(&seen) {
        return Ok(());
    }
    Err(context.fail(
        RunErrorKind::AskProbe,
        "what an earlier attempt left is not gone on every replica",
        "no rows, nothing under way",
        words(&hosts, &seen),
        evidence(&hosts, &data.database, table),
        "look at the replicas, then `clickferry resume`",
    ))
}
