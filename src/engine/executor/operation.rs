//! One operation: gate, intent, statement, proof, outcome; and the probe before anything is repeated.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::probing::Probed;
use super::stop::{Stop, stop_for};
use super::{Execution, LostBy};
use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::event::RunEvent;
use crate::engine::journal::{Entry, OutcomeKind};
use crate::engine::resume::{OperationState, statements_digest};
use crate::engine::retry::{Policy, chance};
use crate::model::ids::OperationId;
use crate::model::runbook::ErrorClass;
use crate::plan::operation::Operation;
use crate::plan::plan_file::PlannedStep;

impl Execution<'_> {
    /// Brings one operation to its end, from whatever state it is in.
    pub(super) async fn operation(
        &self,
        step: &PlannedStep,
        policy: &Policy<'_>,
        operation: &Operation,
        begun: OperationState,
    ) -> Result<(), Stop> {
        let action = self.action(&operation.action)?;
        let started = Instant::now();
        let _running = Running::new(&self.running, &operation.id);
        let mut state = begun;
        let mut tries = 0;
        let mut failed_with: Option<Failed> = None;
        loop {
            match state {
                OperationState::Done(_) => return Ok(()),
                OperationState::Lost { attempt, intent, at } => {
                    let context = self.context(step, operation, attempt, &intent, at);
                    let before = failed_with.as_ref().map(|failed| &failed.refusal);
                    let lost = failed_with.as_ref().map_or(LostBy::Process, |failed| LostBy::Error(failed.class));
                    match self.probe(action, policy, &context, (before, lost), started).await? {
                        Probed::Done => return self.prove(action, &context, started).await,
                        Probed::NotDone => {
                            let left = action.leaves(&context).await;
                            self.outcome(operation, attempt, OutcomeKind::NotDone, left, before).await?;
                            state = OperationState::Outstanding { attempts: attempt };
                        }
                    }
                }
                OperationState::Outstanding { attempts } => {
                    if let Some(failed) = failed_with.take() {
                        self.pause_or_give_up(policy, operation, tries, policy.gone(started), failed).await?;
                    } else if self.stop.is_cancelled() {
                        return Err(Stop::Failure(Failure::Cancelled(format!(
                            "what an earlier process did of {} took no effect; `clickferry resume` carries on with it",
                            operation.id
                        ))));
                    }
                    tries += 1;
                    policy.attempts();
                    let attempt = attempts + 1;
                    match self.attempt(action, step, operation, attempt, started).await? {
                        None => return Ok(()),
                        Some((next, failed)) => {
                            state = next;
                            failed_with = Some(failed);
                        }
                    }
                }
            }
        }
    }

    /// One attempt: gate, intent, statements, proof. `None` means done; else the state it is left in and why.
    async fn attempt(
        &self,
        action: &dyn Action,
        step: &PlannedStep,
        operation: &Operation,
        attempt: u32,
        started: Instant,
    ) -> Result<Option<(OperationState, Failed)>, Stop> {
        let gate = self.context(step, operation, attempt, &Value::Null, self.run.started);
        let intent = match self.unless_detached(operation, action.prepare(&gate)).await? {
            Ok(intent) => intent,
            Err(RunError { kind: RunErrorKind::NotSent | RunErrorKind::AskProbe, class, refusal }) => {
                return Ok(Some((OperationState::Outstanding { attempts: attempt - 1 }, Failed { class, refusal })));
            }
            Err(error) => return Err(stop_for(error)),
        };
        self.observer.event(&RunEvent::OperationStarted { operation, attempt });
        let record = self
            .journal
            .append(Entry::Intent {
                operation: operation.id.clone(),
                attempt,
                query_id: gate.query_id(),
                statements: statements_digest(operation),
                data: intent.clone(),
            })
            .await?;
        let context = self.context(step, operation, attempt, &intent, record.at);
        match self.run_or_kill(action, &context).await {
            Ok(()) => self.prove(action, &context, started).await.map(|()| None),
            Err(RunError { kind: RunErrorKind::NotSent, class, refusal }) => {
                self.outcome(operation, attempt, OutcomeKind::NotDone, Value::Null, Some(&refusal)).await?;
                Ok(Some((OperationState::Outstanding { attempts: attempt }, Failed { class, refusal })))
            }
            Err(RunError { kind: RunErrorKind::AskProbe, class, refusal }) => {
                if self.detach.is_cancelled() {
                    return Err(Stop::Failure(Failure::Cancelled(format!(
                        "detached from {}: the server goes on with it; `clickferry resume` asks how it ended",
                        operation.id
                    ))));
                }
                Ok(Some((OperationState::Lost { attempt, intent, at: record.at }, Failed { class, refusal })))
            }
            Err(error) => {
                self.outcome(operation, attempt, OutcomeKind::Failed, Value::Null, Some(&error.refusal)).await?;
                self.observer.event(&RunEvent::OperationFailed { operation, refusal: &error.refusal, again: false });
                Err(stop_for(error))
            }
        }
    }

    /// Runs; where a person asks for it meanwhile, what the server does is stopped, and the run ends with that.
    async fn run_or_kill(&self, action: &dyn Action, context: &RunContext<'_>) -> Result<(), RunError> {
        let running = action.run(context);
        tokio::pin!(running);
        tokio::select! {
            biased;
            result = &mut running => return result,
            () = self.kill.cancelled() => {}
        }
        // Both go on side by side: the statement may end by itself before it is stopped.
        let (result, ()) = tokio::join!(running, self.kill_of(action, context));
        result
    }

    /// Stops what the server does for an attempt, and tells what is left of it.
    pub(super) async fn kill_of(&self, action: &dyn Action, context: &RunContext<'_>) {
        match action.kill(context).await {
            Ok(Some(leftovers)) => self.notice(&leftovers),
            Ok(None) => {}
            Err(error) => self.notice(&format!("{}: {}", error.refusal.what, error.refusal.found)),
        }
    }

    /// Only reads: the second signal leaves them where they are.
    pub(super) async fn unless_detached<T>(
        &self,
        operation: &Operation,
        asking: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        tokio::select! {
            biased;
            answer = asking => Ok(answer),
            () = self.detach.cancelled() => Err(Stop::Failure(Failure::Cancelled(format!(
                "stopped in the middle of {}, as asked; `clickferry resume` asks how it ended",
                operation.id
            )))),
        }
    }

    /// Proves the post-condition and writes the outcome.
    async fn prove(&self, action: &dyn Action, context: &RunContext<'_>, started: Instant) -> Result<(), Stop> {
        let operation = context.operation;
        let data = match self.unless_detached(operation, action.prove(context)).await? {
            Ok(data) => Arc::new(data),
            Err(error) => {
                self.outcome(operation, context.attempt, OutcomeKind::Failed, Value::Null, Some(&error.refusal))
                    .await?;
                self.observer.event(&RunEvent::OperationFailed { operation, refusal: &error.refusal, again: false });
                return Err(stop_for(error));
            }
        };
        if data.get("failed").and_then(Value::as_u64).unwrap_or(0) > 0 {
            let refusal = difference(context, &data);
            self.outcomes.insert(operation.id.clone(), Arc::clone(&data));
            self.outcome(operation, context.attempt, OutcomeKind::Failed, data, Some(&refusal)).await?;
            self.observer.event(&RunEvent::OperationFailed { operation, refusal: &refusal, again: false });
            return Err(Stop::Failure(Failure::Differs(vec![refusal])));
        }
        self.outcome(operation, context.attempt, OutcomeKind::Done, Arc::clone(&data), None).await?;
        self.observer.event(&RunEvent::OperationDone { operation, outcome: &data, elapsed: started.elapsed() });
        self.outcomes.insert(operation.id.clone(), data);
        Ok(())
    }

    /// After a failure that is proven to have changed nothing: waits for another attempt, or gives up.
    async fn pause_or_give_up(
        &self,
        policy: &Policy<'_>,
        operation: &Operation,
        tries: u32,
        gone: Duration,
        failed: Failed,
    ) -> Result<(), Stop> {
        let Failed { class, refusal } = failed;
        let pause = if self.stop.is_cancelled() { None } else { policy.pause(class, tries, gone, chance()) };
        self.observer.event(&RunEvent::OperationFailed { operation, refusal: &refusal, again: pause.is_some() });
        if self.kill.is_cancelled() {
            return Err(Stop::Failure(Failure::Cancelled(format!(
                "{} was stopped and took no effect; `clickferry resume` carries on with it",
                operation.id
            ))));
        }
        let Some(pause) = pause else {
            return Err(Stop::Failure(Failure::error(refusal)));
        };
        tokio::select! {
            () = self.ports.clock.sleep(pause) => Ok(()),
            () = self.stop.cancelled() => Err(Stop::Failure(Failure::Cancelled(format!(
                "stopped before another attempt of {} as asked; `clickferry resume` carries on",
                operation.id
            )))),
        }
    }

    async fn outcome(
        &self,
        operation: &Operation,
        attempt: u32,
        kind: OutcomeKind,
        data: impl Into<Arc<Value>>,
        error: Option<&Refusal>,
    ) -> Result<(), Stop> {
        let (data, error) = (data.into(), error.map(Into::into));
        let entry = Entry::Outcome { operation: operation.id.clone(), attempt, kind, data, error };
        self.journal.append(entry).await?;
        Ok(())
    }
}

/// An operation among those being done, until this is dropped.
struct Running<'a> {
    all: &'a Mutex<BTreeSet<OperationId>>,
    operation: &'a OperationId,
}

impl<'a> Running<'a> {
    fn new(all: &'a Mutex<BTreeSet<OperationId>>, operation: &'a OperationId) -> Self {
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.clone());
        Self { all, operation }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(self.operation);
    }
}

/// Why an attempt came to nothing.
struct Failed {
    class: Option<ErrorClass>,
    refusal: Refusal,
}

/// What a check found, as a refusal.
#[must_use]
pub fn difference(context: &RunContext<'_>, data: &Value) -> Refusal {
    let reason = data.get("reason").and_then(Value::as_str).unwrap_or("a check did not hold");
    let expected = data.get("expected").and_then(Value::as_str).unwrap_or_default();
    let found = data.get("found").and_then(Value::as_str).unwrap_or_default();
    let evidence = data.get("query").and_then(Value::as_str).unwrap_or_default();
    context.refusal(
        reason,
        expected,
        found,
        evidence,
        "look at what differs; checks change nothing and can be asked again at any time",
    )
}
