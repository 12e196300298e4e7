//! What happened in a run, but for operations that simply succeeded: those stand in their step's two lines.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::{moment, took};
use crate::engine::journal::{Entry, Journal, JournalError, OutcomeKind};
use crate::model::ids::{OperationId, StepId};
use crate::model::words::count_of;
use crate::plan::plan_file::Plan;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Event {
    /// When.
    pub at: String,
    /// How long after the first record.
    pub after: String,
    /// What, in a sentence.
    pub what: String,
    /// What was expected and found, where something failed or was asked.
    pub evidence: Option<JournalError>,
}

/// The events, in the order of the journal.
pub fn timeline(plan: &Plan, journal: &Journal) -> Vec<Event> {
    let Some(first) = journal.records.first().map(|record| record.at) else { return Vec::new() };
    let step_of: HashMap<&OperationId, &StepId> =
        plan.operations.iter().map(|operation| (&operation.id, &operation.step)).collect();
    let mut line = Line { first, events: Vec::new(), still_true: 0 };
    let mut left: HashMap<&StepId, usize> = HashMap::new();
    for operation in &plan.operations {
        *left.entry(&operation.step).or_default() += 1;
    }
    let all = left.clone();
    let mut begun: HashSet<&StepId> = HashSet::new();
    for record in &journal.records {
        let at = record.at;
        if !matches!(record.entry, Entry::Reproved { .. }) {
            line.tell_still_true(at);
        }
        match &record.entry {
            Entry::Intent { operation, .. } => {
                if let Some(step) = step_of.get(operation)
                    && begun.insert(step)
                {
                    line.push(at, format!("step `{step}` begins"), None);
                }
            }
            Entry::Outcome { operation, kind: OutcomeKind::Done, .. } => {
                let step = step_of.get(operation).copied();
                if let Some((step, left)) = step.and_then(|step| Some((step, left.get_mut(step)?))) {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        let number = count_of(all.get(step).copied().unwrap_or_default(), "operation");
                        line.push(at, format!("step `{step}` is done: {number}"), None);
                    }
                }
            }
            Entry::Redone { operation, .. } => {
                if let Some(left) = step_of.get(operation).and_then(|step| left.get_mut(step)) {
                    *left += 1;
                }
                line.push(at, format!("`{operation}` is to be done again: what it promised no longer holds"), None);
            }
            Entry::Reproved { operation, answer } if answer != "yes" => {
                let what =
                    format!("`{operation}` was asked again: does what it promised hold? {}", answer.replace('_', " "));
                line.push(at, what, None);
            }
            Entry::Reproved { .. } => line.still_true += 1,
            entry => {
                if let Some((what, evidence)) = told(entry) {
                    line.push(at, what, evidence);
                }
            }
        }
    }
    if let Some(last) = journal.records.last() {
        line.tell_still_true(last.at);
    }
    line.events
}

struct Line {
    first: Timestamp,
    events: Vec<Event>,
    /// Finished operations that were asked again and still hold.
    still_true: usize,
}

impl Line {
    fn push(&mut self, at: Timestamp, what: String, evidence: Option<JournalError>) {
        self.events.push(Event { at: moment(at), after: took(self.first, at), what, evidence });
    }

    fn tell_still_true(&mut self, at: Timestamp) {
        let number = std::mem::take(&mut self.still_true);
        if number > 0 {
            self.push(
                at,
                format!("{} asked again: what was promised still holds", count_of(number, "finished operation")),
                None,
            );
        }
    }
}

fn told(entry: &Entry) -> Option<(String, Option<JournalError>)> {
    Some(match entry {
        Entry::Started { owner, consent, .. } => (format!("{owner} begins; consent: {consent}"), None),
        Entry::Resumed { owner, .. } => (format!("{owner} carries on"), None),
        Entry::Confirmed { step } => (format!("the question of step `{step}` was answered with yes"), None),
        Entry::NoReturn { step } => (format!("step `{step}`, after which there is no way back, was let begin"), None),
        Entry::Outcome { operation, attempt, kind, error, .. } => {
            let how = if *kind == OutcomeKind::NotDone { "failed, and nothing took effect" } else { "failed" };
            (format!("attempt {attempt} of `{operation}` {how}"), error.clone())
        }
        Entry::Probed { operation, attempt, answer, evidence } => {
            let answer = answer.replace('_', " ");
            (
                format!("attempt {attempt} of `{operation}` has no known outcome; the probe says: {answer}"),
                evidence.clone(),
            )
        }
        Entry::Resolved { operation, attempt, done, reason, owner } => {
            let verdict = if *done { "took effect" } else { "took no effect" };
            (format!("{owner} says that attempt {attempt} of `{operation}` {verdict}: {reason}"), None)
        }
        Entry::Stopped { reason } => (format!("it stops: {reason}"), None),
        Entry::Undone { by } => (format!("run {by} begins to take it back"), None),
        Entry::Finished { verdict } => (format!("it is over: {verdict}"), None),
        Entry::Intent { .. } | Entry::Reproved { .. } | Entry::Redone { .. } => return None,
    })
}
