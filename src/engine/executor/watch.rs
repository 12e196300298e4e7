//! Watches, beside the operations, for a request to stop: by a signal, or by `cancel` from elsewhere.

use std::sync::PoisonError;
use std::time::Duration;

use super::Execution;
use crate::diag::Failure;
use crate::engine::cancel::requested;
use crate::engine::event::RunEvent;
use crate::engine::resume::RunState;

/// Between two looks for a request.
const PAUSE: Duration = Duration::from_secs(1);

impl Execution<'_> {
    /// Runs every step that is not done, and stops at the next safe point where that is asked for.
    ///
    /// # Errors
    /// As [`Execution::run`].
    pub async fn run_watched(&self, state: &RunState) -> Result<(), Failure> {
        self.watched(self.run(state)).await
    }

    /// Does something of the run, and hears meanwhile whether it is to stop.
    ///
    /// # Errors
    /// Those of the work.
    pub(in crate::engine) async fn watched(
        &self,
        work: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let requests = async {
            while !self.kill.is_cancelled() {
                self.ports.clock.sleep(PAUSE).await;
                // A state that cannot be read now is told by the next record.
                let Ok(Some(request)) = requested(&*self.ports.state, &self.run.id).await else { continue };
                if !self.stop.is_cancelled() {
                    self.notice(&format!("cancelled by {}{}", request.owner, request.why()));
                    self.stop.cancel();
                }
                if request.kill {
                    self.kill.cancel();
                }
            }
            std::future::pending::<()>().await;
        };
        let told = async {
            self.stop.cancelled().await;
            self.notice(&self.safe_point());
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            result = work => result,
            () = requests => Ok(()),
            () = told => Ok(()),
        }
    }

    /// Where it will stop, for people.
    fn safe_point(&self) -> String {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_empty() {
            return "stopping before the next operation".to_owned();
        }
        let names: Vec<&str> = running.iter().take(8).map(|operation| operation.as_str()).collect();
        let more = running.len().saturating_sub(names.len());
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("stopping once {}{more} {} ended", names.join(", "), if running.len() == 1 { "has" } else { "have" })
    }

    pub(super) fn notice(&self, text: &str) {
        self.observer.event(&RunEvent::Notice { text });
    }
}
