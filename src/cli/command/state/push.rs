//! `state push`: runs move into the state.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{is_file, words};
use crate::adapter::clock::SystemClock;
use crate::adapter::state_bundle::StateBundle;
use crate::adapter::state_folder::StateFolder;
use crate::cli::args::{Common, Format, PushArgs};
use crate::cli::command::apply::owner;
use crate::cli::printer::Printer;
use crate::cli::session::{absolute, open_state_by_full_name, state_of, which_run};
use crate::diag::Failure;
use crate::engine::ports::StateStore;
use crate::engine::state_failure;
use crate::engine::transfer::Transfer;
use crate::exit_code::Exit;
use crate::model::ids::RunId;

/// Runs the command. A run that is refused does not keep the others from being moved.
///
/// # Errors
/// What was refused or failed, of all runs.
pub async fn run(args: &PushArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let to = open_state_by_full_name(common, printer).await?;
    let path = absolute(&args.from)?;
    let from = source_of(&path, printer).await?;
    let runs = chosen(&*from, &args.run).await?;
    if runs.is_empty() {
        let what = format!("there is no run in {}", path.display());
        return Err(Failure::simple(what, "name the state folder, the one that holds `runs`"));
    }
    let tell = |text: &str| printer.error(&format!("{text}\n"));
    let transfer = Transfer { from: &*from, to: &*to, clock: &SystemClock, owner: owner(), tell: &tell };
    let (mut done, mut failures) = (Vec::new(), Vec::new());
    for run in &runs {
        match transfer.push(run, args.instead_of.as_deref()).await {
            Ok(copied) => {
                if common.format == Format::Text {
                    printer.result(&format!("Run {run} lives in {} now: {}.\n", to.describe(), words(&copied)));
                }
                done.push(super::json(run, &copied));
            }
            Err(failure) => failures.push(failure),
        }
    }
    if common.format == Format::Json {
        let json = json!({ "version": 1, "from": from.describe(), "to": to.describe(), "runs": done });
        printer.result(&format!("{json:#}\n"));
    }
    together(failures).map_or(Ok(Exit::Done), Err)
}

/// The state of a folder, of an environment, or of a file with one run.
async fn source_of(path: &Path, printer: &Printer) -> Result<Arc<dyn StateStore>, Failure> {
    if is_file(path) {
        let bundle = StateBundle::load(path).map_err(|reason| {
            Failure::simple(format!("{} cannot be read: {reason}", path.display()), "name a file made by `state pull`")
        })?;
        return Ok(Arc::new(bundle));
    }
    if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return state_of(path, printer).await;
    }
    Ok(Arc::new(StateFolder::new(path)))
}

async fn chosen(from: &dyn StateStore, named: &[String]) -> Result<Vec<RunId>, Failure> {
    if named.is_empty() {
        return from.runs().await.map_err(state_failure);
    }
    let mut chosen = Vec::new();
    for name in named {
        chosen.push(which_run(from, Some(name), async |_| true).await?);
    }
    Ok(chosen)
}

/// Several failures as one of the first one's kind.
fn together(failures: Vec<Failure>) -> Option<Failure> {
    let mut failures = failures.into_iter();
    let mut first = failures.next()?;
    for failure in failures {
        if let (Failure::Error(all) | Failure::Refused(all), Failure::Error(more) | Failure::Refused(more)) =
            (&mut first, failure)
        {
            all.extend(more);
        }
    }
    Some(first)
}
