//! `clickferry-lab`: a throwaway ClickHouse cluster of real parts on this machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    clickferry_lab::main()
}
