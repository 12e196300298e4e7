//! What was removed is made again from its export.

use serde_json::Value;

use super::Data;
use crate::action::undo::keeper::KeeperData;
use crate::action::undo::{Data as UndoData, NAME};
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::Effect;
use crate::plan::statement::Statement;

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let Ok(data) = context.operation.data.read::<Data>() else {
        return Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it");
    };
    let exports: Vec<String> = match context.outcome() {
        Some(outcome) => outcome
            .get("export")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default(),
        None => {
            let last = context.intents.last().map_or(1, |(attempt, _)| *attempt);
            (1..=last).map(|attempt| super::export_name_of(&context.operation.id, attempt)).collect()
        }
    };
    if data.only_look || exports.is_empty() {
        return Undo::Nothing;
    }
    let operation = context
        .reverse(NAME, "import", Effect::Write)
        .statement(Statement::exact(format!("create {} and below, from {}", data.path, exports.join(", "))))
        .promises(
            "nothing is there, or nodes of the export with their value",
            "every lasting node of the export with its value; ephemeral ones never come back",
            "the subtree is the one of the export",
        )
        .with_data(&UndoData::Keeper(KeeperData { path: data.path, run: context.run.id.clone(), exports }));
    Undo::Operations(vec![operation])
}
