//! Planning of `run`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{RunArguments, RunExpect, RunProbe, Variable};
use super::words::render;
use crate::action::select::{Every, select};
use crate::action::sql::{first_line, one_query};
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::formats::SqlText;
use crate::model::ids::HostName;
use crate::plan::operation::{Loss, Operation};
use crate::plan::statement::Statement;

/// What the operation needs at run time; secrets only by reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunData {
    /// Program and arguments, with late values as tokens.
    pub command: Vec<String>,
    /// Variables.
    pub environment: BTreeMap<String, Variable>,
    /// Working directory.
    pub directory: Option<String>,
    /// What must come out.
    pub expect: RunExpect,
    /// Tells whether it took effect.
    pub probe: Option<RunProbe>,
    /// Host that the probe's query goes to.
    pub probe_host: Option<HostName>,
}

/// Makes the operation.
pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: RunArguments = context.arguments()?;
    let mut probe = arguments.probe.clone();
    let mut probe_host = None;
    if let Some(probe) = &mut probe {
        if let Some(role) = &probe.on {
            probe_host = select(context.target(role.as_str())?, Every::Any).first().map(|host| host.name.clone());
        }
        probe.query = probe.query.as_ref().map(|query| SqlText(one_query(query)));
    }
    let text = render(&arguments.command, &arguments.environment, arguments.directory.as_deref());
    let object = arguments.command.first().cloned().unwrap_or_default();
    let loss = arguments.loss.unwrap_or_default();
    let mut words = vec![format!("exit code {}", arguments.expect.exit_code)];
    words.extend(arguments.expect.stdout_contains.iter().map(|text| format!("output holds `{text}`")));
    let check = probe.as_ref().map_or_else(|| "the exit code only (no `probe:` is declared)".to_owned(), describe);
    let data = RunData {
        command: arguments.command,
        environment: arguments.environment,
        directory: arguments.directory,
        expect: arguments.expect,
        probe,
        probe_host,
    };
    let mut operation = Operation::new(context.step, "run", "command", object, arguments.effect)
        .statement(Statement::late(text))
        .loses(Loss { tables: loss.tables, rows: loss.rows, ..Loss::default() })
        .promises("", words.join(", "), check)
        .with_data(&data);
    "local".clone_into(&mut operation.lane);
    Ok(vec![operation])
}

fn describe(probe: &RunProbe) -> String {
    match (&probe.command, &probe.query, &probe.equals) {
        (Some(command), _, _) => {
            format!("`{}` exits with {}", render(command, &BTreeMap::new(), None), probe.exit_code.unwrap_or(0))
        }
        (None, Some(query), Some(value)) => format!("`{}` answers {value}", first_line(query.as_str())),
        _ => String::new(),
    }
}
