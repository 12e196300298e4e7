//! Records of a journal: one JSON line each, numbered, chained and checksummed.

use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::Refusal;
use crate::model::ids::{OperationId, RunId, StepId};
use crate::plan::plan_file::sha256;

/// Version of the journal format. Every older one is read; a newer one is refused (docs/design/0007-formats.md).
pub const JOURNAL_VERSION: u32 = 1;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// It took effect and its post-condition was proved.
    Done,
    /// It failed, and it is proven that nothing took effect: it may run again.
    NotDone,
    /// It failed and what took effect is not known, or what it promised does not hold.
    Failed,
}

/// What happened. A field or kind that is not known here is refused, as one who carries on has to understand everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The first record of every journal.
    Started {
        /// Format of this journal.
        version: u32,
        /// Run.
        run: RunId,
        /// Digest of the plan beside it.
        plan: String,
        /// Version of the tool.
        tool: String,
        /// User and host of the engine.
        owner: String,
        /// How consent was given.
        consent: String,
    },
    /// Another process carries on.
    Resumed {
        /// Version of the tool.
        tool: String,
        /// User and host of the engine.
        owner: String,
    },
    /// A person answered a step's question with yes.
    Confirmed {
        /// Step.
        step: StepId,
    },
    /// A person let a step begin after which there is no way back.
    NoReturn {
        /// Step.
        step: StepId,
    },
    /// An operation is about to start.
    Intent {
        /// Operation.
        operation: OperationId,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Id under which the server knows it.
        query_id: String,
        /// SHA-256 of its statements as planned.
        statements: String,
        /// What the gate saw.
        data: Value,
    },
    /// An operation ended.
    Outcome {
        /// Operation.
        operation: OperationId,
        /// Number of the attempt.
        attempt: u32,
        /// How.
        kind: OutcomeKind,
        /// What was proved; later operations read it. Shared with them.
        data: Arc<Value>,
        /// Why it failed.
        error: Option<JournalError>,
    },
    /// The probe answered for an attempt without a known outcome.
    Probed {
        /// Operation.
        operation: OperationId,
        /// Number of the attempt asked for.
        attempt: u32,
        /// `done`, `not_done`, `running` or `unknown`.
        answer: String,
        /// Evidence for `unknown`.
        evidence: Option<JournalError>,
    },
    /// A person said how an operation with an unknown outcome ended; its outcome follows.
    Resolved {
        /// Operation.
        operation: OperationId,
        /// Number of the attempt.
        attempt: u32,
        /// Whether it took effect.
        done: bool,
        /// Why the person is sure.
        reason: String,
        /// User and host.
        owner: String,
    },
    /// At resume a finished operation was asked again.
    Reproved {
        /// Operation.
        operation: OperationId,
        /// `yes`, `no` or `cannot_tell`.
        answer: String,
    },
    /// A finished operation's promise no longer holds, and a person wants it to be done again.
    Redone {
        /// Operation.
        operation: OperationId,
        /// Attempts that were made before; the next one has the number behind.
        attempts: u32,
    },
    /// The process stops; the run can be resumed.
    Stopped {
        /// Why.
        reason: String,
    },
    /// An undo of this run begins; it cannot be carried on with any more.
    Undone {
        /// Run of the undo.
        by: RunId,
    },
    /// The run is over.
    Finished {
        /// `done`, or `differs` where a check did not hold.
        verdict: String,
    },
}

/// A refusal as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalError {
    /// What failed.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
    /// The statement that shows it.
    pub evidence: String,
    /// What to do.
    pub action: String,
}

impl From<&Refusal> for JournalError {
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

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self {
            what: error.what,
            expected: error.expected,
            found: error.found,
            evidence: error.evidence,
            action: error.action,
        }
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub entry: Entry,
    /// Checksum of the record before; of nothing for the first.
    pub prev: String,
    /// SHA-256 over number, time, entry and `prev`.
    pub sum: String,
}

impl Record {
    /// Makes a record with its checksum.
    #[must_use]
    pub fn new(seq: u64, at: Timestamp, entry: Entry, prev: &str) -> Self {
        let mut record = Self { seq, at, entry, prev: prev.to_owned(), sum: String::new() };
        record.sum = record.compute_sum();
        record
    }

    fn compute_sum(&self) -> String {
        // Plain data with text keys always becomes JSON; an empty text would never equal a stored checksum. The reader
        // takes the sum over the parts of the line as they stand, which are these.
        let text = serde_json::to_vec(&(self.seq, self.at, &self.entry, &self.prev)).unwrap_or_default();
        sha256(&text)
    }
}
