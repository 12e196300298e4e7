//! `lab`: hands over to `clickferry-lab`, as git does with its subcommands.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::diag::Failure;
use crate::exit_code::Exit;

/// Becomes `clickferry-lab`; returns only when it cannot be started.
///
/// # Errors
/// Where there is no such program.
pub fn run(arguments: &[OsString]) -> Result<Exit, Failure> {
    let beside =
        std::env::current_exe().ok().and_then(|path| path.parent().map(|folder| folder.join("clickferry-lab")));
    let program = beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("clickferry-lab"));
    let error = Command::new(&program).args(arguments).exec();
    Err(Failure::simple(
        format!("{} cannot be started: {error}", program.display()),
        "build it with `cargo build -p clickferry-lab`, or put it beside clickferry or on the PATH",
    ))
}
