//! `resume`: carries on with a run that stopped or was killed.

use std::cell::RefCell;
use std::sync::Arc;

use super::apply::{event_lines, finish, observers, owner, show_end};
use crate::action::runnable;
use crate::cli::args::{Common, ResumeArgs};
use crate::cli::interrupt::listen;
use crate::cli::person::{TerminalPerson, check_no_return};
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{open_for_run, which_run};
use crate::cli::traces::Traces;
use crate::diag::Failure;
use crate::engine::reprove::Redo;
use crate::engine::run::{JOURNAL_DOCUMENT, Runner, find_run};
use crate::exit_code::Exit;

/// Runs the command.
///
/// # Errors
/// A run that does not exist or is damaged, a promise that no longer holds, and failed operations.
pub async fn run(args: &ResumeArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open_for_run(common, &printer, args.run.as_deref()).await?;
    let state = &session.ports.state;
    // Kept: reading a long run takes a while.
    let read = RefCell::new(None);
    let id = which_run(&**state, args.run.as_deref(), async |run| {
        match find_run(&**state, run).await {
            Ok(found) => {
                let is_open = found.state.finished.is_none() && found.state.undone.is_none();
                read.replace(Some(found));
                is_open
            }
            // A damaged run must not be passed over in silence for an older one; one that never began may be.
            Err(_) => state.get(run, JOURNAL_DOCUMENT).await.is_ok_and(|bytes| !bytes.is_empty()),
        }
    })
    .await?;
    let found = match read.into_inner().filter(|found| found.journal.run() == Some(&id)) {
        Some(found) => found,
        None => find_run(&**state, &id).await?,
    };
    check_no_return(&found.plan, &args.no_return)?;
    let progress = ProgressView::new(Arc::clone(&printer));
    let lines = event_lines(common, &session, &printer);
    let traces = Traces::from_environment(&printer);
    let observer = observers(&progress, lines.as_ref(), traces.as_ref());
    let interrupts = listen(Arc::clone(&printer));
    interrupts.begin();
    let person = TerminalPerson {
        printer: Arc::clone(&printer),
        stop: interrupts.stop.clone(),
        no_return: args.no_return.clone(),
    };
    let runner = Runner {
        catalogue: runnable(),
        environment: &session.environment,
        environment_text: &session.environment_text,
        ports: &session.ports,
        observer: &observer,
        person: &person,
        stop: interrupts.stop,
        detach: interrupts.detach,
        owner: owner(),
    };
    let result = runner.resume_found(&id, found, if args.redo { Redo::Yes } else { Redo::Ask }).await;
    if let Some(traces) = &traces {
        traces.finish(&printer).await;
    }
    show_end(&session, &id, lines.as_ref(), &printer).await;
    finish(result, Some(&id), common, &printer)
}
