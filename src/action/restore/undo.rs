//! What a restore filled is emptied again, and what it created is dropped, if it is as the restore left it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::data::{Gate, RestoreData, Rule, kind};
use super::rows::{Seen, see_all};
use crate::action::create_replicated::noun_of;
use crate::action::undo::table::{Left, TableData, operation};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::undo::{Became, Undo, UndoContext};
use crate::model::ids::{HostName, StepId};
use crate::plan::operation::Effect;
use crate::plan::sql::qualified;

/// Whether rows are there that were not there before an attempt that did not come to its end, or the table that it was
/// to create.
pub(crate) async fn remains(context: &RunContext<'_>) -> Result<bool, RunError> {
    let data: RestoreData = context.data()?;
    let this = context.operation.kind.as_str();
    if this == kind::UNSTAGE {
        return Ok(false);
    }
    let creates = creates(&data, this);
    let table = data.filled(this);
    let hosts: Vec<HostName> = if this == kind::STAGE { data.copies[..1].to_vec() } else { data.copies.clone() };
    let seen = see_all(context, &hosts, &data.database, table).await.map_err(|error| {
        let mut failure = RunError::from_sql(format!("{}: looking at {table}", context.operation.id), &error);
        failure.kind = RunErrorKind::NotSent;
        failure
    })?;
    let gate: Gate = context.intent_data().unwrap_or_default();
    let before = |host: &HostName| gate.hosts.get(host).map_or(0, |before| before.rows);
    let is_more = |(host, seen): (&HostName, &Seen)| seen.rows.max(seen.counted) > before(host);
    Ok(if creates { seen.iter().any(Seen::exists) } else { hosts.iter().zip(&seen).any(is_more) })
}

/// The table that an attempt was to create, where it is there though the probe says that the attempt is not done.
pub(crate) async fn leaves(context: &RunContext<'_>) -> Value {
    let this = context.operation.kind.as_str();
    let Some(data) = context.data::<RestoreData>().ok().filter(|data| creates(data, this)) else { return Value::Null };
    let hosts = if this == kind::STAGE { &data.copies[..data.copies.len().min(1)] } else { &data.copies[..] };
    // What cannot be seen now is nobody's later: it stays, and a person is asked.
    let Ok(seen) = see_all(context, hosts, &data.database, data.filled(this)).await else { return Value::Null };
    let tables: BTreeMap<HostName, Left> = hosts
        .iter()
        .zip(seen)
        .filter(|(_, seen)| seen.exists())
        .map(|(host, seen)| (host.clone(), Left { uuid: Some(seen.uuid), rows: seen.rows, blocks: seen.blocks }))
        .collect();
    if tables.is_empty() { Value::Null } else { serde_json::to_value(tables).unwrap_or_default() }
}

/// What [`leaves`] told.
pub(crate) fn tables_left(left: &Value) -> BTreeMap<HostName, Left> {
    BTreeMap::deserialize(left).unwrap_or_default()
}

fn creates(data: &RestoreData, kind: &str) -> bool {
    match kind {
        kind::STAGE | kind::DEFINITION => true,
        kind::TABLE => data.creates,
        _ => false,
    }
}

pub(crate) fn undo(context: &UndoContext<'_>) -> Undo {
    let this = context.operation.kind.as_str();
    let (Ok(data), gate) =
        (context.operation.data.read::<RestoreData>(), Gate::deserialize(context.intent()).unwrap_or_default())
    else {
        return Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it");
    };
    match this {
        kind::UNSTAGE => return Undo::Nothing,
        // The table beside went with the last operation of the three.
        kind::STAGE if is_unstaged(context, &data) => return Undo::Nothing,
        _ => {}
    }
    let drops = creates(&data, this);
    let is_over = context.outcome().is_some();
    if !is_over && !drops {
        return Undo::impossible(
            "the journal says that no row of it came, and rows are there now that were not there before: somebody else's",
            "find out who wrote them, and save or delete them by hand",
        );
    }
    if !gate.was_empty() {
        return Undo::impossible(
            "its rows came beside rows that were there, and cannot be told from them",
            "delete by hand what must go: rows that were added to rows have no way back",
        );
    }
    if !is_over {
        // The last look tells most; a table that nobody saw then is not the run's to drop.
        let Some(left) = context.left().last().map(tables_left).filter(|left| !left.is_empty()) else {
            return Undo::impossible(
                "it did not come to its end, and the journal does not tell that the table which is there now is of it",
                "find out who created it, and drop it by hand if it is not needed",
            );
        };
        return taken_back(context, data, left);
    }
    let Some(left) = (if this == kind::DEFINITION { defined(context, &data) } else { filled(context, &gate) }) else {
        return Undo::impossible(
            "the journal does not tell how many rows it left",
            "look at the table, and empty it by hand",
        );
    };
    taken_back(context, data, left)
}

