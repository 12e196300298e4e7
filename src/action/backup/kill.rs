//! Stops a BACKUP or RESTORE that runs, because a person cancelled the run.

use std::time::Duration;

use secrecy::SecretString;

use crate::action::gate::{since, unread};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::Call;
use crate::plan::sql::literal;

use super::server::{self, Stage};

/// How long a killed operation may take to end: it ends between two files, not within one.
const ENDING: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(300);

/// Kills the operation of this attempt and waits for its end; `false` where it did not run
/// or came to its end before.
///
/// # Errors
/// Where the server does not answer, or the operation does not end.
pub(crate) async fn kill(context: &RunContext<'_>) -> Result<bool, RunError> {
    let host = context.host()?;
    let id = context.query_id();
    if stage(context, &id).await? != Some(Stage::Running) {
        return Ok(false);
    }
    let statement = format!("KILL QUERY WHERE query_id = {} ASYNC", literal(&id));
    let call = Call::change(SecretString::from(statement.clone()), format!("{id}-kill"), ENDING);
    // A lost answer is no harm: whether it has ended is asked below.
    let answered = context.ports.sql.call(host, call).await;
    let start = context.ports.clock.ticks();
    loop {
        match stage(context, &id).await? {
            Some(Stage::Running) => {}
            // It came to its end before it could be stopped.
            Some(Stage::Done) => return Ok(false),
            Some(Stage::Failed(_)) | None => return Ok(true),
        }
        if since(context, start) > ENDING {
            return Err(context.fail(
                RunErrorKind::AskProbe,
                "it was told to stop, and goes on",
                format!("an end within {} s", ENDING.as_secs()),
                answered.err().map_or_else(|| "it still runs".to_owned(), |error| error.to_string()),
                format!("on {host}: SELECT elapsed, query FROM system.processes WHERE query_id = {}", literal(&id)),
                "wait, then `clickferry cancel RUN --kill` again, or `clickferry resume` to let it come to its end",
            ));
        }
        context.ports.clock.sleep(PAUSE).await;
    }
}

/// How far it is; `None` where the server does not know it (any longer).
async fn stage(context: &RunContext<'_>, id: &str) -> Result<Option<Stage>, RunError> {
    let host = context.host()?;
    let failed = |error| unread(context, "asking whether it still runs", &error);
    if let Some(task) = server::look(context, host, id).await.map_err(failed)? {
        return Ok(Some(task.stage));
    }
    let is_running = server::is_in_progress(context, host, id).await.map_err(failed)?;
    Ok(is_running.then_some(Stage::Running))
}
