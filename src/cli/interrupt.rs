//! Ctrl-C and SIGTERM: the first stops before the next operation, the second stops waiting as well.

use std::sync::Arc;

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
}

/// Listens for signals until the process ends.
pub fn listen(printer: Arc<Printer>) -> Interrupts {
    let interrupts = Interrupts::default();
    let tokens = interrupts.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        let mut wait = async || tokio::select! { _ = interrupt.recv() => (), _ = terminate.recv() => () };
        wait().await;
        tokens.stop.cancel();
        printer.error("stopping at the next safe point; once more to stop waiting (the servers go on; `clickferry cancel RUN --kill` stops them)\n");
        wait().await;
        tokens.detach.cancel();
    });
    interrupts
}
