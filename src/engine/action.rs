//! What an action of the catalogue answers. Adding one touches its own file and one line of the catalogue.

use std::time::Duration;

use async_trait::async_trait;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::context::{ObserveContext, PlanContext, RunContext};
use super::ports::SqlError;
use super::retry::class_of;
use super::undo::{Undo, UndoContext};
use crate::diag::{Failure, Refusal};
use crate::model::runbook::ErrorClass;
use crate::plan::fact::Fact;
use crate::plan::operation::Operation;
use crate::plan::plan_file::Plan;

/// A mistake in an action's arguments that its schema cannot express.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentError {
    /// Path below the action's arguments, e.g. `/statements/0`; empty for the whole.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Why an operation did not come to its end.
#[derive(Clone, Debug)]
pub struct RunError {
    /// What is known about its effect.
    pub kind: RunErrorKind,
    /// Whether another attempt may help, once it is known that this one did nothing; `None` where it cannot.
    pub class: Option<ErrorClass>,
    /// What was expected, what was found, how to see it, what to do.
    pub refusal: Refusal,
}

/// What is known about the effect of an operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunErrorKind {
    /// Nothing was sent: the world is as before.
    NotSent,
    /// An error was answered, or the answer was lost: only the probe can tell what happened.
    AskProbe,
    /// It ran, and what it promised does not hold.
    Broken,
    /// Checked and found different from what the runbook expects; nothing was changed by checking.
    Differs,
}

impl RunError {
    /// From the error of a statement; `what` says what was tried.
    #[must_use]
    pub fn from_sql(what: impl Into<String>, error: &SqlError) -> Self {
        let kind = match error {
            SqlError::NotSent { .. } => RunErrorKind::NotSent,
            SqlError::Lost { .. } | SqlError::Server { .. } => RunErrorKind::AskProbe,
        };
        Self { kind, class: class_of(error), refusal: super::errors::explain_sql(what.into(), error) }
    }
}

/// What the read-only question found out about an operation whose outcome is not known.
#[derive(Clone, Debug)]
pub enum Probe {
    /// It took effect; the post-condition is asked next.
    Done,
    /// It did not take effect, and nothing of it is running: it may be run again.
    NotDone,
    /// It is still running on the server.
    Running,
    /// It cannot be told; a person has to decide, with this evidence.
    Unknown(Box<Refusal>),
}

/// Whether a finished operation's promise still holds at resume.
#[derive(Clone, Debug)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not any longer.
    No(Box<Refusal>),
    /// It cannot be told (the host does not answer).
    CannotTell(Box<Refusal>),
}

/// One action of the catalogue.
#[async_trait]
pub trait Action: Send + Sync {
    /// Key in the runbook, e.g. `recreate_database`.
    fn name(&self) -> &'static str;

    /// One sentence for the reference and for editors.
    fn summary(&self) -> &'static str;

    /// Markdown for the reference page: operations, probe after a lost outcome, post-condition, undo.
    fn reference(&self) -> &'static str;

    /// Schema of its arguments.
    fn schema(&self, generator: &mut SchemaGenerator) -> Schema;

    /// Mistakes in the arguments (after templates) that the schema cannot express.
    fn check(&self, _arguments: &Value) -> Vec<ArgumentError> {
        Vec::new()
    }

    /// Statements that the author wrote, each with the target whose first host is asked whether it can parse them.
    fn authored(&self, _arguments: &Value) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Reads what the action needs beyond the common observation. Only reads.
    async fn observe(&self, _context: &ObserveContext<'_>) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    /// Facts of its plans that are known not to hold because `observe` failed so, with what was found instead.
    fn unseen(&self, _arguments: &Value, _problems: &[Refusal]) -> Vec<Fact> {
        Vec::new()
    }

    /// Makes the operations, from the world as the steps before will leave it, and changes that world to what it
    /// will be afterwards. Pure: no network, no clock.
    ///
    /// # Errors
    /// Everything that makes the step impossible, in one go.
    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>>;

    /// The gate right before an operation: reads what must be true before it starts, and what its probe will
    /// need. The value becomes part of the intent in the journal (`context.intent` for `run` and `probe`).
    ///
    /// # Errors
    /// [`RunErrorKind::NotSent`] where the gate is closed: nothing was changed.
    async fn prepare(&self, _context: &RunContext<'_>) -> Result<Value, RunError> {
        Ok(Value::Null)
    }

    /// Carries an operation out: each statement is sent once. Waits for its end.
    ///
    /// # Errors
    /// [`RunError`] tells what is known about its effect.
    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError>;

    /// Stops what the server still does for this attempt, after a person asked for it, and waits until it has ended:
    /// one KILL QUERY for the attempt's own query id. Returns what is left over, for people; `None` where there is
    /// nothing of it to stop. What became of the attempt is told by its probe.
    ///
    /// # Errors
    /// Where it could not be stopped.
    async fn kill(&self, _context: &RunContext<'_>) -> Result<Option<String>, RunError> {
        Ok(None)
    }

    /// Asks whether an operation with an intent and no outcome took effect. Only reads.
    async fn probe(&self, context: &RunContext<'_>) -> Probe;

    /// Proves the post-condition after the operation and returns what later operations need to know. Only reads.
    ///
    /// A check whose findings must reach the journal also when it does not hold (the matrix of `verify`) returns
    /// `Ok` with `"failed"`, the number of things that are not as expected. More than none of them ends the step as
    /// [`RunErrorKind::Differs`] does, with the texts under `"reason"`, `"expected"`, `"found"` and `"query"`.
    ///
    /// # Errors
    /// [`RunErrorKind::Broken`] or [`RunErrorKind::Differs`].
    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError>;

    /// The operations that take an operation back which is done, or which left something. Pure: no network, no clock.
    fn undo(&self, _context: &UndoContext<'_>) -> Undo {
        Undo::impossible("this action does not know how to take it back", "take it back by hand")
    }

    /// Why an operation can never be taken back once it has run, where that is known when it is planned; `arguments` are
    /// those of its step.
    fn no_way_back(&self, _operation: &Operation, _arguments: &Value) -> Option<String> {
        None
    }

    /// Whether the gate of an operation can be asked before its plan begins, since no operation before it touches what
    /// the gate looks at: then a plan that would be refused halfway is refused whole.
    fn asks_early(&self, _plan: &Plan, _operation: &Operation) -> bool {
        false
    }

    /// Whether an operation that was begun and did not come to its end left something. Only reads.
    ///
    /// # Errors
    /// Where it cannot be told.
    async fn remains(&self, _context: &RunContext<'_>) -> Result<bool, RunError> {
        Ok(false)
    }

    /// What an attempt of which the probe said that it is not done left behind, as the journal keeps it: the next
    /// attempt, and an undo, remove this and nothing else. Only reads; null where there is nothing, or nothing is known.
    async fn leaves(&self, _context: &RunContext<'_>) -> Value {
        Value::Null
    }

    /// Whether [`Action::prove`] asks more of an operation than that its statement was answered, so that its success
    /// tells that the operation took effect.
    fn proves(&self, _operation: &Operation) -> bool {
        true
    }

    /// Whether what a check found has to be so also when the steps behind it are done: then it is asked again with
    /// what is done again before it.
    fn outlasts(&self, _operation: &Operation) -> bool {
        true
    }

    /// Asks again, at resume, whether the lasting part of the post-condition still holds. Only reads.
    async fn still_holds(&self, context: &RunContext<'_>, outcome: &Value) -> Holds;
}

/// Longest time of one operation where the runbook says nothing.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(6 * 3600);
