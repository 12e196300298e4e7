//! The `clickferry` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    clickferry::cli::run(std::env::args_os())
}
