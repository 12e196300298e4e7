//! Makes nodes of Keeper again from the export that was written before they were removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::gate::{explain_keeper, first_of, same_server};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Keeper, KeeperError};
use crate::engine::retry::class_of_keeper;
use crate::model::ids::RunId;

/// Where the export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperData {
    /// The path that was cleared.
    pub path: String,
    /// The run that cleared it.
    pub run: RunId,
    /// Its documents with what was there.
    pub exports: Vec<String>,
}

/// One exported node.
#[derive(Clone, Debug, Deserialize)]
struct Exported {
    path: String,
    value: Option<String>,
    value_hex: Option<String>,
    #[serde(default)]
    ephemeral: bool,
}

impl Exported {
    fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.value, &self.value_hex) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(hex)) => {
                (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
            }
            (None, None) => None,
        }
    }

    /// Exports of older versions do not say it of the one kind of node that was possible.
    fn is_ephemeral(&self) -> bool {
        self.ephemeral || self.path.ends_with("/is_active")
    }
}

fn keeper(context: &RunContext<'_>) -> Result<Arc<dyn Keeper>, RunError> {
    let role = context.operation.target.as_deref().unwrap_or_default();
    context.ports.keepers.get(role).cloned().ok_or_else(|| {
        context.fail(
            RunErrorKind::NotSent,
            format!("the Keeper of `{role}` is not known"),
            "`keeper:` under the target in the environment",
            "none",
            "",
            "add it to the environment",
        )
    })
}

fn failed(context: &RunContext<'_>, kind: RunErrorKind, error: &KeeperError) -> RunError {
    let operation = context.operation;
    RunError {
        kind,
        class: class_of_keeper(error),
        refusal: explain_keeper(format!("{} {} ({})", operation.id, operation.kind, operation.object), error),
    }
}

/// The lasting nodes of the exports with their values, in the order of their paths: parents come first.
async fn wanted(context: &RunContext<'_>, data: &KeeperData) -> Result<BTreeMap<String, Vec<u8>>, RunError> {
    let broken = |name: &str, found: String| {
        context.fail(
            RunErrorKind::NotSent,
            format!("the export {name} of run {} cannot be read", data.run),
            "the document as the run wrote it",
            found,
            format!("the document {name} of run {} in {}", data.run, context.ports.state.describe()),
            "bring the document back; without it there is no way back",
        )
    };
    let mut nodes = BTreeMap::new();
    for name in &data.exports {
        let bytes = context.ports.state.get(&data.run, name).await.map_err(|error| broken(name, error.to_string()))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|error| broken(name, error.to_string()))?;
        let list = document.get("nodes").cloned().unwrap_or_default();
        let list: Vec<Exported> = serde_json::from_value(list).map_err(|error| broken(name, error.to_string()))?;
        for node in list.into_iter().filter(|node| !node.is_ephemeral()) {
            let is_below = node.path == data.path || node.path.starts_with(&format!("{}/", data.path));
            let (true, Some(value)) = (is_below, node.bytes()) else {
                return Err(broken(name, format!("the node {} does not fit", node.path)));
            };
            // The first export holds what was there; a later attempt only what came after or was left.
            nodes.entry(node.path).or_insert(value);
        }
    }
    Ok(nodes)
}

/// What is there now below the path, with what stands in the way.
async fn compare(
    context: &RunContext<'_>,
    data: &KeeperData,
    kind: RunErrorKind,
) -> Result<(BTreeMap<String, Vec<u8>>, Vec<String>), RunError> {
    let mut missing = wanted(context, data).await?;
    let found = keeper(context)?.subtree(&data.path).await.map_err(|error| failed(context, kind, &error))?;
    let mut strange = Vec::new();
    for node in found {
        match missing.get(&node.path) {
            Some(value) if *value == node.value && !node.stat.ephemeral => {
                missing.remove(&node.path);
            }
            Some(_) => strange.push(format!("{} with another value", node.path)),
            None => strange.push(format!("{}, which was not there", node.path)),
        }
    }
    Ok((missing, strange))
}

fn occupied(context: &RunContext<'_>, data: &KeeperData, kind: RunErrorKind, strange: &[String]) -> RunError {
    context.fail(
        kind,
        "something else is in Keeper where the nodes were",
        "nothing, or the very nodes of the export",
        first_of(strange, 5, "\n"),
        format!("SELECT name, value FROM system.zookeeper WHERE path = '{}'", data.path),
        "nothing was written over; find out which tables are there now, and drop them first if they are not needed",
    )
}

pub async fn prepare(context: &RunContext<'_>, data: &KeeperData) -> Result<Value, RunError> {
    for host in context.plan.hosts.iter().filter(|host| Some(&host.target) == context.operation.target.as_ref()) {
        same_server(context, &host.name).await?;
    }
    let (missing, strange) = compare(context, data, RunErrorKind::NotSent).await?;
    if strange.is_empty() {
        return Ok(json!({ "nodes": missing.len() }));
    }
    Err(occupied(context, data, RunErrorKind::NotSent, &strange))
}

/// Makes what is missing, parents first. A node that is there already is never written to.
pub async fn run(context: &RunContext<'_>, data: &KeeperData) -> Result<(), RunError> {
    let keeper = keeper(context)?;
    let (missing, strange) = compare(context, data, RunErrorKind::NotSent).await?;
    if !strange.is_empty() {
        return Err(occupied(context, data, RunErrorKind::NotSent, &strange));
    }
    // What stood above the path may have gone with the last of its tables.
    let above: Vec<&str> = data.path.match_indices('/').skip(1).map(|(at, _)| &data.path[..at]).collect();
    for path in above {
        if keeper.get(path).await.map_err(|error| failed(context, RunErrorKind::NotSent, &error))?.is_none() {
            make(context, &*keeper, path, b"").await?;
        }
    }
    let total = missing.len() as u64;
    for (at, (path, value)) in missing.iter().enumerate() {
        make(context, &*keeper, path, value).await?;
        if at % 100 == 0 {
            context.progress.progress(&context.operation.id, at as u64, Some(total), "nodes made");
        }
    }
    Ok(())
}

async fn make(context: &RunContext<'_>, keeper: &dyn Keeper, path: &str, value: &[u8]) -> Result<(), RunError> {
    context.check_locks()?;
    match keeper.create(path, value).await {
        // Somebody was quicker; the proof compares its value.
        Ok(()) | Err(KeeperError::Changed { .. }) => Ok(()),
        Err(error) => Err(failed(context, RunErrorKind::AskProbe, &error)),
    }
}

pub async fn probe(context: &RunContext<'_>, data: &KeeperData) -> Result<Probe, RunError> {
    let (missing, strange) = compare(context, data, RunErrorKind::AskProbe).await?;
    // Making the rest is not doing anything twice; what is in the way is found by the gate.
    Ok(if missing.is_empty() && strange.is_empty() { Probe::Done } else { Probe::NotDone })
}

pub async fn prove(context: &RunContext<'_>, data: &KeeperData) -> Result<Value, RunError> {
    let (missing, strange) = compare(context, data, RunErrorKind::AskProbe).await?;
    if missing.is_empty() && strange.is_empty() {
        return Ok(json!({ "path": data.path, "nodes": wanted(context, data).await?.len() }));
    }
    let lacking: Vec<String> = missing.into_keys().map(|path| format!("{path} is missing")).chain(strange).collect();
    Err(occupied(context, data, RunErrorKind::Broken, &lacking))
}
