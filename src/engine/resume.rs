//! What is outstanding: a pure function of plan and journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use super::journal::{Entry, Journal, OutcomeKind};
use super::outcomes::Outcomes;
use crate::diag::Refusal;
use crate::model::ids::{OperationId, StepId};
use crate::plan::operation::Operation;
use crate::plan::plan_file::{Plan, sha256};

/// How far an operation is, as far as the journal tells.
#[derive(Clone, Debug, PartialEq)]
pub enum OperationState {
    /// Nothing of it took effect; `attempts` were made.
    Outstanding {
        /// Number of attempts so far.
        attempts: u32,
    },
    /// It has an intent and no known outcome: its probe has to be asked before anything else.
    Lost {
        /// Number of the attempt.
        attempt: u32,
        /// What its gate saw.
        intent: Value,
        /// When the intent was written.
        at: Timestamp,
    },
    /// Done and proved, with what was proved.
    Done(Value),
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// State of each operation of the plan.
    pub operations: BTreeMap<OperationId, OperationState>,
    /// Steps whose question was answered with yes.
    pub confirmed: BTreeSet<StepId>,
    /// The verdict, where the run is over.
    pub finished: Option<String>,
}

impl RunState {
    /// What the finished operations proved.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let done = self.operations.iter().filter_map(|(operation, state)| match state {
            OperationState::Done(data) => Some((operation.clone(), data.clone())),
            _ => None,
        });
        done.collect()
    }
}

/// The digest of an operation's statements, kept with its intent, so that a plan edited later is noticed.
#[must_use]
pub fn statements_digest(operation: &Operation) -> String {
    // Plain data with text keys always becomes JSON.
    sha256(&serde_json::to_vec(&(&operation.statements, &operation.data)).unwrap_or_default())
}

/// Reads how far a run is.
///
/// # Errors
/// A refusal where the journal belongs to another plan, or tells of operations that the plan does not have.
pub fn run_state(plan: &Plan, journal: &Journal) -> Result<RunState, Refusal> {
    if journal.records.is_empty() {
        return Err(inconsistent(
            "the run never began: its first record was not written, so nothing was done; apply anew",
        ));
    }
    if journal.plan_digest() != Some(plan.digest.as_str()) || !plan.is_intact() {
        return Err(inconsistent("the journal was written for another plan than the one beside it"));
    }
    let mut state = RunState {
        operations: plan
            .operations
            .iter()
            .map(|operation| (operation.id.clone(), OperationState::Outstanding { attempts: 0 }))
            .collect(),
        ..RunState::default()
    };
    let planned: HashMap<&OperationId, &Operation> =
        plan.operations.iter().map(|operation| (&operation.id, operation)).collect();
    for record in &journal.records {
        match &record.entry {
            Entry::Intent { operation, attempt, statements, data, .. } => {
                let planned = planned.get(operation);
                if planned.is_none_or(|planned| statements_digest(planned) != *statements) {
                    return Err(inconsistent(&format!(
                        "the statements of {operation} are not those the journal was written for"
                    )));
                }
                if state.finished.is_some() || matches!(state.operations.get(operation), Some(OperationState::Done(_)))
                {
                    return Err(inconsistent(&format!("{operation} begins again after its end")));
                }
                state.operations.insert(
                    operation.clone(),
                    OperationState::Lost { attempt: *attempt, intent: data.clone(), at: record.at },
                );
            }
            Entry::Outcome { operation, attempt, kind, data, .. } => {
                let Some(OperationState::Lost { attempt: begun, intent, at }) =
                    state.operations.get(operation).cloned()
                else {
                    return Err(inconsistent(&format!("{operation} ends without having begun")));
                };
                if begun != *attempt {
                    return Err(inconsistent(&format!(
                        "attempt {attempt} of {operation} ends, but attempt {begun} had begun"
                    )));
                }
                let next = match kind {
                    OutcomeKind::Done => OperationState::Done(data.clone()),
                    OutcomeKind::NotDone => OperationState::Outstanding { attempts: *attempt },
                    OutcomeKind::Failed => OperationState::Lost { attempt: begun, intent, at },
                };
                state.operations.insert(operation.clone(), next);
            }
            Entry::Redone { operation, attempts } => {
                if !matches!(state.operations.get(operation), Some(OperationState::Done(_))) {
                    return Err(inconsistent(&format!("{operation} is done again without having been done")));
                }
                state.operations.insert(operation.clone(), OperationState::Outstanding { attempts: *attempts });
            }
            Entry::Confirmed { step } => {
                state.confirmed.insert(step.clone());
            }
            Entry::Finished { verdict } => state.finished = Some(verdict.clone()),
            Entry::Started { .. }
            | Entry::Resumed { .. }
            | Entry::Probed { .. }
            | Entry::Resolved { .. }
            | Entry::Reproved { .. }
            | Entry::Stopped { .. } => {}
        }
    }
    Ok(state)
}

fn inconsistent(found: &str) -> Refusal {
    Refusal {
        what: "the run cannot be resumed on this journal".to_owned(),
        expected: "a journal that fits the plan beside it".to_owned(),
        found: found.to_owned(),
        evidence: "clickferry status RUN".to_owned(),
        action: "bring back the run's own plan and journal, or look at the servers and plan anew".to_owned(),
    }
}
