//! The step's own `undo:` statements, on every host where all of its statements are done.

use serde::Deserialize;

use super::arguments::{Parsed, SqlArguments, one_query};
use super::first_line;
use super::plan::{Question, SqlData};
use crate::engine::undo::{Became, Undo, UndoContext};
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::statement::Statement;

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let Ok(arguments) = SqlArguments::deserialize(&context.step.arguments) else {
        return Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it");
    };
    let changing: Vec<&Operation> = context
        .plan
        .operations_of(&context.step.id)
        .filter(|other| other.host == context.operation.host && other.effect != Effect::Read)
        .collect();
    let Ok(parsed) = arguments.parse_undo() else {
        return Undo::impossible("its `undo:` does not fit this version of clickferry", "use the version that made it");
    };
    if parsed.is_empty() {
        return Undo::impossible("the step has no `undo:`", "write one for the next time; now take it back by hand");
    }
    let is_done = |other: &&&Operation| matches!(context.became.get(&other.id), Some(Became::Done(_)));
    if !changing.iter().all(|other| is_done(&other)) {
        let done = changing.iter().filter(|other| is_done(other)).count();
        return Undo::impossible(
            format!("{done} of its {} statements are done, and its `undo:` takes back all of them", changing.len()),
            "bring the run to its end with `clickferry resume` first, or take it back by hand",
        );
    }
    if changing.last().map(|last| &last.id) != Some(&context.operation.id) {
        return Undo::Nothing;
    }
    Undo::Operations(parsed.iter().enumerate().map(|(at, one)| operation(context, &arguments, at, one)).collect())
}

fn operation(context: &UndoContext<'_>, arguments: &SqlArguments, at: usize, one: &Parsed) -> Operation {
    let database = arguments.database.as_ref().map(|name| name.as_str().to_owned());
    let text = context.fill(&one.text);
    let probe = arguments.undo_probe.as_ref().filter(|_| one.class.effect != Effect::Read);
    let data = SqlData {
        database: database.clone(),
        all_or_nothing: one.class.all_or_nothing,
        probe: probe
            .map(|probe| Question { query: context.fill(&one_query(&probe.query)), equals: probe.done_when.clone() }),
        promise: None,
        promise_denies: false,
        expect: None,
        lasting: false,
        charged: Vec::new(),
        whole: None,
    };
    let check = data.probe.as_ref().map_or_else(
        || "the server's answer only (no `undo_probe:` is declared)".to_owned(),
        |probe| format!("`{}` answers {}", first_line(&probe.query), probe.equals),
    );
    // What is declared is for all statements together, so it is counted once.
    let first = at == 0 && one.class.effect != Effect::Read;
    let loss = arguments.undo_loss.filter(|_| first).unwrap_or_default();
    let kind = format!("undo_{}", one.class.verb.to_lowercase().replace(' ', "_"));
    let mut operation = context
        .reverse("sql", &kind, one.class.effect)
        .statement(Statement::late(text.clone()).in_database(database.as_deref()))
        .loses(Loss { tables: loss.tables, rows: loss.rows, ..Loss::default() })
        .promises("the statements of the step are done", "as the author of `undo:` means it", check)
        .with_data(&data);
    operation.object = first_line(&text);
    operation
}
