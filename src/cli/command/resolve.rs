//! `resolve`: a person's answer for an operation whose outcome is unknown.

use std::sync::Arc;

use super::apply::owner;
use crate::action::runnable;
use crate::cli::args::{Common, ResolveArgs};
use crate::cli::interrupt::listen;
use crate::cli::person::TerminalPerson;
use crate::cli::printer::Printer;
use crate::cli::progress::ProgressView;
use crate::cli::session::{flags, open_for_run, which_run};
use crate::diag::Failure;
use crate::engine::resolve::Verdict;
use crate::engine::run::Runner;
use crate::exit_code::Exit;
use crate::model::ids::OperationId;

/// Runs the command.
///
/// # Errors
/// An operation that is not unknown, or an answer that the servers contradict.
pub async fn run(args: &ResolveArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let printer = printer.shared();
    let session = open_for_run(common, &printer, Some(&args.run)).await?;
    let id = which_run(&*session.ports.state, Some(&args.run), async |_| true).await?;
    let interrupts = listen(Arc::clone(&printer));
    interrupts.begin();
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
    let verdict = if args.done { Verdict::Done } else { Verdict::NotDone };
    runner.resolve(&id, &OperationId(args.operation.clone()), verdict, &args.reason).await?;
    printer.result(&format!("{} is recorded. Carry on: clickferry resume {id}{}\n", args.operation, flags(common)));
    Ok(Exit::Done)
}
