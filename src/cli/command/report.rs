//! `report`: a run for a ticket or an audit. Reads the state only; contacts no server.

use crate::cli::args::{Common, ReportArgs, View};
use crate::cli::printer::Printer;
use crate::cli::session::{open_state, which_run};
use crate::diag::Failure;
use crate::engine::run::find_run;
use crate::exit_code::Exit;
use crate::report::run_report::{RunReport, render_html, render_markdown};

/// Runs the command.
///
/// # Errors
/// A run that does not exist or is damaged.
pub async fn run(args: &ReportArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state(common, printer).await?;
    let id = which_run(&*state, args.run.as_deref(), async |_| true).await?;
    let report = RunReport::of(&id, &find_run(&*state, &id).await?);
    match common.view {
        View::Html => printer.result(&render_html(&report)),
        View::Json => {
            // Plain data with text keys always becomes JSON.
            let json = serde_json::to_string_pretty(&report).unwrap_or_default();
            printer.result(&format!("{json}\n"));
        }
        View::Markdown | View::Text => printer.result(&render_markdown(&report)),
    }
    Ok(Exit::Done)
}
