//! Drops or empties a table, view or dictionary that a run made, if it is exactly as the run left it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Data, NAME};
use crate::action::gate::{cannot_read, explain_keeper, same_server, still_running, unproved, unread};
use crate::action::restore::rows::{Seen, evidence, is_settled, see_until, words};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::retry::class_of_keeper;
use crate::engine::undo::UndoContext;
use crate::model::ids::HostName;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::sql::{literal, qualified};
use crate::plan::statement::Statement;

/// How long replicas may take to come to rest, and a table to be empty or gone on all of them.
const REST: Duration = Duration::from_secs(120);

/// A table as the run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableData {
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// Dropped, or only emptied.
    pub drops: bool,
    /// How it was left on each host.
    pub left: BTreeMap<HostName, Left>,
    /// Whether its engine may have merged rows away since, or the run did not come to its end: then there may be fewer.
    pub may_be_fewer: bool,
    /// Its replica in Keeper, which goes with it.
    pub replica: Option<String>,
}

/// A table on one host as the run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// UUID; `None` where it was not recorded.
    pub uuid: Option<String>,
    /// Rows.
    pub rows: u64,
    /// What [`Seen::blocks`] said.
    pub blocks: Option<String>,
}

/// The operation that drops or empties it.
#[must_use]
pub fn operation(context: &UndoContext<'_>, noun: &str, data: TableData) -> Operation {
    let name = qualified(&data.database, &data.name);
    let rows: u64 = data.left.values().map(|left| left.rows).sum();
    let on: Vec<&str> = data.left.keys().map(|host| host.as_str()).collect();
    let on = on.join(", ");
    let holds_rows = noun == "TABLE";
    let exactly = match (rows, data.may_be_fewer) {
        (0, _) => "no rows".to_owned(),
        (rows, false) => format!("exactly the {rows} rows that the run put there"),
        (rows, true) => format!("at most the {rows} rows that the run put there"),
    };
    let (kind, statement, after, check) = if data.drops {
        let check = "no such object, and nothing of it in system.dropped_tables";
        ("drop", format!("DROP {noun} {name} SYNC"), "gone".to_owned(), check.to_owned())
    } else {
        let check = format!("no rows on {on}, nothing under way between them");
        ("empty", format!("TRUNCATE TABLE {name}"), format!("empty on {on}"), check)
    };
    let tables = if holds_rows { data.left.len() as u64 } else { 0 };
    context
        .reverse(NAME, kind, Effect::Destroy)
        .statement(Statement::exact(statement))
        .loses(Loss { tables, rows, ..Loss::default() })
        .promises(format!("as the run left it on {on}: {exactly}"), after, check)
        .with_data(&Data::Table(data))
}

fn hosts(data: &TableData) -> Vec<HostName> {
    data.left.keys().cloned().collect()
}

pub async fn prepare(context: &RunContext<'_>, data: &TableData) -> Result<Value, RunError> {
    let hosts = hosts(data);
    for host in &hosts {
        same_server(context, host).await?;
    }
    let seen = see_until(context, &hosts, (&data.database, &data.name), REST, is_settled)
        .await
        .map_err(|error| unread(context, "looking at what would be taken back", &error))?;
    let mut differences = Vec::new();
    if !is_settled(&seen) {
        differences.push(format!("its replicas do not come to rest: {}", words(&hosts, &seen)));
    }
    // A second attempt finds what the first one left.
    let may_be_fewer = data.may_be_fewer || context.attempt > 1;
    for (host, seen) in hosts.iter().zip(&seen) {
        if let Some(left) = data.left.get(host) {
            differences.extend(difference(left, seen, may_be_fewer).map(|found| format!("{host}: {found}")));
        }
    }
    if differences.is_empty() {
        return Ok(json!({ "rows": rows_of(&hosts, &seen) }));
    }
    Err(context.fail(
        RunErrorKind::NotSent,
        "it is not as the run left it, so it is not the run's to take away",
        context.operation.before.clone(),
        differences.join("; "),
        evidence(&hosts, &data.database, &data.name),
        "nothing was changed; find out who wrote to it, save what is needed, then take it back by hand",
    ))
}

fn rows_of(hosts: &[HostName], seen: &[Seen]) -> BTreeMap<String, u64> {
    hosts.iter().map(|host| host.0.clone()).zip(seen.iter().map(|seen| seen.rows)).collect()
}

