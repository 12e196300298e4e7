//! `man`: the manual page.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::cli::printer::Printer;
use crate::diag::Failure;
use crate::exit_code::Exit;

/// Runs the command.
///
/// # Errors
/// Where the page cannot be made.
pub fn run(printer: &Printer) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut text)
        .map_err(|error| Failure::simple(format!("the manual page cannot be made: {error}"), "report it"))?;
    printer.result(&String::from_utf8_lossy(&text));
    Ok(Exit::Done)
}
