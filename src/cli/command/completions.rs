//! `completions`: for shells.

use clap::CommandFactory;

use crate::cli::args::{Cli, CompletionsArgs};
use crate::cli::printer::Printer;
use crate::diag::Failure;
use crate::exit_code::Exit;

/// Runs the command.
///
/// # Errors
/// Never.
pub fn run(args: &CompletionsArgs, printer: &Printer) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "clickferry", &mut text);
    printer.result(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}