fn taken_back(context: &UndoContext<'_>, data: RestoreData, left: BTreeMap<HostName, Left>) -> Undo {
    let this = context.operation.kind.as_str();
    let drops = creates(&data, this);
    let noun = if drops { noun_of(&created(context, &data)) } else { "TABLE" };
    let table = TableData {
        database: data.database.clone(),
        name: data.filled(this).to_owned(),
        drops,
        left,
        may_be_fewer: data.rule != Rule::Equal || context.outcome().is_none(),
        replica: None,
    };
    Undo::Operations(vec![operation(context, noun, table)])
}

/// Hosts with what the restore proved there.
fn filled(context: &UndoContext<'_>, gate: &Gate) -> Option<BTreeMap<HostName, Left>> {
    let outcome = context.outcome()?;
    let of = |key: &str, host: &HostName| outcome.get(key).and_then(|hosts| hosts.get(host.as_str())).cloned();
    let is_touched = is_touched_later(context);
    gate.hosts
        .keys()
        .map(|host| {
            let text = |key: &str| of(key, host).and_then(|value| value.as_str().map(str::to_owned));
            let rows = of("rows", host).and_then(|rows| rows.as_u64())?;
            Some((host.clone(), Left { uuid: text("uuid"), rows, blocks: text("blocks").filter(|_| !is_touched) }))
        })
        .collect()
}

fn defined(context: &UndoContext<'_>, data: &RestoreData) -> Option<BTreeMap<HostName, Left>> {
    let uuid = |host: &HostName| {
        let uuid = context.outcome()?.get("uuid")?.get(host.as_str())?.as_str()?;
        Some(uuid.to_owned())
    };
    Some(data.copies.iter().map(|host| (host.clone(), Left { uuid: uuid(host), rows: 0, blocks: None })).collect())
}

/// Later steps of the run that write to the table leave other blocks behind, also when they are taken back.
fn is_touched_later(context: &UndoContext<'_>) -> bool {
    let position = |step: &StepId| context.plan.steps.iter().position(|planned| planned.id == *step);
    let own = position(&context.operation.step);
    context.plan.operations.iter().any(|other| {
        let writes = match other.action.as_str() {
            "sql" | "run" => true,
            "mark_migrations_clean" => {
                let data = context.operation.data.read::<RestoreData>().ok();
                let table = data.map(|data| qualified(&data.database, &data.table));
                other.data.value().get("table").and_then(Value::as_str) == table.as_deref()
            }
            _ => false,
        };
        writes
            && other.effect != Effect::Read
            && position(&other.step) > own
            && matches!(context.became.get(&other.id), Some(Became::Done(_) | Became::Left(_)))
    })
}

fn is_unstaged(context: &UndoContext<'_>, data: &RestoreData) -> bool {
    context.plan.operations_of(&context.operation.step).any(|other| {
        let is_same = other.data.read::<RestoreData>().is_ok_and(|other| {
            (&other.database, &other.table, &other.shard) == (&data.database, &data.table, &data.shard)
        });
        other.kind == kind::UNSTAGE
            && other.host == context.operation.host
            && is_same
            && context.outcome_of(&other.id).is_some()
    })
}

/// Words that tell the kind of the object: of a definition its first ones stand in the operation's object.
fn created(context: &UndoContext<'_>, data: &RestoreData) -> String {
    let noun = context.operation.object.split_whitespace().next().unwrap_or_default();
    format!("CREATE {noun} {}.{}", data.database, data.table)
}
