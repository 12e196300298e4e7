//! `verify`: only the checking steps of a runbook; nothing is changed and nothing is recorded.

use serde_json::{Value, json};

use super::plan::plan_of;
use crate::action::CATALOGUE;
use crate::cli::args::{Common, Format, VerifyArgs};
use crate::cli::printer::Printer;
use crate::cli::session::{Session, given_parameters, open_for, read_source, which_run};
use crate::diag::{Failure, SourceFile};
use crate::engine::check::{CHECKING_ACTIONS, check};
use crate::engine::context::RunInfo;
use crate::engine::outcomes::Outcomes;
use crate::engine::run::find_run;
use crate::exit_code::Exit;
use crate::model::ids::RunId;
use crate::plan::operation::Effect;
use crate::plan::plan_file::{Plan, sha256};
use crate::report::matrix::render_matrix;

/// Runs the command.
///
/// # Errors
/// [`Failure::Differs`] with everything that does not hold.
pub async fn run(args: &VerifyArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let source = read_source(&args.runbook)?;
    let session = open_for(common, printer, Some(&source)).await?;
    let (plan, run, known) = subject(args, common, &source, &session).await?;
    let checked = check(&plan, &run, CATALOGUE, &session.environment, &session.ports, &known).await?;
    let outcomes: Vec<&Value> = checked.outcomes.iter().collect();
    match common.format {
        Format::Text => {
            if let Some(matrix) = render_matrix(&outcomes, printer.width(), printer.style()) {
                printer.result(&matrix);
            }
            printer.result(&format!(
                "{} checks asked, {} did not hold.\n",
                checked.outcomes.len(),
                checked.differing.len()
            ));
        }
        Format::Json => printer.result(&format!(
            "{:#}\n",
            json!({ "version": 1, "failed": checked.differing.len(), "outcomes": outcomes })
        )),
    }
    if checked.differing.is_empty() { Ok(Exit::Done) } else { Err(Failure::Differs(checked.differing)) }
}

/// What is checked: the latest run of this very runbook with what it proved, else the runbook planned now where all
/// of it only reads.
async fn subject(
    args: &VerifyArgs,
    common: &Common,
    source: &std::sync::Arc<SourceFile>,
    session: &Session,
) -> Result<(Plan, RunInfo, Outcomes), Failure> {
    let digest = sha256(source.text.as_bytes());
    let store = &*session.ports.state;
    let latest = which_run(store, args.run.as_deref(), async |run| {
        find_run(store, run).await.is_ok_and(|found| found.plan.runbook_digest == digest)
    })
    .await;
    if let Ok(id) = latest {
        let found = find_run(store, &id).await?;
        let known = found.state.outcomes();
        let started = found.journal.started().unwrap_or_else(|| session.ports.clock.now());
        return Ok((found.plan, RunInfo { id, started }, known));
    }
    let plan = plan_of(source, &given_parameters(common)?, session).await?;
    let only_reads = plan.operations.iter().all(|operation| operation.effect == Effect::Read);
    if args.run.is_some() || !only_reads {
        return Err(Failure::simple(
            format!("there is no run of {} whose backup the rows could be compared with", source.name),
            format!(
                "apply the runbook first, name a run with `--run`, or verify a runbook that has only {} steps",
                CHECKING_ACTIONS.join(" and ")
            ),
        ));
    }
    Ok((plan, RunInfo { id: RunId("verify".to_owned()), started: session.ports.clock.now() }, Outcomes::default()))
}
