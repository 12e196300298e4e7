//! How a database that was recreated comes back: not at all where it was dropped.

use serde_json::Value;

use super::Data;
use super::seen::{seen, tables};
use crate::action::gate::{field, unread};
use crate::action::undo::database::{call_again, drop_created};
use crate::engine::action::RunError;
use crate::engine::context::RunContext;
use crate::engine::undo::{Became, Undo, UndoContext};
use crate::model::words::count_of;
use crate::plan::operation::Operation;

/// Whether a drop that did not come to its end took anything away.
pub async fn remains(context: &RunContext<'_>) -> Result<bool, RunError> {
    let Data::Drop(data) = context.data()? else { return Ok(false) };
    let host = context.host()?;
    let explain = |error| unread(context, "looking at what is left of the database", &error);
    let Some(found) = seen(context, host, &data.database).await.map_err(explain)? else { return Ok(true) };
    let there = tables(context, host, &data.database).await.map_err(explain)?;
    let names = context.intent.get("tables").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_whole = names.iter().filter_map(Value::as_str).all(|name| there.contains_key(name));
    Ok(field(context.intent, "uuid") != Some(found.uuid.as_str()) || !is_whole)
}

/// Dropped tables do not come back. Known before: whoever plans can set the database aside instead.
pub fn no_way_back(operation: &Operation) -> Option<String> {
    match operation.data.read() {
        Ok(Data::Drop(data)) if !data.tables.is_empty() => Some(format!(
            "it drops {} for good ({}); `keep_old` would set it aside",
            operation.object,
            count_of(data.tables.len(), "table")
        )),
        _ => None,
    }
}

pub fn undo(context: &UndoContext<'_>) -> Undo {
    match context.operation.data.read() {
        Ok(Data::Drop(data)) if data.tables.is_empty() && data.uuid.is_some() => Undo::Nothing,
        Ok(Data::Drop(data)) => Undo::impossible(
            format!("the database was dropped, with {} tables; nothing of it is left", data.tables.len()),
            "restore it from a backup; the next time, `keep_old` in the step sets it aside instead",
        ),
        Ok(Data::SetAside(data)) => set_aside(context, &data),
        Ok(Data::Create(data)) => created(context, &data),
        Err(_) => Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it"),
    }
}

/// The former database gets its name again.
fn set_aside(context: &UndoContext<'_>, data: &super::SetAsideData) -> Undo {
    let Some((aside, uuid)) =
        context.outcome().and_then(|outcome| Some((field(outcome, "aside")?, field(outcome, "uuid")?)))
    else {
        return Undo::impossible("the journal does not tell how the database is called now", "rename it by hand");
    };
    let tables = data.former.tables.iter().map(|table| (table.name.clone(), table.uuid.clone())).collect();
    Undo::Operations(vec![call_again(context, aside, &data.former.database, uuid, tables)])
}

/// The new database goes, unless it stands where a database was dropped: an empty one as well stays.
fn created(context: &UndoContext<'_>, data: &super::CreateData) -> Undo {
    let was_dropped = context.plan.operations_of(&context.operation.step).any(|other| {
        other.kind == "drop_database"
            && other.host == context.operation.host
            && matches!(context.became.get(&other.id), Some(Became::Done(_) | Became::Left(_)))
    });
    if was_dropped {
        return Undo::Nothing;
    }
    let Some(uuid) = context.outcome().and_then(|outcome| field(outcome, "uuid")) else {
        return Undo::impossible("the journal does not tell which database was created", "drop it by hand");
    };
    Undo::Operations(vec![drop_created(context, &data.database, uuid)])
}
