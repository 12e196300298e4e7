//! The one place that writes to the terminal.

use std::io::{self, Write};

/// Writes results to standard output.
///
/// A reader that has seen enough (`| head -1`) is no failure.
pub fn result(text: &str) {
    let _ = writeln!(io::stdout().lock(), "{text}");
}

/// Writes what is being done, and errors, to standard error.
pub fn progress(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
