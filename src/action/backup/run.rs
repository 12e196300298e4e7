//! Runs a backup: the gate, the statement, the wait, and the question what became of a lost one.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::manifest::{BackupState, object_refusal, state};
use crate::engine::ports::{Objects, SqlError};
use crate::engine::retry::class_of_objects;
use crate::plan::sql::literal;

use super::plan::BackupData;
use super::server::{self, Stage};

/// What the gate saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Path of this attempt.
    pub(crate) path: String,
    /// Seconds the server was up: a smaller number later means that it was restarted.
    pub(crate) uptime: u64,
}

/// The bucket of the operation.
pub(crate) fn bucket<'a>(context: &RunContext<'a>, role: &str) -> Result<&'a dyn Objects, Box<RunError>> {
    context.ports.objects.get(role).map(|objects| &**objects).ok_or_else(|| {
        Box::new(context.fail(
            RunErrorKind::NotSent,
            format!("the storage `{role}` is not bound"),
            "",
            "",
            "",
            "bind it in the environment",
        ))
    })
}

/// The path of this attempt must be empty, so that a backup found there is this one.
pub(crate) async fn prepare(context: &RunContext<'_>) -> Result<Value, RunError> {
    let data: BackupData = context.data()?;
    let path = context.fill_path(&data.path)?;
    let objects = bucket(context, &data.storage).map_err(|error| *error)?;
    let found = state(objects, &path).await.map_err(|error| RunError {
        kind: RunErrorKind::NotSent,
        class: class_of_objects(&error),
        refusal: object_refusal(&format!("{}: looking at {path}", context.operation.id), &error),
    })?;
    if found != BackupState::Nothing {
        return Err(context.fail(
            RunErrorKind::NotSent,
            format!("something is at {path} already (the server would answer 598 BACKUP_ALREADY_EXISTS)"),
            "nothing there",
            describe(found),
            format!("clickferry inspect shows {}", objects.describe()),
            "choose another path, and plan again; nothing was sent",
        ));
    }
    let host = context.host()?;
    let answer = context.read(host, "SELECT uptime() AS uptime").await.map_err(|error| not_sent(context, &error))?;
    let gate = Gate { path, uptime: answer.number(0, "uptime").unwrap_or(0) };
    Ok(serde_json::to_value(gate).unwrap_or(Value::Null))
}

/// A failed question before anything was sent.
pub(crate) fn not_sent(context: &RunContext<'_>, error: &SqlError) -> RunError {
    let mut failure = RunError::from_sql(
        format!("{} {}: asking before the start", context.operation.id, context.operation.object),
        error,
    );
    failure.kind = RunErrorKind::NotSent;
    failure
}

/// What is at a path, in words.
pub(crate) fn describe(state: BackupState) -> &'static str {
    match state {
        BackupState::Complete => "a complete backup",
        BackupState::CompleteLocked => "a complete backup whose `.lock` is still there",
        BackupState::Unfinished => "a `.lock` without a manifest",
        BackupState::Remains => "objects without a manifest",
        BackupState::Nothing => "nothing",
    }
}

/// Sends the statement and waits for its end.
pub(crate) async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    context.execute(0).await?;
    server::wait(context, context.host()?, context.operation.estimate_bytes).await
}

/// What a stopped attempt left in the bucket, for people.
pub(crate) async fn leftovers(context: &RunContext<'_>) -> Result<String, RunError> {
    let data: BackupData = context.data()?;
    let path = context.fill_path(&data.path)?;
    let objects = bucket(context, &data.storage).map_err(|error| *error)?;
    let found = state(objects, &path).await.map_or_else(|error| error.to_string(), |state| describe(state).to_owned());
    Ok(format!(
        "the backup to {path} in {} was stopped; there: {found}. The next attempt writes to another path",
        objects.describe()
    ))
}

/// Tells what became of an attempt: from the server's list, else from the bucket.
pub(crate) async fn probe(context: &RunContext<'_>) -> Probe {
    match ask(context).await {
        Ok(probe) => probe,
        Err(error) => Probe::Unknown(Box::new(error.refusal)),
    }
}

async fn ask(context: &RunContext<'_>) -> Result<Probe, RunError> {
    let data: BackupData = context.data()?;
    let host = context.host()?;
    let id = context.query_id();
    let answered = match server::look(context, host, &id).await {
        Ok(Some(task)) => {
            return Ok(match task.stage {
                Stage::Running => Probe::Running,
                Stage::Done => Probe::Done,
                Stage::Failed(_) => Probe::NotDone,
            });
        }
        Ok(None) => match server::is_in_progress(context, host, &id).await {
            Ok(true) => return Ok(Probe::Running),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    let path = context.fill_path(&data.path)?;
    let objects = bucket(context, &data.storage).map_err(|error| *error)?;
    let found = state(objects, &path).await;
    Ok(match (&answered, &found) {
        // The manifest is written last, and the lock goes after it.
        (_, Ok(BackupState::Complete)) => Probe::Done,
        // The server lives and does not know the id: nobody writes there any more. The next attempt has a path of
        // its own, so what is left of this one is in nobody's way.
        (Ok(()), Ok(_)) => Probe::NotDone,
        _ => {
            let server =
                answered.err().map_or_else(|| "it does not know the backup".to_owned(), |error| error.to_string());
            let store = found.map_or_else(|error| error.to_string(), |state| describe(state).to_owned());
            Probe::Unknown(Box::new(context.refusal(
                "whether the backup was made cannot be told",
                "the server tells, or a complete backup in the bucket",
                format!("server: {server}; at {path}: {store}"),
                format!("on {host}: SELECT status, error FROM system.backups WHERE id = {}", literal(&id)),
                "bring the server (or the store) back, then `clickferry resume`",
            )))
        }
    })
}
