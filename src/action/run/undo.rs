//! The step's own `undo:` command.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::arguments::{RunArguments, Variable};
use super::plan::RunData;
use super::words::render;
use crate::action::sql::one_query;
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::SqlText;
use crate::plan::operation::Loss;
use crate::plan::statement::Statement;

pub fn undo(context: &UndoContext<'_>) -> Undo {
    let (Ok(arguments), Ok(done)) =
        (RunArguments::deserialize(&context.step.arguments), context.operation.data.read::<RunData>())
    else {
        return Undo::impossible("the plan does not fit this version of clickferry", "use the version that made it");
    };
    let Some(undo) = arguments.undo else {
        return Undo::impossible("the step has no `undo:`", "write one for the next time; now take it back by hand");
    };
    let fill_all = |words: &[String]| words.iter().map(|word| context.fill(word)).collect::<Vec<_>>();
    let environment: BTreeMap<String, Variable> = done
        .environment
        .into_iter()
        .map(|(name, value)| match value {
            Variable::Plain(text) => (name, Variable::Plain(context.fill(&text))),
            secret @ Variable::Secret(_) => (name, secret),
        })
        .collect();
    let probe = undo.probe.map(|mut probe| {
        probe.command = probe.command.as_deref().map(fill_all);
        probe.query = probe.query.map(|query| SqlText(context.fill(&one_query(&query))));
        probe
    });
    let probe_host = probe.as_ref().and_then(|probe| probe.on.as_ref()).and_then(|role| {
        context.plan.hosts.iter().find(|host| host.target == role.as_str()).map(|host| host.name.clone())
    });
    let data = RunData {
        command: fill_all(&undo.command),
        environment,
        directory: done.directory.map(|directory| context.fill(&directory)),
        expect: undo.expect,
        probe,
        probe_host,
    };
    let text = render(&data.command, &data.environment, data.directory.as_deref());
    let loss = undo.loss.unwrap_or_default();
    let check = if data.probe.is_some() { "its probe" } else { "the exit code only (no `probe:` is declared)" };
    let mut operation = context
        .reverse("run", "undo_command", undo.effect)
        .statement(Statement::late(text))
        .loses(Loss { tables: loss.tables, rows: loss.rows, ..Loss::default() })
        .promises("", format!("exit code {}", data.expect.exit_code), check)
        .with_data(&data);
    operation.object = data.command.first().cloned().unwrap_or_default();
    Undo::Operations(vec![operation])
}
