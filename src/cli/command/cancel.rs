//! `cancel`: stops a run from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use super::apply::owner;
use crate::action::runnable;
use crate::cli::args::{CancelArgs, Common};
use crate::cli::interrupt::Interrupts;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{flags, open_for_run, which_run};
use crate::diag::Failure;
use crate::engine::cancel::{Cancelled, requested};
use crate::engine::journal::Entry;
use crate::engine::run::{Runner, find_run, state_failure};
use crate::exit_code::Exit;

/// Between two looks whether the engine has stopped.
const PAUSE: Duration = Duration::from_millis(500);
/// After so many looks it is asked again whether an engine lives at all.
const LOOKS: u32 = 60;

/// Runs the command.
///
/// # Errors
/// A run that is over, a state or server that does not answer, an outcome that cannot be told.
pub async fn run(args: &CancelArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open_for_run(common, &printer, Some(&args.run)).await?;
    let state = &*session.ports.state;
    let id = which_run(state, Some(&args.run), async |_| true).await?;
    let interrupts = Interrupts::default();
    let runner = Runner {
        catalogue: runnable(),
        environment: &session.environment,
        environment_text: &session.environment_text,
        ports: &session.ports,
        observer: &ProgressView::new(Arc::clone(&printer)),
        person: &TerminalPerson { printer: Arc::clone(&printer), stop: interrupts.stop.clone(), no_return: Vec::new() },
        stop: interrupts.stop,
        detach: interrupts.detach,
        owner: owner(),
    };
    let reason = args.reason.as_deref().unwrap_or_default();
    let next = format!("See it: clickferry status {id}{0}. Carry on: clickferry resume {id}{0}", flags(common));
    let before = find_run(state, &id).await?.journal.records.len();
    loop {
        match runner.cancel(&id, args.kill, reason).await? {
            Cancelled::Ended(notes) => {
                let notes: String = notes.iter().map(|note| format!("  {note}\n")).collect();
                printer.result(&format!("Run {id} is cancelled; no engine works on it.\n{notes}{next}\n"));
                return Ok(Exit::Done);
            }
            Cancelled::Asked if args.no_wait => {
                printer.result(&format!("The engine of run {id} is asked to stop at its next safe point.\n{next}\n"));
                return Ok(Exit::Done);
            }
            Cancelled::Asked => {}
        }
        printer
            .error(&printer.err_style().dim("asked; waiting for its next safe point (Ctrl-C ends the waiting only)\n"));
        for _ in 0..LOOKS {
            session.ports.clock.sleep(PAUSE).await;
            let found = find_run(state, &id).await?;
            if found.state.finished.is_some() {
                printer.result(&format!("Run {id} came to its end before it could be stopped.\n"));
                return Ok(Exit::Done);
            }
            let last = found.journal.records.iter().skip(before).map(|record| &record.entry).next_back();
            if let Some(Entry::Stopped { reason }) = last {
                printer.result(&format!("Run {id} has stopped: {reason}\n{next}\n"));
                return Ok(Exit::Done);
            }
            if requested(state, &id).await.map_err(state_failure)?.is_none() {
                printer.result(&format!("Run {id} was carried on by somebody else meanwhile.\n"));
                return Ok(Exit::Refused);
            }
        }
    }
}
