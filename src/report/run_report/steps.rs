//! Steps and operations of a run, with their times.

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{moment, took};
use crate::engine::journal::{Entry, Journal, JournalError};
use crate::engine::resume::{OperationState, RunState};
use crate::model::ids::{OperationId, StepId};
use crate::model::words::count_of;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;
use crate::report::outline::deed;

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepLine {
    /// Id.
    pub step: StepId,
    /// Action.
    pub action: String,
    /// How far it is.
    pub result: String,
    /// When its first operation began.
    pub began: Option<String>,
    /// Time until the last outcome of an operation.
    pub took: Option<String>,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct OperationLine {
    /// Id.
    pub operation: OperationId,
    /// Host, or `-`.
    pub host: String,
    /// What it does.
    pub what: String,
    /// `done`, `not done`, `not begun`, `did not hold` or `outcome unknown`.
    pub result: &'static str,
    /// Number of attempts.
    pub attempts: u32,
    /// When the first attempt began.
    pub began: Option<String>,
    /// Time from the first intent to the last outcome.
    pub took: Option<String>,
    /// Id of the last attempt on its server.
    pub query_id: Option<String>,
    /// Why the last attempt failed, where it did.
    pub error: Option<JournalError>,
    #[serde(skip)]
    times: Times,
}

/// What the journal tells of an operation.
#[derive(Clone, Debug, Default, PartialEq)]
struct Times {
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
}

#[derive(Default)]
struct Told<'j> {
    times: Times,
    attempts: u32,
    query_id: Option<&'j str>,
    error: Option<&'j JournalError>,
}

/// A line for every operation of the plan, in its order.
pub fn operations(plan: &Plan, journal: &Journal, state: &RunState) -> Vec<OperationLine> {
    let mut told: HashMap<&OperationId, Told<'_>> = HashMap::new();
    for record in &journal.records {
        match &record.entry {
            Entry::Intent { operation, attempt, query_id, .. } => {
                let told = told.entry(operation).or_default();
                told.times.began.get_or_insert(record.at);
                (told.attempts, told.query_id, told.error) = (*attempt, Some(query_id.as_str()), None);
            }
            Entry::Outcome { operation, error, .. } => {
                let told = told.entry(operation).or_default();
                (told.times.ended, told.error) = (Some(record.at), error.as_ref());
            }
            _ => {}
        }
    }
    let line = |operation: &Operation| {
        let told = told.remove(&operation.id).unwrap_or_default();
        OperationLine {
            operation: operation.id.clone(),
            host: operation.host.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            what: deed(operation),
            result: result(operation, state.operations.get(&operation.id), &told),
            attempts: told.attempts,
            began: told.times.began.map(moment),
            took: told.times.began.zip(told.times.ended).map(|(began, ended)| took(began, ended)),
            query_id: told.query_id.map(str::to_owned),
            error: told.error.cloned(),
            times: told.times,
        }
    };
    plan.operations.iter().map(line).collect()
}

fn result(operation: &Operation, state: Option<&OperationState>, told: &Told<'_>) -> &'static str {
    match state {
        Some(OperationState::Done(_)) => "done",
        Some(OperationState::Lost { .. }) if operation.effect == Effect::Read && told.error.is_some() => "did not hold",
        // A check that was cut off is made again, and nobody has to ask about it.
        Some(OperationState::Lost { .. }) if operation.effect == Effect::Read => "not done",
        Some(OperationState::Lost { .. }) => "outcome unknown",
        _ if told.attempts > 0 => "not done",
        _ => "not begun",
    }
}

/// A line for every step of the plan, in its order.
pub fn steps(plan: &Plan, operations: &[OperationLine]) -> Vec<StepLine> {
    let mut of_step: HashMap<&StepId, Vec<&OperationLine>> = HashMap::new();
    for (operation, line) in plan.operations.iter().zip(operations) {
        of_step.entry(&operation.step).or_default().push(line);
    }
    let line = |step: &crate::plan::plan_file::PlannedStep| {
        let lines = of_step.remove(&step.id).unwrap_or_default();
        let began = lines.iter().filter_map(|line| line.times.began).min();
        let ended = lines.iter().filter_map(|line| line.times.ended).max();
        StepLine {
            step: step.id.clone(),
            action: step.action.clone(),
            result: step.skipped.as_ref().map_or_else(|| words(&lines), |why| format!("left out: {why}")),
            began: began.map(moment),
            took: began.zip(ended).map(|(began, ended)| took(began, ended)),
        }
    };
    plan.steps.iter().map(line).collect()
}

/// `done, 3 operations`; `2 of 3 done, 1 outcome unknown`.
fn words(lines: &[&OperationLine]) -> String {
    let number = |result: &str| lines.iter().filter(|line| line.result == result).count();
    let done = number("done");
    if done == lines.len() {
        return format!("done, {}", count_of(done, "operation"));
    }
    let others = ["did not hold", "outcome unknown", "not done", "not begun"];
    let others = others.iter().filter(|result| number(result) > 0).map(|result| format!("{} {result}", number(result)));
    std::iter::once(format!("{done} of {} done", lines.len())).chain(others).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
impl OperationLine {
    /// An operation that simply succeeded.
    pub fn done(number: usize) -> Self {
        Self {
            operation: OperationId(format!("s/{number}")),
            host: "r1".to_owned(),
            what: "create table t".to_owned(),
            result: "done",
            attempts: 1,
            began: None,
            took: None,
            query_id: None,
            error: None,
            times: Times::default(),
        }
    }
}
