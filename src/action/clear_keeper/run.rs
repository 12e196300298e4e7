//! Removing a subtree: nothing live, everything exported, from the leaves, each node in the version exported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::observe::is_at_or_below;
use super::planned::{made_before, strangers};
use super::{Data, export_name, exported};
use crate::action::gate::{PAUSE, explain_keeper, first_of, pause, same_server, since};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Keeper, KeeperError, KeeperNode, StateError};
use crate::engine::retry::class_of_keeper;
use crate::model::words::{count, count_of};
use crate::plan::operation::Effect;
use crate::plan::sql::literal;

/// A killed server's session ends after its timeout, 30 seconds by default (`zookeeper.session_timeout_ms`).
const SESSION_WAIT: Duration = Duration::from_secs(45);

/// How often the subtree is listed again because something appeared below it.
const ROUNDS: u32 = 5;

fn keeper(context: &RunContext<'_>) -> Option<Arc<dyn Keeper>> {
    context.ports.keepers.get(context.operation.target.as_deref().unwrap_or_default()).cloned()
}

fn no_keeper(context: &RunContext<'_>) -> RunError {
    let role = context.operation.target.as_deref().unwrap_or_default();
    context.fail(
        RunErrorKind::NotSent,
        format!("the Keeper of `{role}` is not known"),
        "`keeper:` under the target in the environment",
        "none",
        "",
        "add it to the environment",
    )
}

fn failed(context: &RunContext<'_>, kind: RunErrorKind, error: &KeeperError) -> RunError {
    let operation = context.operation;
    RunError {
        kind,
        class: class_of_keeper(error),
        refusal: explain_keeper(format!("{} {} ({})", operation.id, operation.kind, operation.object), error),
    }
}

pub async fn prepare(context: &RunContext<'_>, data: &Data) -> Result<Value, RunError> {
    let keeper = keeper(context).ok_or_else(|| no_keeper(context))?;
    if context.operation.effect != Effect::Read {
        // The paths are those of these servers: where another one answers, another cluster is meant.
        for host in context.plan.hosts.iter().filter(|host| Some(&host.target) == context.operation.target.as_ref()) {
            same_server(context, &host.name).await?;
        }
    }
    let start = context.ports.clock.ticks();
    loop {
        let nodes = keeper.subtree(&data.path).await.map_err(|error| failed(context, RunErrorKind::NotSent, &error))?;
        let sessions = sessions(&nodes);
        if sessions.is_empty() {
            check_planned(context, RunErrorKind::NotSent, data, &nodes)?;
            return Ok(json!({ "nodes": nodes.len() }));
        }
        if data.only_look || since(context, start) > SESSION_WAIT {
            return Err(live(context, RunErrorKind::NotSent, data, &sessions));
        }
        context.progress.progress(
            &context.operation.id,
            0,
            None,
            &format!("waiting for the end of {}", count_of(sessions.len(), "session")),
        );
        pause(context, PAUSE * 4).await.map_err(|error| RunError { kind: RunErrorKind::NotSent, ..error })?;
    }
}

fn sessions(nodes: &[KeeperNode]) -> Vec<&KeeperNode> {
    nodes.iter().filter(|node| node.stat.ephemeral).collect()
}

/// Refuses what came after the plan was made, whoever made it.
fn check_planned(
    context: &RunContext<'_>,
    kind: RunErrorKind,
    data: &Data,
    nodes: &[KeeperNode],
) -> Result<(), RunError> {
    let Some(planned) = &data.planned else { return Ok(()) };
    let made = made_before(&context.plan.operations, context.operation);
    // Behind the first removal there is less than what was planned.
    let is_first = context.attempt == 1 && kind == RunErrorKind::NotSent;
    let strangers = strangers(planned, nodes, &made, is_first);
    let Some(first) = strangers.first() else { return Ok(()) };
    let above = first.rsplit_once('/').map_or("/", |(above, _)| above);
    Err(context.fail(
        kind,
        format!("there is something below {} that the plan does not know", data.path),
        "nothing but what stood there when the plan was made, and what the tables it drops have written since",
        format!("{}: {}", count_of(strangers.len(), "node"), first_of(&strangers, 5, ", ")),
        format!("SELECT name, value, ctime FROM system.zookeeper WHERE path = {}", literal(above)),
        "nothing of it was removed; find out who made it, then plan again",
    ))
}

fn live(context: &RunContext<'_>, kind: RunErrorKind, data: &Data, sessions: &[&KeeperNode]) -> RunError {
    let shown: Vec<&str> = sessions.iter().take(5).map(|node| node.path.as_str()).collect();
    context.fail(
        kind,
        format!("a live server uses {}", data.path),
        "no session below the path",
        format!("{}: {}", count_of(sessions.len(), "ephemeral node"), shown.join(", ")),
        "SELECT database, table, replica_path FROM system.replicas on the server that owns the session",
        "drop the table there first, or leave the path out",
    )
}

