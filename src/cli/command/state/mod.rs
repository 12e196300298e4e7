//! `state`: the place where runs are kept.

mod ls;
mod pull;
mod push;
mod repair;

use std::path::Path;

use crate::cli::args::{Common, StateArgs, StateCommand};
use crate::cli::printer::Printer;
use crate::diag::Failure;
use crate::engine::transfer::Copied;
use crate::exit_code::Exit;
use crate::report::text::count;

/// Runs the command.
///
/// # Errors
/// A state that cannot be read or written, and what each of its commands refuses.
pub async fn run(args: &StateArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    match &args.command {
        StateCommand::Ls => ls::run(common, printer).await,
        StateCommand::Pull(args) => pull::run(args, common, printer).await,
        StateCommand::Push(args) => push::run(args, common, printer).await,
        StateCommand::Repair(args) => repair::run(args, common, printer).await,
    }
}

/// Whether a path means a file with one run, and not a folder of a state.
fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

/// What became of a copy, for people.
fn words(copied: &Copied) -> String {
    let records = count(copied.records as u64, "record");
    let mut text = if copied.is_ahead {
        let there = count(copied.were_there as u64, "record");
        format!("{there} are there already, {} here; nothing was copied", copied.records)
    } else if copied.were_there == 0 {
        format!("{records}, {}", count(copied.documents as u64, "document"))
    } else if copied.were_there == copied.records {
        format!("all {records} were there already")
    } else {
        format!("{records}, of which {} were there already", copied.were_there)
    };
    if copied.torn_bytes > 0 {
        text += &format!("; a torn last record ({} bytes) was left out", copied.torn_bytes);
    }
    text
}

/// What became of a copy, for programs.
fn json(run: &crate::model::ids::RunId, copied: &Copied) -> serde_json::Value {
    serde_json::json!({
        "run": run, "records": copied.records, "records_there_before": copied.were_there,
        "documents": copied.documents, "torn_bytes": copied.torn_bytes, "was_ahead": copied.is_ahead,
    })
}
