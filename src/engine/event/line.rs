//! Events as lines of JSON: what programs read while a run goes on. Versioned; holds no secret.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::RunEvent;
use crate::diag::Refusal;
use crate::plan::operation::Operation;

/// Version of the lines. Within one version fields and kinds of events are only added.
pub const EVENT_VERSION: u32 = 1;

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// Version of the format.
    pub version: u32,
    /// When it happened.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Id of the run, once it has one.
    pub run: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// A run begins or is carried on.
    Started {
        /// Name of the runbook.
        runbook: String,
        /// Name of the environment.
        environment: String,
        /// Digest of the plan.
        plan: String,
        /// Number of operations of the plan.
        operations: usize,
        /// Whether another process began it.
        resumed: bool,
    },
    /// Something a person should know.
    Notice {
        /// What.
        text: String,
    },
    /// At resume a finished operation was asked whether its promise still holds.
    Reproved {
        /// Which operation.
        operation: String,
    },
    /// A step begins.
    StepStarted {
        /// Id of the step.
        step: String,
        /// Its position among all steps, from 1.
        number: usize,
        /// Number of steps.
        of: usize,
    },
    /// A step was finished before this process began, or is left out.
    StepPassed {
        /// Id of the step.
        step: String,
        /// Why nothing is done.
        why: String,
    },
    /// An operation begins; its intent is in the journal.
    OperationStarted {
        /// Which operation.
        #[serde(flatten)]
        which: OperationName,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// How far an operation is.
    Progress {
        /// Id of the operation.
        operation: String,
        /// Units (rows, bytes or files) done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// A word on what is going on.
        message: String,
    },
    /// The outcome of an operation is unknown and its probe is asked.
    Probing {
        /// Which operation.
        #[serde(flatten)]
        which: OperationName,
        /// Why the outcome is not known.
        why: String,
    },
    /// The probe answered.
    Probed {
        /// Which operation.
        #[serde(flatten)]
        which: OperationName,
        /// `done`, `not done`, `running` or `unknown`.
        answer: String,
    },
    /// An operation is done and proved; its outcome is in the journal.
    OperationDone {
        /// Which operation.
        #[serde(flatten)]
        which: OperationName,
        /// What was proved.
        outcome: Value,
        /// How long it took, in milliseconds.
        elapsed_ms: u64,
    },
    /// An operation failed.
    OperationFailed {
        /// Which operation.
        #[serde(flatten)]
        which: OperationName,
        /// Why.
        refusal: EventRefusal,
        /// Whether it will be tried again.
        again: bool,
    },
    /// The process stops before the end; the run can be carried on.
    Stopped {
        /// Why.
        reason: String,
    },
    /// The run is over.
    Finished {
        /// `done`, or `differs` where a check did not hold.
        verdict: String,
    },
    /// The last line: how far the run is according to its journal.
    Summary {
        /// `done` or `differs`; absent where the run can be carried on.
        verdict: Option<String>,
        /// `done`, `outstanding` or `unknown` by operation.
        operations: BTreeMap<String, String>,
        /// What the `verify` operations found last, in the order of the plan.
        verify: Vec<Value>,
    },
}

/// Names an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationName {
    /// Id of the operation.
    pub operation: String,
    /// Id of its step.
    pub step: String,
    /// Action of its step.
    pub action: String,
    /// Kind of operation, e.g. `drop_database`.
    pub kind: String,
    /// What it works on.
    pub object: String,
    /// Host it works on, where there is one.
    pub host: Option<String>,
    /// `read`, `write` or `destroy`.
    pub effect: String,
}

/// Why something failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventRefusal {
    /// What failed.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
    /// The read-only statement that shows it.
    pub evidence: String,
    /// What to do.
    pub action: String,
}

/// The schema of a line.
#[must_use]
pub fn event_schema() -> Value {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<EventLine>().to_value()
}

impl From<&Operation> for OperationName {
    fn from(operation: &Operation) -> Self {
        Self {
            operation: operation.id.to_string(),
            step: operation.step.to_string(),
            action: operation.action.clone(),
            kind: operation.kind.clone(),
            object: operation.object.clone(),
            host: operation.host.as_ref().map(ToString::to_string),
            effect: operation.effect.to_string(),
        }
    }
}

impl From<&Refusal> for EventRefusal {
    fn from(refusal: &Refusal) -> Self {
        Self {
            what: refusal.what.clone(),
            expected: refusal.expected.clone(),
            found: refusal.found.clone(),
            evidence: refusal.evidence.clone(),
            action: refusal.action.clone(),
        }
    }
}

impl From<&RunEvent<'_>> for Happened {
    fn from(event: &RunEvent<'_>) -> Self {
        match *event {
            RunEvent::Started { plan, resumed, .. } => Self::Started {
                runbook: plan.runbook.clone(),
                environment: plan.environment.clone(),
                plan: plan.digest.clone(),
                operations: plan.operations.len(),
                resumed,
            },
            RunEvent::Notice { text } => Self::Notice { text: text.to_owned() },
            RunEvent::Reproved { operation } => Self::Reproved { operation: operation.id.to_string() },
            RunEvent::StepStarted { step, number, of } => Self::StepStarted { step: step.to_string(), number, of },
            RunEvent::StepPassed { step, why } => Self::StepPassed { step: step.to_string(), why: why.to_owned() },
            RunEvent::OperationStarted { operation, attempt } => {
                Self::OperationStarted { which: operation.into(), attempt }
            }
            RunEvent::Progress { operation, done, total, message } => {
                Self::Progress { operation: operation.to_string(), done, total, message: message.to_owned() }
            }
            RunEvent::Probing { operation, why } => Self::Probing { which: operation.into(), why: why.to_owned() },
            RunEvent::Probed { operation, answer } => {
                Self::Probed { which: operation.into(), answer: answer.to_owned() }
            }
            RunEvent::OperationDone { operation, outcome, elapsed } => Self::OperationDone {
                which: operation.into(),
                outcome: outcome.clone(),
                elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            },
            RunEvent::OperationFailed { operation, refusal, again } => {
                Self::OperationFailed { which: operation.into(), refusal: refusal.into(), again }
            }
            RunEvent::Stopped { reason } => Self::Stopped { reason: reason.to_owned() },
            RunEvent::Finished { differs } => {
                Self::Finished { verdict: if differs { "differs" } else { "done" }.to_owned() }
            }
        }
    }
}
