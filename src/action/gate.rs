//! What several actions ask right before they change something, and how they tell what a read that failed means.

use std::time::Duration;

use serde_json::Value;

use crate::diag::Refusal;
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::errors::explain_sql;
use crate::engine::identity::{IDENTITY_QUERY, ask_identity};
use crate::engine::ports::{KeeperError, SqlError};
use crate::engine::retry::class_of;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// Pause between two looks at something that settles by itself.
pub const PAUSE: Duration = Duration::from_millis(250);

/// Refuses where the server behind an address is another one than at planning (law 6).
///
/// # Errors
/// [`RunErrorKind::NotSent`] where it is another one, or does not answer.
pub async fn same_server(context: &RunContext<'_>, host: &HostName) -> Result<(), RunError> {
    let Some(planned) = context.plan.hosts.iter().find(|planned| planned.name == *host) else {
        return Err(context.fail(
            RunErrorKind::NotSent,
            format!("the plan does not know the host {host}"),
            "",
            "",
            "",
            "plan again",
        ));
    };
    let found = ask_identity(&*context.ports.sql, host).await;
    let found = found.map_err(|error| unread(context, "asking who the server is", &error))?;
    if found == planned.identity {
        return Ok(());
    }
    Err(context.fail(
        RunErrorKind::NotSent,
        format!("another server answers for {host} than at planning; nothing was changed"),
        planned.identity.clone(),
        found,
        format!("on {host}: {IDENTITY_QUERY}"),
        "find out what was moved or restarted with other settings, then plan again",
    ))
}

/// A read before anything was sent failed: nothing was changed.
#[must_use]
pub fn unread(context: &RunContext<'_>, what: &str, error: &SqlError) -> RunError {
    RunError { kind: RunErrorKind::NotSent, class: class_of(error), refusal: explained(context, what, error) }
}

/// A read after the statement failed: what was done stays done, and only asking again tells.
#[must_use]
pub fn unproved(context: &RunContext<'_>, what: &str, error: &SqlError) -> RunError {
    RunError { kind: RunErrorKind::AskProbe, class: class_of(error), refusal: explained(context, what, error) }
}

/// As [`unproved`], for a probe.
#[must_use]
pub fn cannot_read(context: &RunContext<'_>, error: &SqlError) -> RunError {
    unproved(context, "asking whether it took effect", error)
}

/// A probe that was not answered.
#[must_use]
pub fn unanswered(context: &RunContext<'_>, error: &SqlError) -> Probe {
    Probe::Unknown(Box::new(explained(context, "asking whether it took effect", error)))
}

/// A promise that could not be asked for again.
#[must_use]
pub fn cannot_tell(context: &RunContext<'_>, error: &SqlError) -> Holds {
    Holds::CannotTell(Box::new(explained(context, "asking whether it still holds", error)))
}

fn explained(context: &RunContext<'_>, what: &str, error: &SqlError) -> Refusal {
    let operation = context.operation;
    explain_sql(format!("{} {} ({}): {what}", operation.id, operation.kind, operation.object), error)
}

/// What a failed request to Keeper means.
#[must_use]
pub fn explain_keeper(what: impl Into<String>, error: &KeeperError) -> Refusal {
    Refusal {
        what: what.into(),
        expected: "Keeper answers".to_owned(),
        found: error.to_string(),
        evidence: "echo mntr | nc <keeper host> <port>".to_owned(),
        action: "repair Keeper or correct `keeper` of the target in the environment, then carry on".to_owned(),
    }
}

/// Waits a little; ends at once where the user asks to stop.
///
/// # Errors
/// [`RunErrorKind::AskProbe`] where the user asked to stop.
pub async fn pause(context: &RunContext<'_>, time: Duration) -> Result<(), RunError> {
    tokio::select! {
        () = context.ports.clock.sleep(time) => Ok(()),
        () = context.cancel.cancelled() => Err(context.fail(
            RunErrorKind::AskProbe,
            "stopped waiting, as asked",
            "",
            "",
            "",
            "`clickferry resume` carries on",
        )),
    }
}

/// Time since a moment, given in ticks of the clock.
#[must_use]
pub fn since(context: &RunContext<'_>, start: Duration) -> Duration {
    context.ports.clock.ticks().saturating_sub(start)
}

/// Whether a statement of this attempt still runs on a host.
///
/// # Errors
/// See [`SqlError`].
pub async fn still_running(context: &RunContext<'_>, host: &HostName) -> Result<bool, SqlError> {
    let query =
        format!("SELECT count() AS running FROM system.processes WHERE query_id = {}", literal(&context.query_id()));
    Ok(context.read(host, query).await?.number(0, "running").unwrap_or(0) > 0)
}

/// The first few of many, and how many more there are.
#[must_use]
pub fn first_of(all: &[String], most: usize, between: &str) -> String {
    let mut text = all.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(between);
    if all.len() > most {
        text.push_str(&format!("{between}and {} more", all.len() - most));
    }
    text
}

/// The outcome of an operation as a text field.
#[must_use]
pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}
