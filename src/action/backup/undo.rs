//! The backup that a run wrote is deleted.

use serde::Deserialize;
use serde_json::Value;

use super::plan::BackupData;
use super::run::{Gate, bucket};
use crate::action::gate::field;
use crate::action::undo::bucket::{BucketData, Written};
use crate::action::undo::{Data as UndoData, NAME};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::manifest::{BackupState, object_refusal, state};
use crate::engine::retry::class_of_objects;
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::{Effect, Loss};
use crate::plan::statement::Statement;

/// Whether an attempt that did not come to its end left objects.
pub(crate) async fn remains(context: &RunContext<'_>) -> Result<bool, RunError> {
    let data: BackupData = context.data()?;
    let Some(gate) = context.intent_data::<Gate>() else { return Ok(false) };
    let objects = bucket(context, &data.storage).map_err(|error| *error)?;
    let found = state(objects, &gate.path).await.map_err(|error| RunError {
        kind: RunErrorKind::NotSent,
        class: class_of_objects(&error),
        refusal: object_refusal(&format!("{}: looking at {}", context.operation.id, gate.path), &error),
    })?;
    Ok(found != BackupState::Nothing)
}

pub(crate) fn undo(context: &UndoContext<'_>) -> Undo {
    let Ok(data) = context.operation.data.read::<BackupData>() else {
        return Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it");
    };
    let outcome = context.outcome();
    let done = outcome.and_then(|outcome| Some((field(outcome, "path")?, field(outcome, "uuid")?)));
    let paths: Vec<Written> = context
        .intents
        .iter()
        .filter_map(|(_, intent)| Gate::deserialize(intent).ok())
        .map(|gate| Written {
            uuid: done.filter(|(path, _)| *path == gate.path).map(|(_, uuid)| uuid.to_owned()),
            path: gate.path,
        })
        .collect();
    if let Some((run, path)) = paths.iter().find_map(|written| Some((user(context, &written.path)?, &written.path))) {
        return Undo::impossible(
            format!("run {run}, which is not over, names the backup at {path}"),
            format!("bring run {run} to its end first, or keep the backup (`--to` the step behind it)"),
        );
    }
    let names: Vec<&str> = paths.iter().map(|written| written.path.as_str()).collect();
    let names = names.join(", ");
    let bytes = outcome.and_then(|outcome| outcome.get("bytes")).and_then(Value::as_u64).unwrap_or(0);
    let mut operation = context
        .reverse(NAME, "delete", Effect::Destroy)
        .statement(Statement::exact(format!(
            "delete every object of the backup at {names} in storage `{}`",
            data.storage
        )))
        .loses(Loss { bytes, ..Loss::default() })
        .promises(
            "only objects that the backup's own manifest names, or that an attempt of the run left",
            format!("nothing at {names}"),
            "the listing is empty",
        )
        .with_data(&UndoData::Bucket(BucketData { storage: data.storage.clone(), paths }));
    operation.object = format!("backup {names}");
    Undo::Operations(vec![operation])
}

/// A run that is not over and names the path.
fn user<'a>(context: &'a UndoContext<'_>, path: &str) -> Option<&'a str> {
    let names = |text: &str| text.contains(&format!("/{path}'")) || text == path;
    context
        .open
        .iter()
        .find(|(_, plan)| {
            plan.operations.iter().any(|operation| {
                operation.statements.iter().any(|statement| names(&statement.text))
                    || operation.data.value().pointer("/origin/path").and_then(Value::as_str).is_some_and(names)
            })
        })
        .map(|(run, _)| run.0.as_str())
}
