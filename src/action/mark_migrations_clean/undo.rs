//! How a mark is taken back: the very row is deleted where the engine can, else the former last row is written again.

use serde::Deserialize;
use serde_json::Value;

use super::run::Before;
use super::{Data, Row};
use crate::action::undo::history::{HistoryData, How, condition};
use crate::action::undo::{Data as UndoData, NAME};
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::Effect;
use crate::plan::statement::Statement;

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let (Some(outcome), Ok(data), Ok(before)) =
        (context.outcome(), context.operation.data.read::<Data>(), Before::deserialize(context.intent()))
    else {
        return Undo::impossible("the journal does not tell what stood in the history before", "look at it by hand");
    };
    if before.was_clean || outcome.get("was_clean").and_then(Value::as_bool) == Some(true) {
        return Undo::Nothing;
    }
    let Some(sequence) = outcome.get("sequence").and_then(Value::as_u64) else {
        return Undo::impossible("the journal does not tell which row was written", "look at the history by hand");
    };
    let written = Row { version: data.version, dirty: 0, sequence };
    let (how, statement, effect) = match &before.last {
        _ if data.engine.ends_with("MergeTree") => {
            let row = condition(&written);
            (
                How::Delete,
                format!("ALTER TABLE {} DELETE WHERE {row} SETTINGS mutations_sync = 2", data.table),
                Effect::Write,
            )
        }
        None => (How::Empty, format!("TRUNCATE TABLE {}", data.table), Effect::Write),
        Some(former) => {
            let sequence = format!("greatest(toUInt64(toUnixTimestamp64Nano(now64(9))), {} + 1)", written.sequence);
            let row = format!("SELECT {}, {}, {sequence}", former.version, former.dirty);
            let insert = format!("INSERT INTO {} (version, dirty, sequence) {row}", data.table);
            (How::InsertFormer, insert, Effect::Write)
        }
    };
    let now = format!("{}, as the run left it", Row::words(Some(&written)));
    let former = Row::words(before.last.as_ref());
    let check = format!("the migrator's own query answers it on {} hosts", data.hosts.len());
    let history = HistoryData { table: data.table, hosts: data.hosts, how, written, former: before.last };
    let operation = context
        .reverse(NAME, "unmark", effect)
        .statement(Statement::exact(statement))
        .promises(now, former, check)
        .with_data(&UndoData::History(history));
    Undo::Operations(vec![operation])
}
