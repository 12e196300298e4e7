//! Asks a server how far a BACKUP or RESTORE is, by its id in `system.backups`, and waits for its end.
//!
//! The table is in the server's memory only: an id that was there and is not any longer means that the server
//! restarted and the operation is dead. It is still there when the operation failed or was cancelled.

use std::time::Duration;

use serde_json::Value;

use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// First pause between two questions; it grows to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a server may be silent before the wait is given up and the probe is asked.
const SILENCE: Duration = Duration::from_secs(60);

/// How far an operation of the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It runs.
    Running,
    /// It says that it is done. That is no proof.
    Done,
    /// It failed or was cancelled, with the server's words.
    Failed(String),
}

/// The row of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// How far it is.
    pub(crate) stage: Stage,
    /// Bytes moved so far, as far as the server tells.
    pub(crate) bytes: u64,
    /// Files moved and to move; 0 while the server does not tell.
    pub(crate) files: (u64, u64),
}

/// Looks an operation up; `None` when the server does not know it (any longer).
///
/// # Errors
/// See [`SqlError`].
pub(crate) async fn look(context: &RunContext<'_>, host: &HostName, id: &str) -> Result<Option<Task>, SqlError> {
    // Columns differ between versions, so all are taken and picked by name.
    let answer = context.read(host, format!("SELECT * FROM system.backups WHERE id = {}", literal(id))).await?;
    Ok(task(&answer))
}

/// Whether the statement of an id is still being worked on, though `system.backups` may not have it yet.
///
/// # Errors
/// See [`SqlError`].
pub(crate) async fn is_in_progress(context: &RunContext<'_>, host: &HostName, id: &str) -> Result<bool, SqlError> {
    let answer = context
        .read(host, format!("SELECT count() AS n FROM system.processes WHERE query_id = {}", literal(id)))
        .await?;
    Ok(answer.number(0, "n").unwrap_or(0) > 0)
}

fn task(answer: &Answer) -> Option<Task> {
    let status = answer.text(0, "status")?;
    let error = answer.text(0, "error").unwrap_or_default();
    let stage = match status.as_str() {
        "CREATING_BACKUP" | "RESTORING" => Stage::Running,
        "BACKUP_CREATED" | "RESTORED" => Stage::Done,
        other => Stage::Failed(if error.is_empty() { other.to_owned() } else { error }),
    };
    let event = |name: &str| match answer.get(0, "ProfileEvents").and_then(|events| events.get(name)) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        _ => 0,
    };
    let bytes = answer.number(0, "bytes_read").unwrap_or(0).max(event("WriteBufferFromS3Bytes"));
    let files = (answer.number(0, "files_read").unwrap_or(0), answer.number(0, "num_files").unwrap_or(0));
    Some(Task { stage, bytes, files })
}

