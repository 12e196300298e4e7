//! One operation: gate, intent, statement, proof, outcome; and the probe before anything is repeated.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::stop::{Stop, stop_for};
use super::{Execution, LostBy};
use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::event::RunEvent;
use crate::engine::journal::{Entry, OutcomeKind};
use crate::engine::resume::{OperationState, statements_digest};
use crate::engine::retry::{Policy, chance};
use crate::model::ids::OperationId;
use crate::model::runbook::ErrorClass;
use crate::plan::operation::Operation;
use crate::plan::plan_file::PlannedStep;

/// First wait between two probes of an operation that still runs.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

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
                    match self.probe(action, &context, (before, lost), started).await? {
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
                        self.pause_or_give_up(policy, operation, tries, started.elapsed(), failed).await?;
                    }
                    tries += 1;
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
        let intent = match action.prepare(&gate).await {
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
        let (result, killed) = tokio::join!(running, action.kill(context));
        match killed {
            Ok(Some(leftovers)) => self.notice(&leftovers),
            Ok(None) => {}
            Err(error) => self.notice(&format!("{}: {}", error.refusal.what, error.refusal.found)),
        }
        result
    }

    /// Asks the probe until it knows; waits while the operation still runs on the server.
    async fn probe(
        &self,
        action: &dyn Action,
        context: &RunContext<'_>,
        (failed_with, lost): (Option<&Refusal>, LostBy),
        started: Instant,
    ) -> Result<Probed, Stop> {
        let operation = context.operation;
        let why = failed_with
            .map_or("an earlier process ended between its intent and its outcome", |refusal| refusal.found.as_str());
        self.observer.event(&RunEvent::Probing { operation, why });
        let mut pause = PROBE_PAUSE;
        let mut told_running = false;
        let mut settling = self.settling(context, lost);
        loop {
            let probe = self.settled_probe(action, context, &mut settling).await;
            let (answer, evidence) = match &probe {
                Probe::Done => ("done", None),
                Probe::NotDone => ("not_done", None),
                Probe::Running => ("running", None),
                Probe::Unknown(refusal) => ("unknown", Some((&**refusal).into())),
            };
            let is_running = matches!(probe, Probe::Running);
            if !(is_running && told_running) {
                self.journal
                    .append(Entry::Probed {
                        operation: operation.id.clone(),
                        attempt: context.attempt,
                        answer: answer.to_owned(),
                        evidence,
                    })
                    .await?;
                self.observer.event(&RunEvent::Probed { operation, answer: &answer.replace('_', " ") });
            }
            match probe {
                Probe::Done => return Ok(Probed::Done),
                Probe::NotDone => return Ok(Probed::NotDone),
                Probe::Unknown(refusal) => {
                    let mut refusal = *refusal;
                    if let Some(before) = failed_with {
                        refusal.found = format!("{}\nbefore that: {}", refusal.found, before.found);
                    }
                    return Err(Stop::Failure(Failure::Unknown(vec![refusal])));
                }
                Probe::Running if self.stop.is_cancelled() => {
                    return Err(Stop::Failure(Failure::Cancelled(format!(
                        "{} still runs on the server; `clickferry resume` asks again",
                        operation.id
                    ))));
                }
                Probe::Running if started.elapsed() > context.timeout => {
                    return Err(Stop::Failure(Failure::error(context.refusal(
                        "it still runs after its time",
                        format!("an end within {}", seconds(context.timeout)),
                        "the server is still working on it",
                        format!(
                            "on {}: SELECT elapsed, query FROM system.processes WHERE query_id = '{}'",
                            context.operation.host.as_ref().map_or("the host", |host| host.as_str()),
                            context.query_id()
                        ),
                        "wait, then `clickferry resume`; or raise `timeout` of the step",
                    ))));
                }
                Probe::Running => told_running = true,
            }
            self.ports.clock.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Proves the post-condition and writes the outcome.
    async fn prove(&self, action: &dyn Action, context: &RunContext<'_>, started: Instant) -> Result<(), Stop> {
        let operation = context.operation;
        let data = match action.prove(context).await {
            Ok(data) => data,
            Err(error) => {
                self.outcome(operation, context.attempt, OutcomeKind::Failed, Value::Null, Some(&error.refusal))
                    .await?;
                self.observer.event(&RunEvent::OperationFailed { operation, refusal: &error.refusal, again: false });
                return Err(stop_for(error));
            }
        };
        if data.get("failed").and_then(Value::as_u64).unwrap_or(0) > 0 {
            let refusal = difference(context, &data);
            self.outcomes.insert(operation.id.clone(), data.clone());
            self.outcome(operation, context.attempt, OutcomeKind::Failed, data, Some(&refusal)).await?;
            self.observer.event(&RunEvent::OperationFailed { operation, refusal: &refusal, again: false });
            return Err(Stop::Failure(Failure::Differs(vec![refusal])));
        }
        self.outcome(operation, context.attempt, OutcomeKind::Done, data.clone(), None).await?;
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
        data: Value,
        error: Option<&Refusal>,
    ) -> Result<(), Stop> {
        let entry =
            Entry::Outcome { operation: operation.id.clone(), attempt, kind, data, error: error.map(Into::into) };
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

enum Probed {
    Done,
    NotDone,
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

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}