pub async fn run(context: &RunContext<'_>, data: &Data) -> Result<(), RunError> {
    if data.only_look {
        return Ok(());
    }
    let keeper = keeper(context).ok_or_else(|| no_keeper(context))?;
    let mut export: BTreeMap<String, Value> = BTreeMap::new();
    let mut deleted = 0;
    for _ in 0..ROUNDS {
        // Nothing is deleted yet in the first round, so a failure there is known to have changed nothing.
        let kind = if deleted == 0 { RunErrorKind::NotSent } else { RunErrorKind::AskProbe };
        let nodes = keeper.subtree(&data.path).await.map_err(|error| failed(context, kind, &error))?;
        if nodes.is_empty() {
            return Ok(());
        }
        let sessions = sessions(&nodes);
        if !sessions.is_empty() {
            return Err(live(context, kind, data, &sessions));
        }
        check_planned(context, kind, data, &nodes)?;
        export.extend(nodes.iter().map(|node| (node.path.clone(), exported(node))));
        write_export(context, data, &export, kind).await?;
        deleted += remove(context, &*keeper, data, &nodes, deleted).await?;
    }
    Err(context.fail(
        RunErrorKind::AskProbe,
        format!("something writes below {} again and again", data.path),
        "nothing new while the path is removed",
        format!("still there after {ROUNDS} rounds, {} removed", count(deleted, "node")),
        "SELECT database, table, zookeeper_path FROM system.replicas on every server",
        "find out which server creates tables there, stop that, then `clickferry resume`",
    ))
}

async fn write_export(
    context: &RunContext<'_>,
    data: &Data,
    export: &BTreeMap<String, Value>,
    kind: RunErrorKind,
) -> Result<(), RunError> {
    let nodes: Vec<&Value> = export.values().collect();
    let document = json!({ "path": data.path, "nodes": nodes });
    let text = serde_json::to_vec_pretty(&document).unwrap_or_default();
    let name = export_name(context, context.attempt);
    context.ports.state.put(&context.run.id, &name, &text).await.map_err(|error| {
        context.fail(
            kind,
            "the export could not be written",
            "an export before anything is removed",
            error.to_string(),
            "",
            "repair the state, then `clickferry resume`",
        )
    })
}

/// Removes the nodes, children before parents. What changed meanwhile is left for the next round.
async fn remove(
    context: &RunContext<'_>,
    keeper: &dyn Keeper,
    data: &Data,
    nodes: &[KeeperNode],
    before: u64,
) -> Result<u64, RunError> {
    let mut deepest: Vec<&KeeperNode> = nodes.iter().filter(|node| is_at_or_below(&node.path, &data.path)).collect();
    deepest.sort_by_key(|node| std::cmp::Reverse(node.path.matches('/').count()));
    let total = before + deepest.len() as u64;
    let mut deleted = 0;
    for node in deepest {
        context.check_locks()?;
        match keeper.delete(&node.path, node.stat.version).await {
            Ok(()) => deleted += 1,
            Err(KeeperError::NoNode { .. } | KeeperError::Changed { .. }) => {}
            Err(error) => return Err(failed(context, RunErrorKind::AskProbe, &error)),
        }
        if deleted % 100 == 0 {
            context.progress.progress(&context.operation.id, before + deleted, Some(total), "nodes removed");
        }
    }
    Ok(deleted)
}

pub async fn probe(context: &RunContext<'_>, data: &Data) -> Probe {
    let Some(keeper) = keeper(context) else {
        return Probe::Unknown(Box::new(no_keeper(context).refusal));
    };
    match keeper.get(&data.path).await {
        Ok(None) => Probe::Done,
        // Removing the rest is not doing anything twice.
        Ok(Some(_)) => Probe::NotDone,
        Err(error) => Probe::Unknown(Box::new(failed(context, RunErrorKind::AskProbe, &error).refusal)),
    }
}

/// The exports of all attempts so far; one that found nothing to remove wrote none.
///
/// # Errors
/// A state that does not answer: what cannot be read is not taken for something that was never written.
pub async fn exports(context: &RunContext<'_>) -> Result<Vec<(String, Vec<u8>)>, RunError> {
    let mut exports = Vec::new();
    for attempt in 1..=context.attempt {
        let name = export_name(context, attempt);
        match context.ports.state.get(&context.run.id, &name).await {
            Ok(text) => exports.push((name, text)),
            Err(StateError::Missing { .. }) => {}
            Err(error) => return Err(unreadable(context, &name, error.to_string())),
        }
    }
    Ok(exports)
}

/// The export is the only way back, so an outcome that does not name it would lose what was removed.
fn unreadable(context: &RunContext<'_>, name: &str, found: String) -> RunError {
    context.fail(
        RunErrorKind::AskProbe,
        format!("the export {name} of what was removed cannot be read"),
        "the document as the run wrote it",
        found,
        format!("the document {name} of run {} in {}", context.run.id, context.ports.state.describe()),
        "repair the state, then `clickferry resume`",
    )
}

pub async fn prove(context: &RunContext<'_>, data: &Data) -> Result<Value, RunError> {
    let keeper = keeper(context).ok_or_else(|| no_keeper(context))?;
    let found = keeper.get(&data.path).await.map_err(|error| failed(context, RunErrorKind::AskProbe, &error))?;
    if found.is_some() {
        let kind = if data.only_look { RunErrorKind::Differs } else { RunErrorKind::Broken };
        return Err(context.fail(
            kind,
            format!("the Keeper path {} is there", data.path),
            "not there",
            "it exists",
            format!("SELECT name FROM system.zookeeper WHERE path = '{}'", data.path),
            "find out who creates tables there, then plan again",
        ));
    }
    let mut exports = Vec::new();
    let mut paths = std::collections::BTreeSet::new();
    for (name, text) in self::exports(context).await? {
        let document: Value =
            serde_json::from_slice(&text).map_err(|error| unreadable(context, &name, error.to_string()))?;
        let nodes = document.get("nodes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        paths.extend(nodes.iter().filter_map(|node| node.get("path").and_then(Value::as_str).map(str::to_owned)));
        exports.push(name);
    }
    Ok(json!({ "path": data.path, "nodes_deleted": paths.len(), "export": exports }))
}
