//! What happens during a run, told to whoever shows it.

mod line;

use std::time::Duration;

use async_trait::async_trait;
pub use line::{EVENT_VERSION, EventLine, Happened, event_schema};
use serde_json::Value;

use crate::diag::Refusal;
use crate::model::ids::{OperationId, RunId, StepId};
use crate::plan::operation::Operation;
use crate::plan::plan_file::Plan;

/// One thing that happened.
#[derive(Debug)]
pub enum RunEvent<'a> {
    /// A run begins or is carried on.
    Started {
        /// Run.
        run: &'a RunId,
        /// Plan.
        plan: &'a Plan,
        /// Whether another process began it.
        resumed: bool,
    },
    /// Something a person should know.
    Notice {
        /// What.
        text: &'a str,
    },
    /// At resume a finished operation is asked whether its promise still holds.
    Reproved {
        /// Operation.
        operation: &'a Operation,
    },
    /// A step begins.
    StepStarted {
        /// Step.
        step: &'a StepId,
        /// Its position among all steps, from 1.
        number: usize,
        /// Number of steps.
        of: usize,
    },
    /// A step was finished before this process began, or is left out.
    StepPassed {
        /// Step.
        step: &'a StepId,
        /// Why nothing is done.
        why: &'a str,
    },
    /// An operation begins.
    OperationStarted {
        /// Operation.
        operation: &'a Operation,
        /// Number of the attempt.
        attempt: u32,
    },
    /// How far an operation is.
    Progress {
        /// Operation.
        operation: &'a OperationId,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// A word on what is going on.
        message: &'a str,
    },
    /// An operation's outcome is unknown and its probe is asked.
    Probing {
        /// Operation.
        operation: &'a Operation,
        /// Why the outcome is not known.
        why: &'a str,
    },
    /// The probe answered.
    Probed {
        /// Operation.
        operation: &'a Operation,
        /// `done`, `not done`, `still running` or `unknown`.
        answer: &'a str,
    },
    /// An operation is done and proved.
    OperationDone {
        /// Operation.
        operation: &'a Operation,
        /// What was proved.
        outcome: &'a Value,
        /// How long it took.
        elapsed: Duration,
    },
    /// An operation failed; it may be tried again.
    OperationFailed {
        /// Operation.
        operation: &'a Operation,
        /// Why.
        refusal: &'a Refusal,
        /// Whether it will be tried again.
        again: bool,
    },
    /// The process stops before the end; the run can be carried on.
    Stopped {
        /// Why.
        reason: &'a str,
    },
    /// The run is over.
    Finished {
        /// Whether every check held.
        differs: bool,
    },
}

/// Is told what happens.
pub trait Observer: Send + Sync {
    /// Called for every event, in order; must not block for long.
    fn event(&self, event: &RunEvent<'_>);
}

/// Tells several observers, in their order.
pub struct Observers<'a>(pub Vec<&'a dyn Observer>);

impl Observer for Observers<'_> {
    fn event(&self, event: &RunEvent<'_>) {
        for observer in &self.0 {
            observer.event(event);
        }
    }
}

/// Asks a person. An answer may take hours: what else goes on meanwhile (a request to stop) is not held up.
#[async_trait]
pub trait Person: Send + Sync {
    /// Whether the person answers the question with yes. Without a terminal the answer is no.
    async fn confirm(&self, question: &str) -> bool;

    /// Whether a step without a way back may begin, said for this very step.
    async fn no_return(&self, step: &StepId) -> bool;
}
