//! `runs`: the runs of a state folder.

use serde_json::json;

use crate::cli::args::{Common, Format};
use crate::cli::printer::Printer;
use crate::cli::session::open_state;
use crate::diag::Failure;
use crate::engine::run::{find_run, state_failure};
use crate::exit_code::Exit;
use crate::report::run_view::{run_line, run_word};

/// Runs the command. A damaged run is listed as such and does not hide the others.
///
/// # Errors
/// A state folder that cannot be read.
pub async fn run(common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state(common, printer).await?;
    let runs = state.runs().await.map_err(state_failure)?;
    let mut list = Vec::new();
    for id in &runs {
        let found = find_run(&*state, id).await;
        match (common.format, found) {
            (Format::Text, Ok(found)) => {
                printer.result(&format!("{}\n", run_line(id, &found.plan, &found.journal, &found.state)))
            }
            (Format::Text, Err(_)) => {
                printer.result(&format!("{id}  {}\n", printer.style().bad("unreadable; `clickferry status` tells why")))
            }
            (Format::Json, Ok(found)) => list.push(json!({
                "run": id, "state": run_word(&found.state, &found.journal), "runbook": found.plan.runbook,
                "environment": found.plan.environment, "started": found.journal.started(),
            })),
            (Format::Json, Err(_)) => list.push(json!({ "run": id, "state": "unreadable" })),
        }
    }
    if common.format == Format::Json {
        printer.result(&format!("{:#}\n", json!({ "version": 1, "runs": list })));
    } else if runs.is_empty() {
        printer.result(&format!("No runs in {}.\n", state.describe()));
    }
    Ok(Exit::Done)
}
