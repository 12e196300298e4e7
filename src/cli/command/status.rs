//! `status`: how far a run is. Reads the state only; contacts no server.

use serde_json::json;

use crate::cli::args::{Common, Format, StatusArgs};
use crate::cli::printer::Printer;
use crate::cli::session::{flags, open_state, which_run};
use crate::diag::Failure;
use crate::engine::run::find_run;
use crate::exit_code::Exit;
use crate::report::run_view::{render_run, run_word};

/// Runs the command.
///
/// # Errors
/// A run that does not exist or is damaged.
pub async fn run(args: &StatusArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state(common, printer).await?;
    let id = which_run(&*state, args.run.as_deref(), async |_| true).await?;
    let found = find_run(&*state, &id).await?;
    match common.format {
        Format::Text => {
            printer.result(&render_run(&id, &found.plan, &found.journal, &found.state, &flags(common), printer.style()))
        }
        Format::Json => {
            let json = json!({
                "version": 1,
                "run": id,
                "state": run_word(&found.state, &found.journal),
                "runbook": found.plan.runbook,
                "environment": found.plan.environment,
                "records": found.journal.records,
            });
            printer.result(&format!("{json:#}\n"));
        }
    }
    Ok(Exit::Done)
}
