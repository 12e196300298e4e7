//! `state pull`: a copy of a run, to look at.

use serde_json::json;

use super::{is_file, words};
use crate::adapter::clock::SystemClock;
use crate::adapter::state_bundle::StateBundle;
use crate::adapter::state_folder::StateFolder;
use crate::cli::args::{Common, Format, PullArgs};
use crate::cli::command::apply::owner;
use crate::cli::printer::Printer;
use crate::cli::session::{absolute, open_state_by_full_name, which_run};
use crate::diag::{Failure, Refusal};
use crate::engine::ports::StateStore;
use crate::engine::transfer::{Copied, Transfer};
use crate::exit_code::Exit;
use crate::model::ids::RunId;

/// Runs the command.
///
/// # Errors
/// No such run, a damaged one, or another history at the other place.
pub async fn run(args: &PullArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let state = open_state_by_full_name(common, printer).await?;
    let id = which_run(&*state, Some(&args.run), async |_| true).await?;
    let path = absolute(&args.to)?;
    let copied = if is_file(&path) {
        if path.exists() {
            return Err(is_there(&path));
        }
        let bundle = StateBundle::empty(&path);
        let copied = pull(&*state, &bundle, &id, printer).await?;
        bundle.save().map_err(|error| {
            Failure::simple(format!("{} cannot be written: {error}", path.display()), "name another file")
        })?;
        copied
    } else {
        pull(&*state, &StateFolder::new(&path), &id, printer).await?
    };
    match common.format {
        Format::Text => {
            let next = match (is_file(&path), args.to.display()) {
                (true, to) => format!("`clickferry state push {to}` brings the copy into a state"),
                (false, to) => format!("look at the copy with `--state {to}`"),
            };
            let told = words(&copied);
            printer.result(&format!(
                "Run {id} is copied to {}: {told}.\nIt lives where it lived; {next}.\n",
                path.display()
            ));
        }
        Format::Json => {
            let runs = [super::json(&id, &copied)];
            let json =
                json!({ "version": 1, "from": state.describe(), "to": path.display().to_string(), "runs": runs });
            printer.result(&format!("{json:#}\n"));
        }
    }
    Ok(Exit::Done)
}

async fn pull(from: &dyn StateStore, to: &dyn StateStore, id: &RunId, printer: &Printer) -> Result<Copied, Failure> {
    let tell = |text: &str| printer.error(&format!("{text}\n"));
    Transfer { from, to, clock: &SystemClock, owner: owner(), tell: &tell }.pull(id).await
}

fn is_there(path: &std::path::Path) -> Failure {
    Failure::refused(Refusal {
        what: format!("{} is there already", path.display()),
        expected: "a file that does not exist".to_owned(),
        found: "a file".to_owned(),
        evidence: format!("ls -l {}", path.display()),
        action: "name another file; nothing is written over".to_owned(),
    })
}
