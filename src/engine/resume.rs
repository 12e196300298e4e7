//! What is outstanding: a pure function of plan and journal.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use super::journal::{Entry, Journal, OutcomeKind};
use super::outcomes::Outcomes;
use crate::diag::Refusal;
use crate::model::ids::{OperationId, RunId, StepId};
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
    Done(Arc<Value>),
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// State of each operation of the plan.
    pub operations: HashMap<OperationId, OperationState>,
    /// Steps whose question was answered with yes.
    pub confirmed: BTreeSet<StepId>,
    /// Steps without a way back that were let begin.
    pub no_return: BTreeSet<StepId>,
    /// The verdict, where the run is over.
    pub finished: Option<String>,
    /// The run that takes it back, where one has begun to.
    pub undone: Option<RunId>,
}

impl RunState {
    /// What the finished operations proved.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        let done = self.operations.iter().filter_map(|(operation, state)| match state {
            OperationState::Done(data) => Some((operation.clone(), Arc::clone(data))),
            _ => None,
        });
        done.collect()
    }
}

/// The digest of an operation's statements, kept with its intent, so that a plan edited later is noticed.
#[must_use]
pub fn statements_digest(operation: &Operation) -> String {
    // Plain data with text keys always becomes JSON.
    sha256(&serde_json::to_vec(&(&operation.statements, operation.data.exact())).unwrap_or_default())
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
    let outstanding = |operation: &Operation| (operation.id.clone(), OperationState::Outstanding { attempts: 0 });
    let mut state = RunState { operations: plan.operations.iter().map(outstanding).collect(), ..RunState::default() };
    let planned: HashMap<&OperationId, &Operation> =
        plan.operations.iter().map(|operation| (&operation.id, operation)).collect();
    let is_planned = |operation| planned.contains_key(operation);
    // What the gates saw is copied only for the few operations that end up lost.
    let mut seen: HashMap<&OperationId, &Value> = HashMap::new();
    for record in &journal.records {
        match &record.entry {
            Entry::Intent { operation, attempt, statements, data, .. } => {
                let planned = planned.get(operation);
                if planned.is_none_or(|planned| statements_digest(planned) != *statements) {
                    return Err(inconsistent(&format!(
                        "the statements of {operation} are not those the journal was written for"
                    )));
                }
                state.begin(operation, *attempt, record.at).map_err(|found| inconsistent(&found))?;
                seen.insert(operation, data);
            }
            Entry::Outcome { operation, attempt, kind, data, .. } => {
                state.end(operation, *attempt, *kind, data).map_err(|found| inconsistent(&found))?;
            }
            Entry::Redone { operation, attempts } => {
                if !matches!(state.operations.get(operation), Some(OperationState::Done(_))) {
                    return Err(inconsistent(&format!("{operation} is done again without having been done")));
                }
                state.operations.insert(operation.clone(), OperationState::Outstanding { attempts: *attempts });
            }
            Entry::Confirmed { step } => {
                if plan.step(step).is_none() {
                    return Err(inconsistent(&format!("step `{step}` was confirmed, and the plan does not have it")));
                }
                state.confirmed.insert(step.clone());
            }
            Entry::NoReturn { step } => {
                if plan.step(step).is_none() {
                    return Err(inconsistent(&format!("step `{step}` was gone past, and the plan does not have it")));
                }
                state.no_return.insert(step.clone());
            }
            Entry::Undone { by } => state.undone = Some(by.clone()),
            Entry::Finished { verdict } => {
                let is_done = |state: &OperationState| matches!(state, OperationState::Done(_));
                if verdict == "done" && !state.operations.values().all(is_done) {
                    return Err(inconsistent("the run is said to be done, and not all of its operations are"));
                }
                state.finished = Some(verdict.clone());
            }
            Entry::Probed { operation, .. } | Entry::Resolved { operation, .. } | Entry::Reproved { operation, .. } => {
                if !is_planned(operation) {
                    return Err(inconsistent(&format!("{operation} was asked for, and the plan does not have it")));
                }
            }
            Entry::Started { .. } | Entry::Resumed { .. } | Entry::Stopped { .. } => {}
        }
    }
    for (operation, state) in &mut state.operations {
        if let (OperationState::Lost { intent, .. }, Some(&data)) = (state, seen.get(operation)) {
            intent.clone_from(data);
        }
    }
    Ok(state)
}

impl RunState {
    /// An intent: from now on the outcome is not known. What its gate saw is filled in at the end.
    fn begin(&mut self, operation: &OperationId, attempt: u32, at: Timestamp) -> Result<(), String> {
        let is_over = self.finished.is_some();
        match self.operations.get_mut(operation) {
            Some(state @ OperationState::Outstanding { .. }) if !is_over => {
                if *state != (OperationState::Outstanding { attempts: attempt.saturating_sub(1) }) || attempt == 0 {
                    return Err(format!("attempt {attempt} of {operation} begins out of turn"));
                }
                *state = OperationState::Lost { attempt, intent: Value::Null, at };
                Ok(())
            }
            Some(OperationState::Lost { attempt: begun, .. }) => {
                Err(format!("{operation} begins again, and how attempt {begun} ended is not known"))
            }
            _ => Err(format!("{operation} begins again after its end")),
        }
    }

    /// An outcome: of the attempt that has begun, else it proves nothing.
    fn end(
        &mut self,
        operation: &OperationId,
        attempt: u32,
        kind: OutcomeKind,
        proved: &Arc<Value>,
    ) -> Result<(), String> {
        let Some(state @ OperationState::Lost { .. }) = self.operations.get_mut(operation) else {
            return Err(format!("{operation} ends without having begun"));
        };
        if let OperationState::Lost { attempt: begun, .. } = state
            && *begun != attempt
        {
            return Err(format!("attempt {attempt} of {operation} ends, but attempt {begun} had begun"));
        }
        match kind {
            OutcomeKind::Done => *state = OperationState::Done(Arc::clone(proved)),
            OutcomeKind::NotDone => *state = OperationState::Outstanding { attempts: attempt },
            // What took effect is not known: the probe has to be asked.
            OutcomeKind::Failed => {}
        }
        Ok(())
    }
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
