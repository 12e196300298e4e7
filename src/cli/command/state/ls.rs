//! `state ls`: the runs of a state, and who works in it.

use crate::cli::args::{Common, Format};
use crate::cli::printer::Printer;
use crate::cli::session::open_state_by_full_name;
use crate::diag::Failure;
use crate::engine::ports::StateStore;
use crate::engine::run::find_run;
use crate::engine::state_failure;
use crate::engine::transfer::elsewhere;
use crate::exit_code::Exit;
use crate::model::ids::RunId;
use crate::report::run_view::run_word;
use crate::report::state_view::{RunRow, StateView};

/// Runs the command. A damaged run is listed as such and does not hide the others.
///
/// # Errors
/// A state that cannot be read.
pub async fn run(common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state_by_full_name(common, printer).await?;
    let held = state.holder().await.map_err(state_failure)?;
    let mut runs = Vec::new();
    for id in state.runs().await.map_err(state_failure)? {
        runs.push(row(&*state, id).await?);
    }
    let view = StateView { place: state.describe(), held, runs };
    match common.format {
        Format::Text => printer.result(&view.text(printer.style())),
        Format::Json => printer.result(&format!("{:#}\n", view.json())),
    }
    Ok(Exit::Done)
}

async fn row(state: &dyn StateStore, id: RunId) -> Result<RunRow, Failure> {
    let documents = state.documents(&id).await.map_err(state_failure)?;
    let found = find_run(state, &id).await.ok();
    let mark = elsewhere(state, &id).await.ok().flatten();
    Ok(RunRow {
        word: found.as_ref().map_or("unreadable", |found| run_word(&found.state, &found.journal)),
        records: found.as_ref().map(|found| found.journal.records.len()),
        bytes: documents.iter().map(|document| document.size).sum(),
        documents: documents.len(),
        what: found.map(|found| (found.plan.runbook, found.plan.environment)),
        elsewhere: mark,
        id,
    })
}
