//! Taking a run back: what each finished operation becomes in reverse, and the plan of all of them.

mod begin;
mod done;
mod on_failure;
mod plan;
mod quarantine;

use std::collections::BTreeMap;

use serde_json::Value;

use super::context::RunInfo;
use crate::model::ids::{OperationId, RunId};
use crate::plan::operation::Operation;
use crate::plan::plan_file::{Plan, PlannedStep};
use crate::plan::statement::fill_text;

pub(super) use begin::{forget_void_undo, taken_back};
pub use quarantine::{Kept, SET_ASIDE, kept_databases, purge_plan};

/// How an operation is taken back.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// It changed nothing, or what it changed goes with another operation.
    Nothing,
    /// With these operations, in this order. The planner fills in their ids, waves and what they take back.
    Operations(Vec<Operation>),
    /// There is no way back.
    Impossible {
        /// Why.
        why: String,
        /// What can be done instead.
        action: String,
    },
}

impl Undo {
    /// No way back.
    #[must_use]
    pub fn impossible(why: impl Into<String>, action: impl Into<String>) -> Self {
        Self::Impossible { why: why.into(), action: action.into() }
    }
}

/// What became of an operation of the run, as journal and probes tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Became {
    /// Done, with what it proved.
    Done(Value),
    /// It did not come to its end, and something is there that may be of it; with what [`Action::leaves`] saw after
    /// each attempt of which the probe said that it is not done.
    ///
    /// [`Action::leaves`]: super::action::Action::leaves
    Left(Vec<Value>),
    /// Nothing of it took effect.
    Nothing,
}

/// For making the operations that take one operation back. Pure: everything that was asked of the world is in it.
pub struct UndoContext<'a> {
    /// The run that is taken back.
    pub run: &'a RunInfo,
    /// Its plan.
    pub plan: &'a Plan,
    /// The step.
    pub step: &'a PlannedStep,
    /// The operation, which is done or left something.
    pub operation: &'a Operation,
    /// Its attempts with what their gates saw.
    pub intents: &'a [(u32, Value)],
    /// What became of all operations of the run.
    pub became: &'a BTreeMap<OperationId, Became>,
    /// Runs that are not over, with what they are going to do.
    pub open: &'a [(RunId, Plan)],
}

impl UndoContext<'_> {
    /// What the operation proved; `None` where it did not come to its end.
    #[must_use]
    pub fn outcome(&self) -> Option<&Value> {
        match self.became.get(&self.operation.id) {
            Some(Became::Done(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// What its attempts are known to have left; nothing where it came to its end.
    #[must_use]
    pub fn left(&self) -> &[Value] {
        match self.became.get(&self.operation.id) {
            Some(Became::Left(left)) => left,
            _ => &[],
        }
    }

    /// What the gate of the last attempt saw.
    #[must_use]
    pub fn intent(&self) -> &Value {
        self.intents.last().map_or(&Value::Null, |(_, intent)| intent)
    }

    /// What another operation of the run proved.
    #[must_use]
    pub fn outcome_of(&self, operation: &OperationId) -> Option<&Value> {
        match self.became.get(operation) {
            Some(Became::Done(outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// An operation that takes this one back: on the same target and host, in the same lane.
    #[must_use]
    pub fn reverse(&self, action: &str, kind: &str, effect: crate::plan::operation::Effect) -> Operation {
        let mut reverse = Operation::new(&self.operation.step, action, kind, self.operation.object.as_str(), effect);
        reverse.target.clone_from(&self.operation.target);
        reverse.host.clone_from(&self.operation.host);
        reverse.lane.clone_from(&self.operation.lane);
        reverse
    }

    /// Fills the late values of the run that is taken back into a text; secrets, and what belongs to the new run's
    /// own statements, stay late.
    #[must_use]
    pub fn fill(&self, text: &str) -> String {
        let mut lookup = |token: &str| {
            let value = match token {
                "run.id" => Some(self.run.id.0.clone()),
                _ => token
                    .strip_prefix("run.started ")
                    .and_then(|format| {
                        let started = self.run.started.to_zoned(jiff::tz::TimeZone::UTC);
                        jiff::fmt::strtime::format(format, &started).ok()
                    })
                    .or_else(|| self.step_path(token)),
            };
            Some(value.unwrap_or_else(|| format!("${{{token}}}")))
        };
        fill_text(text, &mut lookup).unwrap_or_else(|_| text.to_owned())
    }

    /// `step <id> path <shard>`: where that step's backup of that shard lies.
    fn step_path(&self, token: &str) -> Option<String> {
        let (step, shard) = token.strip_prefix("step ")?.split_once(" path ")?;
        self.plan.operations.iter().filter(|operation| operation.step.as_str() == step).find_map(|operation| {
            let outcome = self.outcome_of(&operation.id)?;
            (outcome.get("shard")?.as_str()? == shard).then(|| outcome.get("path")?.as_str().map(str::to_owned))?
        })
    }
}
