//! `resume`: carries on with a run that stopped or was killed.

use std::sync::Arc;

use super::apply::{event_lines, finish, observers, owner, show_end};
use crate::action::CATALOGUE;
use crate::cli::args::{Common, ResumeArgs};
use crate::cli::interrupt::listen;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{open_for_run, which_run};
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
    let id = which_run(&**state, args.run.as_deref(), async |run| {
        match find_run(&**state, run).await {
            Ok(found) => found.state.finished.is_none(),
            // A damaged run must not be passed over in silence for an older one; one that never began may be.
            Err(_) => state.get(run, JOURNAL_DOCUMENT).await.is_ok_and(|bytes| !bytes.is_empty()),
        }
    })
    .await?;
    find_run(&**state, &id).await?;
    let person = TerminalPerson { printer: Arc::clone(&printer) };
    let progress = ProgressView::new(Arc::clone(&printer));
    let lines = event_lines(common, &session, &printer);
    let observer = observers(&progress, lines.as_ref());
    let interrupts = listen(Arc::clone(&printer));
    let runner = Runner {
        catalogue: CATALOGUE,
        environment: &session.environment,
        environment_text: &session.environment_text,
        ports: &session.ports,
        observer: &observer,
        person: &person,
        stop: interrupts.stop,
        detach: interrupts.detach,
        owner: owner(),
    };
    let result = runner.resume(&id, if args.redo { Redo::Yes } else { Redo::Ask }).await;
    show_end(&session, &id, lines.as_ref(), &printer).await;
    finish(result, Some(&id), common, &printer)
}
