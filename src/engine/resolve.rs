//! A person's answer for an operation whose outcome is unknown; accepted only where the servers do not contradict it.

use serde_json::Value;

use super::action::{Action, Probe, RunError, RunErrorKind};
use super::context::{RunContext, RunInfo};
use super::executor::{LostBy, difference, lost_context};
use super::journal::{Entry, JournalWriter, OutcomeKind};
use super::resume::OperationState;
use super::run::{FoundRun, Runner};
use super::state_failure::write_failure;
use super::undo::taken_back;
use crate::diag::{Failure, Refusal};
use crate::model::ids::{OperationId, RunId};
use crate::plan::operation::Effect;

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
    /// [`Failure::Refused`] where the run is over, the operation is not unknown or still runs, or where its probe or its
    /// post-condition says otherwise.
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
        let refuse = Refusing { run: &run.id.clone(), operation };
        if let Some(by) = &state.undone {
            return Err(taken_back(&run.id, by));
        }
        if let Some(ended) = &state.finished {
            let found = format!("the run is over: {ended}");
            return Err(refuse.because("a run that can still be carried on", &found, "nothing: plan and apply anew"));
        }
        let (Some(OperationState::Lost { attempt, intent, at }), Some(planned)) =
            (state.operations.get(operation), plan.operations.iter().find(|planned| planned.id == *operation))
        else {
            return Err(refuse.because(
                "an operation with an intent and no known outcome",
                "its outcome is known, or there is no such operation",
                "`clickferry status` shows which operations are unknown",
            ));
        };
        if planned.effect == Effect::Read {
            return Err(refuse.because(
                "an operation that changes something",
                "it only reads, so nothing of it is unknown",
                "`clickferry resume` asks it again",
            ));
        }
        let execution = self.execution(&plan, run, journal, state.outcomes());
        let action = execution.action_of(planned)?;
        let Some(context) = lost_context(&execution, planned, *attempt, intent, *at) else {
            return Err(refuse.because("a step of the plan", "none", "plan again"));
        };
        let mut settling = execution.settling(&context, LostBy::Process);
        let probe = execution.settled_probe(action, &context, &mut settling).await;
        let (kind, data) = refuse.checked(verdict, &probe, action, &context).await?;
        let entry = Entry::Resolved {
            operation: operation.clone(),
            attempt: *attempt,
            done: verdict == Verdict::Done,
            reason: reason.to_owned(),
            owner: self.owner.clone(),
        };
        journal.append(entry).await.map_err(write_failure)?;
        let data = data.into();
        let entry = Entry::Outcome { operation: operation.clone(), attempt: *attempt, kind, data, error: None };
        journal.append(entry).await.map_err(write_failure)?;
        Ok(())
    }
}

/// The answer that is not accepted: of which run, for which operation.
struct Refusing<'a> {
    run: &'a RunId,
    operation: &'a OperationId,
}

impl Refusing<'_> {
    /// The outcome to write, where neither the probe nor the post-condition contradicts the person.
    async fn checked(
        &self,
        verdict: Verdict,
        probe: &Probe,
        action: &dyn Action,
        context: &RunContext<'_>,
    ) -> Result<(OutcomeKind, Value), Failure> {
        match (verdict, probe) {
            (_, Probe::Running) => Err(self.because(
                "an operation that does not run any longer",
                "it still runs on the server",
                "wait for its end, or stop it with KILL QUERY",
            )),
            (Verdict::Done, Probe::NotDone) => Err(self.because(
                "an operation that took effect",
                "the probe says that it took no effect",
                "`clickferry resume` does it again",
            )),
            (Verdict::NotDone, Probe::Done) => Err(self.because(
                "an operation that took no effect",
                "the probe says that it took effect",
                "`clickferry resume` carries on from there",
            )),
            (Verdict::Done, Probe::Done | Probe::Unknown(_)) => match action.prove(context).await {
                Ok(data) if data.get("failed").and_then(Value::as_u64).unwrap_or(0) > 0 => {
                    Err(self.not_as_promised(&difference(context, &data)))
                }
                Ok(data) => Ok((OutcomeKind::Done, data)),
                Err(error) => Err(self.not_as_promised(&error.refusal)),
            },
            // What holds tells that it took effect, unless nothing was asked for.
            (Verdict::NotDone, Probe::Unknown(_)) if action.proves(context.operation) => {
                match action.prove(context).await {
                    Ok(data) if data.get("failed").and_then(Value::as_u64).unwrap_or(0) == 0 => Err(self.because(
                        "a post-condition that does not hold, if the operation took no effect",
                        &format!("what it promised is there: {}", context.operation.check),
                        "resolve it as done, or find out who else brought it about",
                    )),
                    Ok(_) | Err(RunError { kind: RunErrorKind::Broken | RunErrorKind::Differs, .. }) => {
                        Ok((OutcomeKind::NotDone, Value::Null))
                    }
                    // A host that does not answer says nothing.
                    Err(error) => Err(Failure::refused(error.refusal)),
                }
            }
            (Verdict::NotDone, Probe::NotDone) => Ok((OutcomeKind::NotDone, action.leaves(context).await)),
            (Verdict::NotDone, Probe::Unknown(_)) => Ok((OutcomeKind::NotDone, Value::Null)),
        }
    }

    fn not_as_promised(&self, refusal: &Refusal) -> Failure {
        Failure::refused(Refusal {
            what: format!("{} cannot be resolved so", self.operation),
            expected: "the post-condition holds, if the operation took effect".to_owned(),
            found: refusal.found.clone(),
            evidence: refusal.evidence.clone(),
            action: "bring the server to the promised state, or resolve it as not done".to_owned(),
        })
    }

    fn because(&self, expected: &str, found: &str, action: &str) -> Failure {
        Failure::refused(Refusal {
            what: format!("{} cannot be resolved so", self.operation),
            expected: expected.to_owned(),
            found: found.to_owned(),
            evidence: format!("clickferry status {}", self.run),
            action: action.to_owned(),
        })
    }
}
