//! Deletes the backup that a run wrote, object by object, and nothing else.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::gate::first_of;
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::manifest::{BackupState, ManifestError, object_refusal, objects_of, read_head, state};
use crate::engine::ports::{ObjectError, Objects};
use crate::engine::retry::class_of_objects;

/// What the run wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketData {
    /// Storage role.
    pub storage: String,
    /// Paths of its attempts; each gate saw that nothing was there.
    pub paths: Vec<Written>,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Path.
    pub path: String,
    /// UUID of the backup, where the attempt came to its end.
    pub uuid: Option<String>,
}

fn bucket<'a>(context: &RunContext<'a>, data: &BucketData) -> Result<&'a dyn Objects, RunError> {
    context.ports.objects.get(&data.storage).map(|objects| &**objects).ok_or_else(|| {
        context.fail(
            RunErrorKind::NotSent,
            format!("the storage `{}` is not bound", data.storage),
            "",
            "",
            "",
            "bind it in the environment",
        )
    })
}

fn failed(context: &RunContext<'_>, kind: RunErrorKind, error: &ObjectError) -> RunError {
    let what = format!("{} {}", context.operation.id, context.operation.object);
    RunError { kind, class: class_of_objects(error), refusal: object_refusal(&what, error) }
}

/// Everything below the paths is what the run wrote, and no other backup rests on it.
pub async fn prepare(context: &RunContext<'_>, data: &BucketData) -> Result<Value, RunError> {
    let objects = bucket(context, data)?;
    let mut count = 0;
    for written in &data.paths {
        count += own_objects(context, objects, written).await?.len();
        if written.uuid.is_some() {
            nothing_rests_on(context, objects, &written.path).await?;
        }
    }
    Ok(json!({ "objects": count }))
}

fn closed(context: &RunContext<'_>, objects: &dyn Objects, what: String, expected: &str, found: String) -> RunError {
    context.fail(
        RunErrorKind::NotSent,
        what,
        expected,
        found,
        format!("clickferry inspect shows {}", objects.describe()),
        "nothing was deleted; find out who uses this path, and delete by hand what is not needed",
    )
}

/// Keys below a path, the manifest last; refused where one of them is not the run's.
async fn own_objects(
    context: &RunContext<'_>,
    objects: &dyn Objects,
    written: &Written,
) -> Result<Vec<String>, RunError> {
    let path = &written.path;
    let not_sent = |error: &ObjectError| failed(context, RunErrorKind::NotSent, error);
    let listed = objects.list(&format!("{path}/")).await.map_err(|error| not_sent(&error))?;
    let mut keys: Vec<String> = listed.into_iter().map(|object| object.key).collect();
    let manifest = format!("{path}/.backup");
    if keys.contains(&manifest) {
        let (head, own) = match objects_of(objects, path).await {
            Ok(found) => found,
            Err(ManifestError::Objects(error)) => return Err(not_sent(&error)),
            Err(error) => {
                let refusal = error.refusal(&format!("{} {}", context.operation.id, context.operation.object));
                return Err(RunError { kind: RunErrorKind::NotSent, class: None, refusal });
            }
        };
        if written.uuid.as_deref() != Some(head.uuid.as_str()) {
            let expected = written.uuid.as_deref().unwrap_or("no complete backup");
            return Err(closed(context, objects, format!("another backup is at {path}"), expected, head.uuid));
        }
        let strange: Vec<String> = keys.iter().filter(|key| !own.contains(*key)).cloned().collect();
        if !strange.is_empty() {
            return Err(closed(
                context,
                objects,
                format!("there are objects at {path} that the run did not write"),
                "only what the backup's manifest names",
                first_of(&strange, 5, ", "),
            ));
        }
    } else if written.uuid.is_some() && !keys.is_empty() && context.attempt == 1 {
        let found = first_of(&keys, 5, ", ");
        return Err(closed(context, objects, format!("the backup at {path} has no manifest"), "its manifest", found));
    }
    // As long as the manifest is there, it tells what belongs to the backup.
    keys.sort_by_key(|key| *key == manifest);
    Ok(keys)
}

/// Incremental backups beside it may rest on it, and only they know.
async fn nothing_rests_on(context: &RunContext<'_>, objects: &dyn Objects, path: &str) -> Result<(), RunError> {
    let not_sent = |error: &ObjectError| failed(context, RunErrorKind::NotSent, error);
    let parent = path.rsplit_once('/').map(|(parent, _)| format!("{parent}/")).unwrap_or_default();
    let own = &path[parent.len()..];
    for name in objects.list_level(&parent).await.map_err(|error| not_sent(&error))? {
        let beside = format!("{parent}{name}");
        if name == own || !is_complete(objects, &beside).await.map_err(|error| not_sent(&error))? {
            continue;
        }
        match read_head(objects, &beside).await {
            Ok(head) if head.incremental => {
                return Err(closed(
                    context,
                    objects,
                    format!("an incremental backup lies beside {path} and may rest on it"),
                    "no incremental backup in the same folder",
                    beside,
                ));
            }
            Err(ManifestError::Objects(error)) => return Err(not_sent(&error)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

async fn is_complete(objects: &dyn Objects, path: &str) -> Result<bool, ObjectError> {
    Ok(matches!(state(objects, path).await?, BackupState::Complete | BackupState::CompleteLocked))
}

pub async fn run(context: &RunContext<'_>, data: &BucketData) -> Result<(), RunError> {
    let objects = bucket(context, data)?;
    let mut deleted = 0;
    for written in &data.paths {
        let keys = own_objects(context, objects, written).await?;
        let total = keys.len() as u64;
        for key in keys {
            // A process may have been stopped for a while between two of them.
            context.check_locks()?;
            objects.delete(&key).await.map_err(|error| failed(context, RunErrorKind::AskProbe, &error))?;
            deleted += 1;
            if deleted % 100 == 0 {
                context.progress.progress(&context.operation.id, deleted, Some(total), "objects deleted");
            }
        }
    }
    Ok(())
}

/// What is left at the paths.
async fn left(context: &RunContext<'_>, data: &BucketData) -> Result<Vec<String>, RunError> {
    let objects = bucket(context, data)?;
    let mut left = Vec::new();
    for written in &data.paths {
        let listed = objects.list(&format!("{}/", written.path)).await;
        let listed = listed.map_err(|error| failed(context, RunErrorKind::AskProbe, &error))?;
        left.extend(listed.into_iter().map(|object| object.key));
    }
    Ok(left)
}

/// Deleting the rest is not doing anything twice.
pub async fn probe(context: &RunContext<'_>, data: &BucketData) -> Result<Probe, RunError> {
    Ok(if left(context, data).await?.is_empty() { Probe::Done } else { Probe::NotDone })
}

pub async fn prove(context: &RunContext<'_>, data: &BucketData) -> Result<Value, RunError> {
    let left = left(context, data).await?;
    if left.is_empty() {
        let paths: Vec<&str> = data.paths.iter().map(|written| written.path.as_str()).collect();
        return Ok(json!({ "storage": data.storage, "paths": paths }));
    }
    Err(context.fail(
        RunErrorKind::Broken,
        "objects of the backup are still there",
        "none",
        first_of(&left, 5, ", "),
        format!("clickferry inspect shows {}", bucket(context, data)?.describe()),
        "look who writes there, then `clickferry resume`",
    ))
}