/// In what a table differs from how the run left it.
fn difference(left: &Left, seen: &Seen, may_be_fewer: bool) -> Option<String> {
    if !seen.exists() {
        return Some("no such object".to_owned());
    }
    if let Some(uuid) = &left.uuid
        && *uuid != seen.uuid
    {
        return Some(format!("UUID {} instead of {uuid}", seen.uuid));
    }
    let most = seen.rows.max(seen.counted);
    if most > left.rows || (most < left.rows && !may_be_fewer) {
        return Some(format!("{most} rows instead of {}", left.rows));
    }
    match (&left.blocks, &seen.blocks) {
        (Some(before), Some(now)) if before != now && seen.rows > 0 => {
            Some("as many rows, but other blocks: somebody wrote to it".to_owned())
        }
        _ => None,
    }
}

pub async fn probe(context: &RunContext<'_>, data: &TableData) -> Result<Probe, RunError> {
    let host = context.host()?;
    let unread = |error| cannot_read(context, &error);
    if still_running(context, host).await.map_err(unread)? {
        return Ok(Probe::Running);
    }
    if data.drops {
        let is_there = is_there(context, host, data).await.map_err(unread)?;
        return Ok(if is_there { Probe::NotDone } else { Probe::Done });
    }
    let hosts = hosts(data);
    let enough = |seen: &[Seen]| is_settled(seen);
    let seen = see_until(context, &hosts, (&data.database, &data.name), REST, enough).await.map_err(unread)?;
    Ok(match () {
        () if seen.iter().all(|seen| seen.exists() && seen.is_empty()) => Probe::Done,
        // Its gate asks once more whether the rows are the run's own before it is sent again.
        () if is_settled(&seen) => Probe::NotDone,
        () => Probe::Unknown(Box::new(context.refusal(
            "whether it was emptied cannot be told",
            "replicas that come to rest",
            words(&hosts, &seen),
            evidence(&hosts, &data.database, &data.name),
            "look at system.replication_queue, then `clickferry resume`",
        ))),
    })
}

/// Whether the very object is there.
async fn is_there(
    context: &RunContext<'_>,
    host: &HostName,
    data: &TableData,
) -> Result<bool, crate::engine::ports::SqlError> {
    let left = data.left.get(host).and_then(|left| left.uuid.as_ref());
    let same = left.map(|uuid| format!(" AND toString(uuid) = {}", literal(uuid))).unwrap_or_default();
    let query = format!(
        "SELECT count() AS found FROM system.tables WHERE database = {} AND name = {}{same}",
        literal(&data.database),
        literal(&data.name)
    );
    Ok(context.read(host, query).await?.number(0, "found").unwrap_or(0) > 0)
}

pub async fn prove(context: &RunContext<'_>, data: &TableData) -> Result<Value, RunError> {
    let host = context.host()?;
    let hosts = hosts(data);
    let unproved = |error| unproved(context, "looking whether it is taken back", &error);
    let broken = |found: String| {
        context.fail(
            RunErrorKind::Broken,
            "the server said that it is done, and it is not",
            context.operation.after.clone(),
            found,
            evidence(&hosts, &data.database, &data.name),
            "look at the server's log, then `clickferry resume`",
        )
    };
    if !data.drops {
        let enough = |seen: &[Seen]| is_settled(seen) && seen.iter().all(Seen::is_empty);
        let seen = see_until(context, &hosts, (&data.database, &data.name), REST, enough).await.map_err(unproved)?;
        if !enough(&seen) || !seen.iter().all(Seen::exists) {
            return Err(broken(words(&hosts, &seen)));
        }
        return Ok(json!({ "database": data.database, "table": data.name, "rows": rows_of(&hosts, &seen) }));
    }
    if is_there(context, host, data).await.map_err(unproved)? {
        return Err(broken("it is there".to_owned()));
    }
    if let Some(uuid) = data.left.get(host).and_then(|left| left.uuid.as_ref()) {
        let query =
            format!("SELECT count() AS waiting FROM system.dropped_tables WHERE toString(uuid) = {}", literal(uuid));
        match context.read(host, query).await {
            Ok(answer) if answer.number(0, "waiting").unwrap_or(0) > 0 => {
                return Err(broken("its data waits in system.dropped_tables".to_owned()));
            }
            // Before 23.3 there is no such table; SYNC has waited.
            Err(error) if error.code() != Some(60) => return Err(unproved(error)),
            _ => {}
        }
    }
    if let Some(path) = &data.replica
        && let Some(keeper) = context.operation.target.as_deref().and_then(|role| context.ports.keepers.get(role))
    {
        let node = keeper.get(path).await.map_err(|error| RunError {
            kind: RunErrorKind::AskProbe,
            class: class_of_keeper(&error),
            refusal: explain_keeper(format!("{}: looking at {path}", context.operation.id), &error),
        })?;
        if node.is_some() {
            return Err(broken(format!("its replica is in Keeper at {path}")));
        }
    }
    Ok(json!({ "database": data.database, "table": data.name, "dropped": true }))
}
