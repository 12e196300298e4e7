//! A build without traces.

use crate::cli::printer::Printer;
use crate::engine::event::{Observer, RunEvent};

/// Nothing.
pub struct Traces;

impl Traces {
    /// Never.
    #[must_use]
    pub fn from_environment(_printer: &Printer) -> Option<Self> {
        None
    }

    /// Nothing to send.
    pub async fn finish(&self, _printer: &Printer) {}
}

impl Observer for Traces {
    fn event(&self, _event: &RunEvent<'_>) {}
}
