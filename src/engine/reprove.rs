//! Law 5: at resume every finished operation is asked again whether its promise still holds, and what no longer does
//! may be done again, if a person wants that.

use std::collections::{BTreeMap, HashMap};

use futures_util::StreamExt;
use futures_util::stream;

use super::action::Holds;
use super::event::RunEvent;
use super::executor::Execution;
use super::journal::{Entry, Journal};
use super::resume::{OperationState, RunState};
use super::run::{Runner, write_failure};
use crate::diag::{Failure, Refusal};
use crate::model::ids::OperationId;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;

/// Whether finished operations whose promise no longer holds are done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redo {
    /// The person at the terminal is asked; without one they are refused.
    Ask,
    /// They are.
    Yes,
}

/// The action that copies what is there when it is done, and not what was there when it was planned.
const BACKUP: &str = "backup";
/// Questions asked side by side.
const AT_ONCE: usize = 16;

impl Runner<'_> {
    pub(super) async fn reprove(
        &self,
        execution: &Execution<'_>,
        state: &mut RunState,
        journal: &Journal,
        redo: Redo,
    ) -> Result<(), Failure> {
        let steps: HashMap<_, _> = execution.plan.steps.iter().map(|step| (&step.id, step)).collect();
        let mut done = Vec::new();
        for operation in &execution.plan.operations {
            if let Some(OperationState::Done(outcome)) = state.operations.get(&operation.id)
                && let Some(&step) = steps.get(&operation.step)
            {
                done.push((operation, outcome, step, execution.action_of(operation)?));
            }
        }
        let answers = stream::iter(done)
            .map(|(operation, outcome, step, action)| async move {
                let context = execution.finished_context(operation, step);
                let holds = action.still_holds(&context, outcome).await;
                self.observer.event(&RunEvent::Reproved { operation });
                (operation, holds)
            })
            .buffered(AT_ONCE)
            .collect::<Vec<_>>();
        // Only reads: they can be left at any moment.
        let answers = tokio::select! {
            answers = answers => answers,
            () = execution.stop.cancelled() => {
                let reason = "stopped before the first operation; `clickferry resume` asks again and carries on".to_owned();
                let _ = execution.journal.append(Entry::Stopped { reason: reason.clone() }).await;
                return Err(Failure::Cancelled(reason));
            }
        };
        let (mut broken, mut untold) = (Vec::new(), Vec::new());
        for (operation, holds) in answers {
            let answer = match holds {
                Holds::Yes => continue,
                Holds::No(refusal) => {
                    broken.push((operation, *refusal));
                    "no"
                }
                Holds::CannotTell(refusal) => {
                    untold.push(*refusal);
                    "cannot_tell"
                }
            };
            let entry = Entry::Reproved { operation: operation.id.clone(), answer: answer.to_owned() };
            execution.journal.append(entry).await.map_err(write_failure)?;
        }
        if !untold.is_empty() {
            return Err(Failure::Error(untold));
        }
        if broken.is_empty() {
            return Ok(());
        }
        self.redo(execution, state, journal, broken, redo).await
    }

    /// Puts what no longer holds, and the checks behind it, back among what is to be done. Nothing that still holds is
    /// repeated, and nothing that destroys: its own gate knows the world of the plan only.
    async fn redo(
        &self,
        execution: &Execution<'_>,
        state: &mut RunState,
        journal: &Journal,
        broken: Vec<(&Operation, Refusal)>,
        redo: Redo,
    ) -> Result<(), Failure> {
        let plan = execution.plan;
        let operations: Vec<&Operation> = broken.iter().map(|(operation, _)| *operation).collect();
        let refusals = |action: String| {
            let told = broken.iter().map(|(_, refusal)| Refusal { action: action.clone(), ..refusal.clone() });
            Failure::Refused(told.collect())
        };
        if operations.iter().any(|operation| operation.effect == Effect::Destroy) {
            return Err(refusals(
                "what destroys is not done again under an old consent: look who changed it, then plan and apply anew"
                    .to_owned(),
            ));
        }
        if let Some((backup, by)) = operations.iter().find_map(|one| Some((one, destroyed_since(plan, one, state)?))) {
            return Err(refusals(format!(
                "{} is not done again: {} has destroyed on its source since, so a new backup would not hold what the old one did. Bring the old one back; if that cannot be, save what is left and plan anew",
                backup.id, by.id
            )));
        }
        let again = with_checks(execution, &operations, state);
        let names: Vec<&str> = again.iter().map(|operation| operation.id.as_str()).collect();
        let names = names.join(", ");
        let question = format!("{names}: what this promised, or checked, no longer holds. Do it again? (`yes`)");
        for (_, refusal) in &broken {
            self.observer.event(&RunEvent::Notice { text: &format!("no longer true: {refusal}") });
        }
        if redo == Redo::Ask && !self.person.confirm(&question).await {
            return Err(refusals(format!(
                "look who changed it; to do {names} again: clickferry resume {} --redo",
                execution.run.id
            )));
        }
        let attempts = attempts(journal);
        for operation in again {
            let attempts = attempts.get(&operation.id).copied().unwrap_or_default();
            let entry = Entry::Redone { operation: operation.id.clone(), attempts };
            execution.journal.append(entry).await.map_err(write_failure)?;
            state.operations.insert(operation.id.clone(), OperationState::Outstanding { attempts });
            execution.outcomes.remove(&operation.id);
        }
        Ok(())
    }
}

/// The later operation of the plan that destroyed, or may have, on the server that a backup is made of.
fn destroyed_since<'p>(plan: &'p Plan, backup: &Operation, state: &RunState) -> Option<&'p Operation> {
    if backup.action != BACKUP {
        return None;
    }
    // One server may have two names: as the source, and as what is worked on.
    let server = |operation: &Operation| {
        let planned = plan.hosts.iter().find(|host| Some(&host.name) == operation.host.as_ref());
        planned.map(|host| host.identity.as_str())
    };
    let later = plan.operations.iter().skip_while(|operation| operation.id != backup.id).skip(1);
    later.filter(|operation| operation.effect == Effect::Destroy).find(|operation| {
        let is_same = operation.host == backup.host || server(operation) == server(backup);
        let state = state.operations.get(&operation.id);
        is_same && matches!(state, Some(OperationState::Done(_) | OperationState::Lost { .. }))
    })
}

/// The operations, and the finished checks of the steps behind the first of them, in the order of the plan.
fn with_checks<'p>(execution: &Execution<'p>, broken: &[&'p Operation], state: &RunState) -> Vec<&'p Operation> {
    let plan = execution.plan;
    let first = plan.steps.iter().position(|step| broken.iter().any(|operation| operation.step == step.id));
    let behind: Vec<_> = plan.steps.iter().skip(first.unwrap_or_default() + 1).map(|step| &step.id).collect();
    let is_check = |operation: &Operation| {
        operation.effect == Effect::Read
            && execution.action_of(operation).is_ok_and(|action| action.outlasts(operation))
            && behind.contains(&&operation.step)
            && matches!(state.operations.get(&operation.id), Some(OperationState::Done(_)))
    };
    let wanted = |operation: &&Operation| broken.iter().any(|broken| broken.id == operation.id) || is_check(operation);
    plan.operations.iter().filter(wanted).collect()
}

/// Attempts that were begun, by operation: every one has an id of its own for the servers.
fn attempts(journal: &Journal) -> BTreeMap<OperationId, u32> {
    let mut attempts = BTreeMap::new();
    for record in &journal.records {
        if let Entry::Intent { operation, attempt, .. } = &record.entry {
            attempts.insert(operation.clone(), *attempt);
        }
    }
    attempts
}
