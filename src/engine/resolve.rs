//! A person's answer for an operation whose outcome is unknown; accepted only where the servers do not contradict it.

use serde_json::Value;

use super::action::Probe;
use super::context::RunInfo;
use super::executor::lost_context;
use super::journal::{Entry, JournalWriter, OutcomeKind};
use super::resume::OperationState;
use super::run::{FoundRun, Runner};
use super::state_failure::write_failure;
use crate::diag::{Failure, Refusal};
use crate::model::ids::{OperationId, RunId};

/// What a person says about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Done,
    /// It did not take effect.
    NotDone,
}

impl Runner<'_> {
    /// Records a person's answer. Runs nothing; `resume` carries on from it.
    ///
    /// # Errors
    /// [`Failure::Refused`] where the operation is not unknown, still runs, or the post-condition says otherwise.
    pub async fn resolve(
        &self,
        id: &RunId,
        operation: &OperationId,
        verdict: Verdict,
        reason: &str,
    ) -> Result<(), Failure> {
        let (found, locks) = self.take_up(id).await?;
        let (run, journal) = self.continue_journal(id, &found.journal, locks);
        let result = self.record_answer(&journal, run, found, operation, verdict, reason).await;
        journal.release().await;
        result
    }

    /// Asks the servers, then writes the answer.
    async fn record_answer(
        &self,
        journal: &JournalWriter,
        run: RunInfo,
        found: FoundRun,
        operation: &OperationId,
        verdict: Verdict,
        reason: &str,
    ) -> Result<(), Failure> {
        let FoundRun { plan, state, .. } = found;
        let (Some(OperationState::Lost { attempt, intent, at }), Some(planned)) =
            (state.operations.get(operation), plan.operations.iter().find(|planned| planned.id == *operation))
        else {
            return Err(refused(
                operation,
                "an operation with an intent and no known outcome",
                "its outcome is known, or there is no such operation",
                "`clickferry status` shows which operations are unknown",
            ));
        };
        let execution = self.execution(&plan, run, journal, state.outcomes());
        let action = execution.action_of(planned)?;
        let Some(context) = lost_context(&execution, planned, *attempt, intent, *at) else {
            return Err(refused(operation, "a step of the plan", "none", "plan again"));
        };
        let proof = action.prove(&context).await;
        let (kind, data) = match (verdict, proof) {
            (Verdict::Done, Ok(data)) => (OutcomeKind::Done, data),
            (Verdict::Done, Err(error)) => {
                return Err(refused(
                    operation,
                    "the post-condition holds, if the operation took effect",
                    &error.refusal.found,
                    "bring the server to the promised state, or resolve it as not done",
                ));
            }
            (Verdict::NotDone, _) => match action.probe(&context).await {
                Probe::Running => {
                    return Err(refused(
                        operation,
                        "an operation that does not run any longer",
                        "it still runs on the server",
                        "wait for its end, or stop it with KILL QUERY",
                    ));
                }
                Probe::Done => {
                    return Err(refused(
                        operation,
                        "an operation that took no effect",
                        "the probe says that it took effect",
                        "`clickferry resume` carries on from there",
                    ));
                }
                Probe::NotDone | Probe::Unknown(_) => (OutcomeKind::NotDone, Value::Null),
            },
        };
        let entry = Entry::Resolved {
            operation: operation.clone(),
            attempt: *attempt,
            done: verdict == Verdict::Done,
            reason: reason.to_owned(),
            owner: self.owner.clone(),
        };
        journal.append(entry).await.map_err(write_failure)?;
        let entry = Entry::Outcome { operation: operation.clone(), attempt: *attempt, kind, data, error: None };
        journal.append(entry).await.map_err(write_failure)?;
        Ok(())
    }
}

fn refused(operation: &OperationId, expected: &str, found: &str, action: &str) -> Failure {
    Failure::refused(Refusal {
        what: format!("{operation} cannot be resolved so"),
        expected: expected.to_owned(),
        found: found.to_owned(),
        evidence: "clickferry status RUN".to_owned(),
        action: action.to_owned(),
    })
}