/// Waits for the end of the operation of this attempt on its host; `total` bytes are expected.
///
/// # Errors
/// [`RunErrorKind::AskProbe`] when it failed, when the server restarted or went silent, when time is over, or when
/// the user asked to stop waiting (the server goes on with it).
pub(crate) async fn wait(context: &RunContext<'_>, host: &HostName, total: Option<u64>) -> Result<(), RunError> {
    let id = context.query_id();
    let evidence = format!("on {host}: SELECT status, error FROM system.backups WHERE id = {}", literal(&id));
    let ask = |what: &str, expected: &str, found: String, action: &str| {
        context.fail(RunErrorKind::AskProbe, what, expected, found, evidence.clone(), action)
    };
    let began = context.ports.clock.ticks();
    let mut heard = began;
    let mut pause = FIRST_PAUSE;
    loop {
        let now = context.ports.clock.ticks();
        match look(context, host, &id).await {
            Ok(Some(Task { stage: Stage::Done, .. })) => return Ok(()),
            Ok(Some(Task { stage: Stage::Failed(error), .. })) => return Err(failed(context, host, &error)),
            Ok(Some(task)) => {
                heard = now;
                context.progress.progress(&context.operation.id, task.bytes, total, &words(&task));
            }
            Ok(None) => {
                return Err(ask(
                    "the server does not know the operation any longer",
                    "its id in system.backups",
                    "no row: the server was restarted".to_owned(),
                    "clickferry asks what became of it before anything is repeated",
                ));
            }
            Err(error) if now.saturating_sub(heard) > SILENCE => {
                return Err(ask(
                    "the server stopped answering",
                    "an answer",
                    error.to_string(),
                    "bring the server back, then `clickferry resume`",
                ));
            }
            Err(error) => context.progress.progress(&context.operation.id, 0, None, &format!("waiting: {error}")),
        }
        if context.cancel.is_cancelled() {
            return Err(ask(
                "stopped waiting as asked; the server goes on with it",
                "",
                "it is still running".to_owned(),
                "`clickferry resume` asks how it ended",
            ));
        }
        if now.saturating_sub(began) > context.timeout {
            return Err(ask(
                "it takes longer than the step allows; the server goes on with it",
                &format!("an end within {} s", context.timeout.as_secs()),
                "it is still running".to_owned(),
                "raise `timeout` of the step, then `clickferry resume`",
            ));
        }
        tokio::select! {
            () = context.ports.clock.sleep(pause) => {}
            () = context.cancel.cancelled() => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn words(task: &Task) -> String {
    match task.files {
        (_, 0) => String::new(),
        (done, all) => format!("{done} of {all} files"),
    }
}

fn failed(context: &RunContext<'_>, host: &HostName, error: &str) -> RunError {
    let (code, name, message) = parse_exception(error);
    let what = format!("{} on {host}: {}", context.operation.kind, context.operation.object);
    RunError::from_sql(what, &SqlError::Server { host: host.clone(), code, name, message })
}

/// Takes `Code: N. DB::Exception: text. (NAME), Stack trace ...` apart, as `system.backups` keeps it.
fn parse_exception(text: &str) -> (i32, String, String) {
    let head = text.split(", Stack trace").next().unwrap_or(text);
    let head = head.split(" (version ").next().unwrap_or(head).trim();
    let Some((code, rest)) = head.strip_prefix("Code: ").and_then(|rest| rest.split_once(". ")) else {
        return (0, String::new(), head.to_owned());
    };
    let rest = rest.strip_prefix("DB::Exception: ").unwrap_or(rest);
    let named = rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    match named {
        Some((message, name)) if name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') => {
            (code.parse().unwrap_or(0), name.to_owned(), message.trim_end_matches('.').to_owned())
        }
        _ => (code.parse().unwrap_or(0), String::new(), rest.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_lose_their_stack_trace() {
        let text = "Code: 81. DB::Exception: Database nosuch does not exist. (UNKNOWN_DATABASE), Stack trace (when copying this message, always include the lines below):\n\n0. ? @ 0x1";
        assert_eq!(
            parse_exception(text),
            (81, "UNKNOWN_DATABASE".to_owned(), "Database nosuch does not exist".to_owned())
        );
        let nested = "Code: 499. DB::Exception: Failed to check (version 26.7.2.1). HTTP response code: 403";
        assert_eq!(parse_exception(nested).0, 499);
        assert_eq!(parse_exception("torn"), (0, String::new(), "torn".to_owned()));
    }

    #[test]
    fn an_unknown_status_is_no_success() {
        let row = |status: &str| Answer {
            columns: vec!["status".to_owned(), "error".to_owned(), "ProfileEvents".to_owned()],
            rows: vec![vec![status.into(), "".into(), serde_json::json!({ "WriteBufferFromS3Bytes": 7 })]],
            ..Answer::default()
        };
        assert_eq!(task(&row("BACKUP_CREATED")).map(|task| (task.stage, task.bytes)), Some((Stage::Done, 7)));
        assert_eq!(task(&row("SOMETHING_NEW")).map(|task| task.stage), Some(Stage::Failed("SOMETHING_NEW".to_owned())));
        assert_eq!(task(&Answer::default()), None);
    }
}
