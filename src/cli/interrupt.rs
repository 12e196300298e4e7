//! Ctrl-C and SIGTERM: the first stops before the next operation, the second stops waiting as well, the third ends the
//! process as if it were killed. A closed terminal (SIGHUP) does that at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::printer::Printer;

/// The two tokens that signals cancel.
#[derive(Clone, Default)]
pub struct Interrupts {
    /// Stop before the next operation.
    pub stop: CancellationToken,
    /// Stop waiting for what the servers carry on with.
    pub detach: CancellationToken,
    is_changing: Arc<AtomicBool>,
}

impl Interrupts {
    /// From now on something is changed: a first signal is told to stop at a safe point. Before, nothing is lost by
    /// ending at once.
    pub fn begin(&self) {
        self.is_changing.store(true, Ordering::Relaxed);
    }
}

/// Listens for signals until the process ends. Called before anything that a signal must not end in the middle of.
pub fn listen(printer: Arc<Printer>) -> Interrupts {
    let interrupts = Interrupts::default();
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return interrupts;
    };
    let tokens = interrupts.clone();
    tokio::spawn(async move {
        let mut wait = async || tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () };
        wait().await;
        tokens.stop.cancel();
        if tokens.is_changing.load(Ordering::Relaxed) {
            printer.error("stopping at the next safe point; once more to stop waiting (the servers go on; `clickferry cancel RUN --kill` stops them)\n");
        }
        wait().await;
        tokens.detach.cancel();
        wait().await;
        // Whatever still hangs: the journal is fit for an end at any moment, and nobody should have to look for `kill -9`.
        printer.error("ended at the third signal; `clickferry resume` asks what happened\n");
        let _ = kill_process(getpid(), Signal::KILL);
    });
    interrupts
}
