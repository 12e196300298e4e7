//! `--format json` of `apply` and `resume`: every event as one line on standard output, as it happens.

use std::sync::{Arc, Mutex, PoisonError};

use super::printer::Printer;
use crate::engine::event::{EVENT_VERSION, EventLine, Happened, Observer, RunEvent};
use crate::engine::ports::Clock;
use crate::model::ids::RunId;

/// Writes events.
pub struct EventLines {
    printer: Arc<Printer>,
    clock: Arc<dyn Clock>,
    run: Mutex<Option<RunId>>,
}

impl EventLines {
    /// Lines on standard output.
    #[must_use]
    pub fn new(printer: Arc<Printer>, clock: Arc<dyn Clock>) -> Self {
        Self { printer, clock, run: Mutex::new(None) }
    }

    /// Writes one line.
    pub fn write(&self, happened: Happened) {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|run| run.0.clone());
        let line = EventLine { version: EVENT_VERSION, at: self.clock.now(), run, happened };
        // Plain data with text keys always becomes JSON.
        let text = serde_json::to_string(&line).unwrap_or_default();
        self.printer.result(&format!("{text}\n"));
    }
}

impl Observer for EventLines {
    fn event(&self, event: &RunEvent<'_>) {
        if let RunEvent::Started { run, .. } = event {
            *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some((*run).clone());
        }
        self.write(event.into());
    }
}
