//! A statement whose connection broke may not have begun: the server comes to what it was sent when it has time for it.
//! Until then its probe finds nothing running and nothing changed, and the statement would be sent a second time. So
//! "not done" is believed only when it is still the answer a while after the statement can have been sent.
//!
//! Of an earlier process it is not known when it sent its last statement: some operations send more than one behind their
//! intent, and its clock may be another machine's. It sends none any more since this process holds the locks, so the wait
//! is counted from there, once for all of its operations.

use std::time::Duration;

use super::Execution;
use crate::engine::action::{Action, Probe};
use crate::engine::context::RunContext;
use crate::engine::ports::Clock;
use crate::model::runbook::ErrorClass;
use crate::plan::operation::{Effect, Operation};

/// How long after a connection broke the answer is asked for again.
const AFTER_A_CUT: Duration = Duration::from_secs(3);
/// How long an earlier process must be gone: one that was killed takes its connections along, but not what the server
/// has received.
const AFTER_A_KILL: Duration = Duration::from_secs(2);
/// First pause between two questions; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How an attempt was lost.
#[derive(Clone, Copy)]
pub(in crate::engine) enum LostBy {
    /// By an earlier process.
    Process,
    /// By this one, after an error of this class.
    Error(Option<ErrorClass>),
}

/// Since when this process alone works on a run, by the clock that nobody sets.
#[derive(Clone, Copy)]
pub(in crate::engine) struct TakenOver(Duration);

impl TakenOver {
    /// Now; the locks must be held.
    pub(in crate::engine) fn now(clock: &dyn Clock) -> Self {
        Self(clock.ticks())
    }

    /// For how long "not done" is not believed.
    pub(in crate::engine) fn settling(self, clock: &dyn Clock, operation: &Operation, lost: LostBy) -> Duration {
        if operation.effect == Effect::Read || operation.host.is_none() {
            return Duration::ZERO;
        }
        match lost {
            LostBy::Error(Some(ErrorClass::Connection)) => AFTER_A_CUT,
            // The server answered, so it works on it no longer.
            LostBy::Error(_) => Duration::ZERO,
            LostBy::Process => AFTER_A_KILL.saturating_sub(clock.ticks().saturating_sub(self.0)),
        }
    }
}

/// Asks the probe, and again for so long while nothing is to be seen.
pub(in crate::engine) async fn settled_probe(
    clock: &dyn Clock,
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
        clock.sleep(pause).await;
        *left -= pause;
        pause *= 2;
    }
}

impl Execution<'_> {
    /// For how long "not done" is not believed.
    pub(in crate::engine) fn settling(&self, context: &RunContext<'_>, lost: LostBy) -> Duration {
        self.taken_over.settling(&*self.ports.clock, context.operation, lost)
    }

    /// Asks the probe, and again for so long while nothing is to be seen.
    pub(in crate::engine) async fn settled_probe(
        &self,
        action: &dyn Action,
        context: &RunContext<'_>,
        left: &mut Duration,
    ) -> Probe {
        settled_probe(&*self.ports.clock, action, context, left).await
    }
}
