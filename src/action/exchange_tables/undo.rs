//! An exchange is taken back by the same statement, on exactly the hosts where it ran.

use serde::Deserialize;

use super::Data;
use super::swap::{Standing, Swap};
use crate::action::undo::{Data as UndoData, NAME as UNDO};
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::Effect;
use crate::plan::statement::Statement;

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let Ok(Data::Exchange(planned)) = context.operation.data.read() else { return Undo::Nothing };
    let left = context.outcome().and_then(|outcome| Standing::deserialize(outcome.get("uuids")?).ok());
    let Some([Some(one), Some(other)]) = left else {
        return Undo::impossible(
            "the journal does not tell which tables were exchanged",
            "compare the UUIDs behind the names on every host, then exchange them back by hand where they are exchanged",
        );
    };
    let names = planned.names.each_ref().map(super::swap::Named::sql);
    let after = format!(
        "{} is UUID {other} again, {} is UUID {one}; rows written since stay with the table they were written to",
        names[0], names[1]
    );
    let before = format!("as the run left it: {} is UUID {one}, {} is UUID {other}", names[0], names[1]);
    let swap = Swap { names: planned.names, uuids: [Some(one), Some(other)], any_columns: true };
    let operation = context
        .reverse(UNDO, "exchange_back", Effect::Write)
        .statement(Statement::exact(swap.statement()))
        .promises(before, after, "each name stands for the very table (by its UUID) that it stood for before the run")
        .with_data(&UndoData::Exchange(swap));
    Undo::Operations(vec![operation])
}
