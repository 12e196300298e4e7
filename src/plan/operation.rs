//! One concrete change or check on one host: what a plan lists and a journal records.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data::{Data, Shared};
use super::fact::exact;
use super::statement::Statement;
use super::text_diff::TextDiff;
use crate::model::ids::{HostName, OperationId, RunId, StepId};

/// What an operation does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Only reads.
    Read,
    /// Adds or changes something, and takes nothing away.
    Write,
    /// Takes something away.
    Destroy,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destroy => "destroy",
        })
    }
}

/// What an operation takes away. Every replica's copy counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Tables that can hold rows, dropped or emptied; empty ones count too.
    pub tables: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes on disk; every merge of parts changes them, so they are not part of the digest.
    pub bytes: u64,
    /// Nodes in Keeper.
    pub keeper_nodes: u64,
}

impl Loss {
    /// The sum of two losses.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tables: self.tables + other.tables,
            rows: self.rows + other.rows,
            bytes: self.bytes + other.bytes,
            keeper_nodes: self.keeper_nodes + other.keeper_nodes,
        }
    }

    /// Whether nothing is lost.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// An operation of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Past {
    /// The run.
    pub run: RunId,
    /// The operation in its plan.
    pub operation: OperationId,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// `<step>/<number>`, numbered from 1 within the step.
    pub id: OperationId,
    /// Step it belongs to.
    pub step: StepId,
    /// Action of the step.
    pub action: String,
    /// Which of the action's operations this is, e.g. `drop_database`.
    pub kind: String,
    /// Target role, where one is touched.
    pub target: Option<String>,
    /// Host that the statements go to; absent where the engine works on Keeper, a bucket or this machine.
    pub host: Option<HostName>,
    /// What is touched, for people: ``database `default` ``, `table default.runs`.
    pub object: String,
    /// What it does to the world.
    pub effect: Effect,
    /// What it takes away.
    pub loss: Loss,
    /// The statements, exactly as they will be sent, in order; late values stand as `${...}`.
    pub statements: Vec<Statement>,
    /// How the first statement differs from the text it was made from, where it was made from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Arc<TextDiff>>,
    /// Operations of a step run wave after wave.
    pub wave: u32,
    /// Within a wave, lanes run side by side; the operations of one lane run one after the other.
    pub lane: String,
    /// State before, in a few words.
    pub before: String,
    /// State after, in a few words.
    pub after: String,
    /// How the result is proved, in a few words.
    pub check: String,
    /// What the action needs to know to run it.
    pub data: Data,
    /// The operation of an earlier run that this one takes back, or whose end it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Box<Past>>,
    /// Rows it is expected to read or move; tells nothing binding and may change until the run.
    #[serde(default)]
    pub estimate_rows: Option<u64>,
    /// Bytes it is expected to read or move; tells nothing binding and may change until the run.
    #[serde(default)]
    pub estimate_bytes: Option<u64>,
}

impl Operation {
    /// An operation of a step; the planner fills in its id. Use the `with_*` methods for the rest.
    #[must_use]
    pub fn new(step: &StepId, action: &str, kind: &str, object: impl Into<String>, effect: Effect) -> Self {
        Self {
            id: OperationId(String::new()),
            step: step.clone(),
            action: action.to_owned(),
            kind: kind.to_owned(),
            target: None,
            host: None,
            object: exact(object),
            effect,
            loss: Loss::default(),
            statements: Vec::new(),
            diff: None,
            wave: 0,
            lane: String::new(),
            before: String::new(),
            after: String::new(),
            check: String::new(),
            data: Data::default(),
            past: None,
            estimate_rows: None,
            estimate_bytes: None,
        }
    }

    /// Sets target role and host; the lane becomes the host.
    #[must_use]
    pub fn on(mut self, target: &str, host: &HostName) -> Self {
        self.target = Some(target.to_owned());
        self.host = Some(host.clone());
        self.lane = host.0.clone();
        self
    }

    /// Adds a statement behind those it has: they are sent in this order.
    #[must_use]
    pub fn statement(mut self, statement: Statement) -> Self {
        // Most operations have one, and there are thousands of them.
        self.statements.reserve_exact(1);
        self.statements.push(statement);
        self
    }

    /// Adds statements behind those it has.
    #[must_use]
    pub fn statements(mut self, statements: impl IntoIterator<Item = Statement>) -> Self {
        self.statements.extend(statements);
        self
    }

    /// The statement that does what the operation is for: the last one, behind those that make room for it.
    #[must_use]
    pub fn main_statement(&self) -> Option<&Statement> {
        self.statements.last()
    }

    /// Sets what the first statement was made from.
    #[must_use]
    pub fn made_from(mut self, diff: impl Into<Arc<TextDiff>>) -> Self {
        self.diff = Some(diff.into());
        self
    }

    /// Sets the wave.
    #[must_use]
    pub fn in_wave(mut self, wave: u32) -> Self {
        self.wave = wave;
        self
    }

    /// Sets the words on the state before, on the state that is promised for afterwards, and on the proof.
    #[must_use]
    pub fn promises(mut self, before: impl Into<String>, after: impl Into<String>, check: impl Into<String>) -> Self {
        self.before = exact(before);
        self.after = exact(after);
        self.check = exact(check);
        self
    }

    /// Sets what is taken away.
    #[must_use]
    pub fn loses(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Sets what the action needs at run time.
    #[must_use]
    pub fn with_data<T: Serialize>(mut self, data: &T) -> Self {
        self.data = Data::of(data);
        self
    }

    /// As [`Self::with_data`], of an object that has all fields but the last in common with other operations.
    #[must_use]
    pub fn with_shared_data<T: Serialize>(mut self, shared: &Arc<Shared>, name: &'static str, last: &T) -> Self {
        self.data = Data::joined(shared, name, last);
        self
    }
}
