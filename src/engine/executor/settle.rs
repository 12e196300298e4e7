//! A statement whose connection broke may not have begun: the server comes to what it was sent when it has time for it.
//! Until then its probe finds nothing running and nothing changed, and the statement would be sent a second time. So
//! "not done" is believed only when it is still the answer a while after the statement can have been sent.

use std::time::Duration;

use jiff::Timestamp;

use super::Execution;
use crate::engine::action::{Action, Probe};
use crate::engine::context::RunContext;
use crate::model::runbook::ErrorClass;
use crate::plan::operation::Effect;

/// How long after a connection broke the answer is asked for again.
const AFTER_A_CUT: Duration = Duration::from_secs(3);
/// How old an intent must be when another process carries on: a process that was killed takes its connections along,
/// but not what the server has received.
const AFTER_A_KILL: Duration = Duration::from_secs(2);
/// First pause between two questions; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How an attempt was lost.
#[derive(Clone, Copy)]
pub(in crate::engine) enum LostBy {
    /// By an earlier process, which wrote the intent then.
    Process(Timestamp),
    /// By this one, after an error of this class.
    Error(Option<ErrorClass>),
}

impl Execution<'_> {
    /// For how long "not done" is not believed.
    pub(in crate::engine) fn settling(&self, context: &RunContext<'_>, lost: LostBy) -> Duration {
        let operation = context.operation;
        if operation.effect == Effect::Read || operation.host.is_none() {
            return Duration::ZERO;
        }
        match lost {
            LostBy::Error(Some(ErrorClass::Connection)) => AFTER_A_CUT,
            // The server answered, so it works on it no longer.
            LostBy::Error(_) => Duration::ZERO,
            LostBy::Process(intended) => {
                // A clock that was set back makes the wait no longer.
                let age = self.ports.clock.now().duration_since(intended);
                AFTER_A_KILL.saturating_sub(Duration::try_from(age).unwrap_or_default())
            }
        }
    }

    /// Asks the probe, and again for so long while nothing is to be seen.
    pub(in crate::engine) async fn settled_probe(
        &self,
        action: &dyn Action,
        context: &RunContext<'_>,
        left: &mut Duration,
    ) -> Probe {
        let mut pause = FIRST_PAUSE;
        loop {
            let probe = action.probe(context).await;
            if left.is_zero() || matches!(probe, Probe::Done | Probe::Running) {
                return probe;
            }
            pause = pause.min(*left);
            self.ports.clock.sleep(pause).await;
            *left -= pause;
            pause *= 2;
        }
    }
}
