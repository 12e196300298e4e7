//! Runs the operations of a restore.

use std::time::Duration;

use crate::action::backup::server;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::model::ids::HostName;
use crate::model::words;

use super::data::{Gate, RestoreData, kind};
use super::rows::{Seen, evidence, is_settled, see_until, words};

/// How long a table may take to be empty on every replica.
const EMPTYING: Duration = Duration::from_secs(120);

/// Sends the statement, after removing what an earlier attempt left, and waits for its end.
pub(crate) async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    let data: RestoreData = context.data()?;
    let gate: Gate = context.intent_data().unwrap_or_default();
    let this = context.operation.kind.as_str();
    let (clearing, main) = places(context)?;
    if gate.clears {
        clear(context, &data, &gate, clearing).await?;
    }
    context.execute(main).await?;
    if matches!(this, kind::INSERT | kind::UNSTAGE) {
        return Ok(());
    }
    server::wait(context, context.host()?, context.operation.estimate_bytes).await
}

/// Which statement clears the way, and which one the operation is for. A plan of another version that has them
/// otherwise is not guessed at: one of them drops a table.
fn places(context: &RunContext<'_>) -> Result<(Option<usize>, usize), RunError> {
    let statements: Vec<bool> = context.operation.statements.iter().map(|one| one.only_if.is_some()).collect();
    match statements.as_slice() {
        [false] => Ok((None, 0)),
        [true, false] => Ok((Some(0), 1)),
        _ => Err(context.fail(
            RunErrorKind::NotSent,
            "the plan does not fit this version of clickferry",
            "the statement of the operation, and before it at most one that clears the way",
            words::count_of(statements.len(), "statement"),
            "",
            "plan again with this version",
        )),
    }
}

/// Removes what an earlier attempt of this operation left, and proves that nothing is there any more.
async fn clear(
    context: &RunContext<'_>,
    data: &RestoreData,
    gate: &Gate,
    statement: Option<usize>,
) -> Result<(), RunError> {
    let Some(statement) = statement else {
        return Err(context.fail(
            RunErrorKind::NotSent,
            "what an earlier attempt left is in the way",
            "a statement in the plan that removes it",
            "none",
            "",
            "look at it, drop it, then `clickferry resume`",
        ));
    };
    context.execute(statement).await?;
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
