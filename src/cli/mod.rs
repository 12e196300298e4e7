//! The command line: arguments to commands to views to exit codes.

pub mod args;
mod command;
mod event_lines;
mod interrupt;
mod observed;
mod person;
pub mod printer;
mod progress;
mod saved_plan;
mod session;
#[cfg(feature = "torture")]
mod torture;
mod traces;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::diag::{Failure, render};
use crate::exit_code::Exit;
use args::{Cli, Command};
use printer::Printer;

/// Runs the command line and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Writing help to a closed pipe is no failure of ours.
            let _ = error.print();
            return if error.use_stderr() { Exit::Error.into() } else { Exit::Done.into() };
        }
    };
    let printer = Printer::new(cli.common.color);
    let exit = match dispatch(cli, &printer) {
        Ok(exit) => exit,
        Err(failure) => {
            report(&failure, &printer);
            failure.exit()
        }
    };
    exit.into()
}

fn dispatch(cli: Cli, printer: &Printer) -> Result<Exit, Failure> {
    let cli = cli.settled()?;
    let common = &cli.common;
    match cli.command {
        Command::Validate(args) => command::validate::run(&args, common, printer),
        Command::Schema(args) => command::schema::run(&args, printer),
        Command::Init(args) => command::init::run(&args, printer),
        Command::Completions(args) => command::completions::run(&args, printer),
        Command::Man => command::man::run(printer),
        Command::Dev(args) => command::dev::run(&args, printer),
        Command::Explain(args) => command::explain::run(&args, common, printer),
        Command::Lab(args) => command::lab::run(&args.arguments),
        Command::Plan(args) => on_runtime(command::plan::run(&args, common, printer)),
        Command::Diff(args) => on_runtime(command::diff::run(&args, common, printer)),
        Command::Apply(args) => on_runtime(command::apply::run(&args, common, printer)),
        Command::Approve(args) => command::approve::run(&args, common, printer),
        Command::Resume(args) => on_runtime(command::resume::run(&args, common, printer)),
        Command::Cancel(args) => on_runtime(command::cancel::run(&args, common, printer)),
        Command::Resolve(args) => on_runtime(command::resolve::run(&args, common, printer)),
        Command::Purge(args) => on_runtime(command::purge::run(&args, common, printer)),
        Command::Undo(args) => on_runtime(command::undo::run(&args, common, printer)),
        Command::Report(args) => on_runtime(command::report::run(&args, common, printer)),
        Command::Status(args) => on_runtime(command::status::run(&args, common, printer)),
        Command::Runs => on_runtime(command::runs::run(common, printer)),
        Command::State(args) => on_runtime(command::state::run(&args, common, printer)),
        Command::Unlock(args) => on_runtime(command::unlock::run(&args, common, printer)),
        Command::Verify(args) => on_runtime(command::verify::run(&args, common, printer)),
        Command::Inspect(args) => on_runtime(command::inspect::run(&args, common, printer)),
    }
}

fn on_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(|error| {
            Failure::simple(format!("the runtime cannot be started: {error}"), "free some threads or memory")
        })?;
    let result = runtime.block_on(command);
    // A blocked look-up of a name must not keep the process alive.
    runtime.shutdown_background();
    result
}

/// Tells a failure on standard error.
fn report(failure: &Failure, printer: &Printer) {
    let style = printer.err_style();
    match failure {
        Failure::Input(diagnostics) => printer.error(&render(diagnostics.clone(), printer.width(), style.colour)),
        Failure::Error(all) => refusals(all, &style.bad("error"), printer),
        Failure::Refused(all) => refusals(all, &style.bad("refused"), printer),
        Failure::Unknown(all) => refusals(all, &style.bad("outcome unknown"), printer),
        Failure::Differs(all) => refusals(all, &style.bad("differs"), printer),
        Failure::TakenBack { failure, .. } => report(failure, printer),
        Failure::Cancelled(reason) => printer.error(&format!("{}: {reason}\n", style.notice("cancelled"))),
    }
}

fn refusals(all: &[crate::diag::Refusal], label: &str, printer: &Printer) {
    for refusal in all {
        printer.error(&printer.refusal(label, refusal));
    }
}
