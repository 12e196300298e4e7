//! A probe that could not tell because its server does not answer: a server that restarts comes back, and nobody has to be
//! woken for that. The probe is asked again until the server answers, for as long as the step has patience.

use std::time::Duration;

use super::Execution;
use super::stop::Stop;
use crate::diag::Failure;
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::engine::retry::class_of;
use crate::model::runbook::ErrorClass;

/// Between two looks whether the server answers.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a server has been silent.
pub(super) struct Silence {
    patience: Duration,
    /// In ticks, when it was noticed first.
    since: Option<Duration>,
    /// Time waited so far, should the ticks stand still.
    waited: Duration,
    /// Whether the probe was asked after the server had answered something else.
    was_heard: bool,
}

/// What to do with a probe that cannot tell.
pub(super) enum Ask {
    /// Ask it again.
    Again,
    /// A person has to.
    NoMore,
}

impl Silence {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, since: None, waited: Duration::ZERO, was_heard: false }
    }
}

impl Execution<'_> {
    /// Whether the probe could not tell for want of an answer. Waits until the server answers again.
    pub(super) async fn silent(&self, context: &RunContext<'_>, silence: &mut Silence) -> Result<Ask, Stop> {
        let Some(host) = &context.operation.host else { return Ok(Ask::NoMore) };
        if silence.was_heard {
            return Ok(Ask::NoMore);
        }
        loop {
            match context.read(host, "SELECT 1").await {
                // It may have come back right behind the probe.
                Ok(_) => {
                    silence.was_heard = true;
                    return Ok(Ask::Again);
                }
                Err(error) if is_passing(&error) => {}
                Err(_) => return Ok(Ask::NoMore),
            }
            let now = self.ports.clock.ticks();
            let since = *silence.since.get_or_insert_with(|| {
                self.notice(&format!(
                    "{host} does not answer, so it cannot be told how {} ended; it is asked again for up to {} s",
                    context.operation.id,
                    silence.patience.as_secs()
                ));
                now
            });
            if now.saturating_sub(since).max(silence.waited) >= silence.patience {
                return Ok(Ask::NoMore);
            }
            tokio::select! {
                () = self.ports.clock.sleep(PAUSE) => silence.waited += PAUSE,
                () = self.stop.cancelled() => return Err(Stop::Failure(Failure::Cancelled(format!(
                    "stopped while {host} does not answer; `clickferry resume` asks how {} ended",
                    context.operation.id
                )))),
            }
        }
    }
}

fn is_passing(error: &SqlError) -> bool {
    match error {
        SqlError::NotSent { .. } | SqlError::Lost { .. } => true,
        SqlError::Server { .. } => matches!(class_of(error), Some(ErrorClass::Connection | ErrorClass::Overload)),
    }
}
