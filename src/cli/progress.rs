//! Shows a run as it happens: bars on a terminal, plain lines elsewhere, always on standard error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::printer::Printer;
use crate::engine::event::{Observer, RunEvent};
use crate::model::ids::{OperationId, RunId};
use crate::plan::operation::Operation;
use crate::report::plan_view::deed;
use crate::report::text::duration;

/// Between two lines about one operation where there are no bars.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Draws events.
pub struct ProgressView {
    printer: Arc<Printer>,
    bars: Option<MultiProgress>,
    running: Mutex<BTreeMap<OperationId, (ProgressBar, Instant)>>,
    run: Mutex<Option<RunId>>,
}

impl ProgressView {
    /// A view on this process's terminal.
    #[must_use]
    pub fn new(printer: Arc<Printer>) -> Self {
        let bars = printer.shows_bars().then(MultiProgress::new);
        if let Some(bars) = &bars {
            printer.use_bars(bars.clone());
        }
        Self { printer, bars, running: Mutex::new(BTreeMap::new()), run: Mutex::new(None) }
    }

    /// The run that was begun, once it was.
    #[must_use]
    pub fn run_id(&self) -> Option<RunId> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self, text: &str) {
        self.printer.error(&format!("{text}\n"));
    }

    fn begin(&self, operation: &Operation) {
        let Some(bars) = &self.bars else { return };
        let bar = bars.add(ProgressBar::new_spinner());
        bar.set_message(label(operation));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.id.clone(), (bar, Instant::now()));
    }

    fn end(&self, operation: &Operation) {
        if let Some((bar, _)) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&operation.id) {
            bar.finish_and_clear();
        }
    }

    fn progress(&self, operation: &OperationId, done: u64, total: Option<u64>, message: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bars.is_none() {
            let (_, last) = running.entry(operation.clone()).or_insert_with(|| (ProgressBar::hidden(), Instant::now()));
            if last.elapsed() >= LINE_EVERY {
                *last = Instant::now();
                let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
                self.printer.error(&format!("  … {operation} {message} {done}{of}\n"));
            }
            return;
        }
        let Some((bar, _)) = running.get(operation) else { return };
        if let Some(total) = total.filter(|total| *total > 0) {
            if bar.length() != Some(total)
                && let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {bar:24} {percent}% {eta}")
            {
                bar.set_style(style);
                bar.set_length(total);
            }
            bar.set_position(done.min(total));
        }
        if !message.is_empty() {
            bar.set_prefix(message.to_owned());
        }
    }
}

fn label(operation: &Operation) -> String {
    let place = operation.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    format!("{} {}{place}", operation.id, deed(operation))
}

impl Observer for ProgressView {
    fn event(&self, event: &RunEvent<'_>) {
        let style = self.printer.err_style();
        match event {
            RunEvent::Started { run, plan, resumed } => {
                *self.run.lock().unwrap_or_else(PoisonError::into_inner) = Some((*run).clone());
                let word = if *resumed { "Resuming" } else { "Run" };
                self.line(&style.heading(&format!("{word} {run}: {} on {}", plan.runbook, plan.environment)));
            }
            RunEvent::Notice { text } => self.line(&style.notice(text)),
            RunEvent::StepStarted { step, number, of } => self.line(&style.heading(&format!("[{number}/{of}] {step}"))),
            RunEvent::StepPassed { step, why } => self.line(&style.dim(&format!("[-] {step}: {why}"))),
            RunEvent::OperationStarted { operation, .. } => self.begin(operation),
            RunEvent::Progress { operation, done, total, message } => self.progress(operation, *done, *total, message),
            RunEvent::Probing { operation, why } => {
                self.line(&format!("  {} {}: outcome unknown ({why}); asking", style.notice("?"), label(operation)))
            }
            RunEvent::Probed { operation, answer } => {
                self.line(&format!("  {} {}: {answer}", style.notice("?"), operation.id))
            }
            RunEvent::OperationDone { operation, elapsed, .. } => {
                self.end(operation);
                self.line(&format!("  {} {}  {}", style.good("✓"), label(operation), style.dim(&duration(*elapsed))));
            }
            RunEvent::OperationFailed { operation, refusal, again } => {
                self.end(operation);
                let next = if *again { "; trying again" } else { "" };
                self.line(&format!(
                    "  {} {}: {}{next}",
                    style.bad("✗"),
                    label(operation),
                    refusal.found.lines().next().unwrap_or(&refusal.what)
                ));
            }
            RunEvent::Reproved { .. } | RunEvent::Stopped { .. } | RunEvent::Finished { .. } => {}
        }
    }
}
