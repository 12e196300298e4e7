//! Runs the operations of a plan: gate, intent, statement, proof, outcome; and probes before anything is repeated.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::action::{Action, Probe, RunError, RunErrorKind};
use super::context::{Progress, RunContext, RunInfo};
use super::event::{Observer, Person, RunEvent};
use super::journal::{Entry, JournalWriter, OutcomeKind, WriteError};
use super::ports::Ports;
use super::resume::{OperationState, RunState, statements_digest};
use super::schema::Catalogue;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::{OperationId, StepId};
use crate::model::runbook::OnFailure;
use crate::plan::operation::Operation;
use crate::plan::plan_file::{Plan, PlannedStep};

/// First wait between two probes of an operation that still runs.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// Everything an execution needs.
pub struct Execution<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The run.
    pub run: RunInfo,
    /// The actions.
    pub catalogue: &'a Catalogue,
    /// The environment.
    pub environment: &'a Environment,
    /// The outside.
    pub ports: &'a Ports,
    /// The journal.
    pub journal: &'a JournalWriter,
    /// Is told what happens.
    pub observer: &'a dyn Observer,
    /// Answers questions.
    pub person: &'a dyn Person,
    /// Cancelled to stop before the next operation.
    pub stop: CancellationToken,
    /// Cancelled to stop waiting for operations that the servers carry on with.
    pub detach: CancellationToken,
    /// What is proved so far.
    pub outcomes: Mutex<BTreeMap<OperationId, Value>>,
}

/// Why an execution ends early.
enum Stop {
    /// With a failure to report.
    Failure(Failure),
    /// A check of a step that may fail did not hold; the run goes on.
    Passed(Refusal),
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        Self::Failure(Failure::error(Refusal {
            what: error.to_string(),
            expected: "every record is written before the next operation starts".to_owned(),
            found: "the journal could not be written, so nothing more was started".to_owned(),
            evidence: "clickferry status RUN".to_owned(),
            action: "repair the cause, then `clickferry resume`".to_owned(),
        }))
    }
}

impl Progress for Execution<'_> {
    fn progress(&self, operation: &OperationId, done: u64, total: Option<u64>, message: &str) {
        self.observer.event(&RunEvent::Progress { operation, done, total, message });
    }
}

impl Execution<'_> {
    /// Runs every step that is not done.
    ///
    /// # Errors
    /// Why it stopped; the journal holds how far it came. Checks of steps with `on_failure: continue` that did not
    /// hold come back as [`Failure::Differs`] at the end.
    pub async fn run(&self, state: &RunState) -> Result<(), Failure> {
        let mut passed = Vec::new();
        let of = self.plan.steps.len();
        for (at, step) in self.plan.steps.iter().enumerate() {
            if let Some(why) = &step.skipped {
                self.observer.event(&RunEvent::StepPassed { step: &step.id, why });
                continue;
            }
            let operations: Vec<&Operation> = self.plan.operations_of(&step.id).collect();
            let is_done = |operation: &&Operation| matches!(state.operations.get(&operation.id), Some(OperationState::Done(_)));
            if !operations.is_empty() && operations.iter().all(|operation| is_done(operation)) {
                self.observer.event(&RunEvent::StepPassed { step: &step.id, why: "done before" });
                continue;
            }
            self.observer.event(&RunEvent::StepStarted { step: &step.id, number: at + 1, of });
            self.confirm(step, state).await.map_err(Self::failure)?;
            match self.step(step, &operations, state).await {
                Ok(()) => {}
                Err(Stop::Passed(refusal)) => passed.push(refusal),
                Err(Stop::Failure(failure)) => {
                    let reason = reason_of(&failure);
                    // The reason is a courtesy to the reader; the failure itself is what is reported.
                    let _ = self.journal.append(Entry::Stopped { reason }).await;
                    return Err(failure);
                }
            }
        }
        let verdict = if passed.is_empty() { "done" } else { "differs" };
        self.journal.append(Entry::Finished { verdict: verdict.to_owned() }).await.map_err(|error| Self::failure(error.into()))?;
        self.observer.event(&RunEvent::Finished { differs: !passed.is_empty() });
        if passed.is_empty() { Ok(()) } else { Err(Failure::Differs(passed)) }
    }

    fn failure(stop: Stop) -> Failure {
        match stop {
            Stop::Failure(failure) => failure,
            Stop::Passed(refusal) => Failure::Differs(vec![refusal]),
        }
    }

    async fn confirm(&self, step: &PlannedStep, state: &RunState) -> Result<(), Stop> {
        let Some(question) = &step.confirm else { return Ok(()) };
        if state.confirmed.contains(&step.id) {
            return Ok(());
        }
        if !self.person.confirm(question) {
            let reason = format!("step `{}` was not confirmed", step.id);
            let _ = self.journal.append(Entry::Stopped { reason: reason.clone() }).await;
            return Err(Stop::Failure(Failure::refused(Refusal {
                what: reason,
                expected: format!("`yes` to: {question}"),
                found: "no answer, or another one".to_owned(),
                evidence: String::new(),
                action: "`clickferry resume` at a terminal asks again".to_owned(),
            })));
        }
        self.journal.append(Entry::Confirmed { step: step.id.clone() }).await?;
        Ok(())
    }

    /// Runs the waves of a step; within a wave the lanes run side by side.
    async fn step(&self, step: &PlannedStep, operations: &[&Operation], state: &RunState) -> Result<(), Stop> {
        let halt = CancellationToken::new();
        let waves: std::collections::BTreeSet<u32> = operations.iter().map(|operation| operation.wave).collect();
        for wave in waves {
            let mut lanes: Vec<(&str, Vec<&Operation>)> = Vec::new();
            for operation in operations.iter().copied().filter(|operation| operation.wave == wave) {
                match lanes.iter_mut().find(|(name, _)| *name == operation.lane) {
                    Some((_, lane)) => lane.push(operation),
                    None => lanes.push((&operation.lane, vec![operation])),
                }
            }
            let results = join_all(lanes.iter().map(|(_, lane)| self.lane(step, lane, state, &halt))).await;
            merge(results)?;
        }
        Ok(())
    }

    async fn lane(&self, step: &PlannedStep, lane: &[&Operation], state: &RunState, halt: &CancellationToken) -> Result<(), Stop> {
        for operation in lane {
            let begun = state.operations.get(&operation.id).cloned().unwrap_or(OperationState::Outstanding { attempts: 0 });
            if matches!(begun, OperationState::Done(_)) {
                continue;
            }
            if halt.is_cancelled() {
                return Ok(());
            }
            if self.stop.is_cancelled() {
                return Err(Stop::Failure(Failure::Cancelled(format!("stopped before {} as asked; `clickferry resume` carries on", operation.id))));
            }
            if let Err(stop) = self.operation(step, operation, begun).await {
                match stop {
                    Stop::Failure(Failure::Differs(mut refusals)) if step.on_failure == OnFailure::Continue => {
                        let refusal = refusals.swap_remove(0);
                        return Err(Stop::Passed(refusal));
                    }
                    other => {
                        halt.cancel();
                        return Err(other);
                    }
                }
            }
        }
        Ok(())
    }

    /// Brings one operation to its end, from whatever state it is in.
    async fn operation(&self, step: &PlannedStep, operation: &Operation, begun: OperationState) -> Result<(), Stop> {
        let action = self.action(&operation.action)?;
        let started = Instant::now();
        let mut state = begun;
        let mut tries = 0;
        let mut failed_with: Option<Refusal> = None;
        loop {
            match state {
                OperationState::Done(_) => return Ok(()),
                OperationState::Lost { attempt, intent, at } => {
                    let context = self.context(step, operation, attempt, &intent, at);
                    match self.probe(action, &context, failed_with.as_ref(), started).await? {
                        Probed::Done => return self.prove(action, &context, started).await,
                        Probed::NotDone => {
                            self.outcome(operation, attempt, OutcomeKind::NotDone, Value::Null, failed_with.as_ref()).await?;
                            state = OperationState::Outstanding { attempts: attempt };
                        }
                    }
                }
                OperationState::Outstanding { attempts } => {
                    if let Some(refusal) = failed_with.take() {
                        self.pause_or_give_up(step, operation, tries, refusal).await?;
                    }
                    tries += 1;
                    let attempt = attempts + 1;
                    match self.attempt(action, step, operation, attempt, started).await? {
                        None => return Ok(()),
                        Some((next, refusal)) => {
                            state = next;
                            failed_with = Some(refusal);
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
    ) -> Result<Option<(OperationState, Refusal)>, Stop> {
        let gate = self.context(step, operation, attempt, &Value::Null, self.run.started);
        let intent = match action.prepare(&gate).await {
            Ok(intent) => intent,
            Err(RunError { kind: RunErrorKind::NotSent | RunErrorKind::AskProbe, refusal }) => {
                return Ok(Some((OperationState::Outstanding { attempts: attempt - 1 }, refusal)));
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
        match action.run(&context).await {
            Ok(()) => self.prove(action, &context, started).await.map(|()| None),
            Err(RunError { kind: RunErrorKind::NotSent, refusal }) => {
                self.outcome(operation, attempt, OutcomeKind::NotDone, Value::Null, Some(&refusal)).await?;
                Ok(Some((OperationState::Outstanding { attempts: attempt }, refusal)))
            }
            Err(RunError { kind: RunErrorKind::AskProbe, refusal }) => {
                if self.detach.is_cancelled() {
                    return Err(Stop::Failure(Failure::Cancelled(format!(
                        "detached from {}: the server goes on with it; `clickferry resume` asks how it ended",
                        operation.id
                    ))));
                }
                Ok(Some((OperationState::Lost { attempt, intent, at: record.at }, refusal)))
            }
            Err(error) => {
                self.outcome(operation, attempt, OutcomeKind::Failed, Value::Null, Some(&error.refusal)).await?;
                self.observer.event(&RunEvent::OperationFailed { operation, refusal: &error.refusal, again: false });
                Err(stop_for(error))
            }
        }
    }

    /// Asks the probe until it knows; waits while the operation still runs on the server.
    async fn probe(&self, action: &dyn Action, context: &RunContext<'_>, failed_with: Option<&Refusal>, started: Instant) -> Result<Probed, Stop> {
        let operation = context.operation;
        let why = failed_with.map_or("an earlier process ended between its intent and its outcome", |refusal| refusal.found.as_str());
        self.observer.event(&RunEvent::Probing { operation, why });
        let mut pause = PROBE_PAUSE;
        let mut told_running = false;
        loop {
            let probe = action.probe(context).await;
            let (answer, evidence) = match &probe {
                Probe::Done => ("done", None),
                Probe::NotDone => ("not_done", None),
                Probe::Running => ("running", None),
                Probe::Unknown(refusal) => ("unknown", Some((&**refusal).into())),
            };
            let is_running = matches!(probe, Probe::Running);
            if !(is_running && told_running) {
                self.journal
                    .append(Entry::Probed { operation: operation.id.clone(), attempt: context.attempt, answer: answer.to_owned(), evidence })
                    .await?;
                self.observer.event(&RunEvent::Probed { operation, answer: &answer.replace('_', " ") });
            }
            match probe {
                Probe::Done => return Ok(Probed::Done),
                Probe::NotDone => return Ok(Probed::NotDone),
                Probe::Unknown(refusal) => {
                    let mut refusals = vec![*refusal];
                    refusals.extend(failed_with.cloned());
                    return Err(Stop::Failure(Failure::Unknown(refusals)));
                }
                Probe::Running if self.stop.is_cancelled() => {
                    return Err(Stop::Failure(Failure::Cancelled(format!("{} still runs on the server; `clickferry resume` asks again", operation.id))));
                }
                Probe::Running if started.elapsed() > context.timeout => {
                    return Err(Stop::Failure(Failure::error(context.refusal(
                        "it still runs after its time",
                        format!("an end within {}", seconds(context.timeout)),
                        "the server is still working on it",
                        String::new(),
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
                self.outcome(operation, context.attempt, OutcomeKind::Failed, Value::Null, Some(&error.refusal)).await?;
                self.observer.event(&RunEvent::OperationFailed { operation, refusal: &error.refusal, again: false });
                return Err(stop_for(error));
            }
        };
        if data.get("failed").and_then(Value::as_u64).unwrap_or(0) > 0 {
            let refusal = difference(context, &data);
            self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(operation.id.clone(), data.clone());
            self.outcome(operation, context.attempt, OutcomeKind::Failed, data, Some(&refusal)).await?;
            self.observer.event(&RunEvent::OperationFailed { operation, refusal: &refusal, again: false });
            return Err(Stop::Failure(Failure::Differs(vec![refusal])));
        }
        self.outcome(operation, context.attempt, OutcomeKind::Done, data.clone(), None).await?;
        self.observer.event(&RunEvent::OperationDone { operation, outcome: &data, elapsed: started.elapsed() });
        self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(operation.id.clone(), data);
        Ok(())
    }

    /// After a failure that is proven to have changed nothing: waits for another attempt, or gives up.
    async fn pause_or_give_up(&self, step: &PlannedStep, operation: &Operation, tries: u32, refusal: Refusal) -> Result<(), Stop> {
        let most = step.retry.as_ref().map_or(1, |retry| retry.attempts);
        let again = tries < most && !self.stop.is_cancelled();
        self.observer.event(&RunEvent::OperationFailed { operation, refusal: &refusal, again });
        if !again {
            return Err(Stop::Failure(Failure::error(refusal)));
        }
        let first = step.retry.as_ref().and_then(|retry| retry.backoff.as_ref()).and_then(|text| text.duration()).unwrap_or(Duration::from_secs(1));
        let pause = first.saturating_mul(1 << tries.saturating_sub(1).min(6)).min(Duration::from_secs(60));
        self.ports.clock.sleep(pause).await;
        Ok(())
    }

    async fn outcome(&self, operation: &Operation, attempt: u32, kind: OutcomeKind, data: Value, error: Option<&Refusal>) -> Result<(), Stop> {
        let entry = Entry::Outcome { operation: operation.id.clone(), attempt, kind, data, error: error.map(Into::into) };
        self.journal.append(entry).await?;
        Ok(())
    }

    fn action(&self, name: &str) -> Result<&'static dyn Action, Stop> {
        self.catalogue.iter().copied().find(|action| action.name() == name).ok_or_else(|| {
            Stop::Failure(Failure::simple(format!("this clickferry has no action `{name}`"), "use the version that made the plan"))
        })
    }

    fn context<'c>(&'c self, step: &PlannedStep, operation: &'c Operation, attempt: u32, intent: &'c Value, at: Timestamp) -> RunContext<'c> {
        RunContext {
            plan: self.plan,
            operation,
            run: &self.run,
            environment: self.environment,
            ports: self.ports,
            attempt,
            intent,
            intended_at: at,
            outcomes: self.outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone(),
            progress: self,
            cancel: &self.detach,
            timeout: step.timeout(),
        }
    }

    /// A context to ask a finished operation whether its promise still holds.
    pub(super) fn finished_context<'c>(&'c self, operation: &'c Operation, step: &PlannedStep) -> RunContext<'c> {
        self.context(step, operation, 1, &Value::Null, self.run.started)
    }

    /// The action of an operation, for asking again at resume.
    pub(super) fn action_of(&self, operation: &Operation) -> Result<&'static dyn Action, Failure> {
        self.action(&operation.action).map_err(Self::failure)
    }
}

enum Probed {
    Done,
    NotDone,
}

fn stop_for(error: RunError) -> Stop {
    Stop::Failure(match error.kind {
        RunErrorKind::Differs => Failure::Differs(vec![error.refusal]),
        RunErrorKind::NotSent | RunErrorKind::AskProbe | RunErrorKind::Broken => Failure::error(error.refusal),
    })
}

/// The worst of what the lanes say: unknown before errors before differences before passing.
fn merge(results: Vec<Result<(), Stop>>) -> Result<(), Stop> {
    let rank = |stop: &Stop| match stop {
        Stop::Failure(Failure::Unknown(_)) => 0,
        Stop::Failure(Failure::Error(_)) => 1,
        Stop::Failure(Failure::Refused(_) | Failure::Input(_)) => 2,
        Stop::Failure(Failure::Differs(_)) => 3,
        Stop::Failure(Failure::Cancelled(_)) => 4,
        Stop::Passed(_) => 5,
    };
    let mut stops: Vec<Stop> = results.into_iter().filter_map(Result::err).collect();
    stops.sort_by_key(rank);
    let mut stops = stops.into_iter();
    let Some(mut worst) = stops.next() else { return Ok(()) };
    // Failures of the same kind on several hosts are told together.
    for other in stops {
        match (&mut worst, other) {
            (Stop::Failure(Failure::Unknown(all)), Stop::Failure(Failure::Unknown(more)))
            | (Stop::Failure(Failure::Error(all)), Stop::Failure(Failure::Error(more)))
            | (Stop::Failure(Failure::Differs(all)), Stop::Failure(Failure::Differs(more))) => all.extend(more),
            _ => {}
        }
    }
    Err(worst)
}

pub(super) fn difference(context: &RunContext<'_>, data: &Value) -> Refusal {
    let reason = data.get("reason").and_then(Value::as_str).unwrap_or("a check did not hold");
    let expected = data.get("expected").and_then(Value::as_str).unwrap_or_default();
    let found = data.get("found").and_then(Value::as_str).unwrap_or_default();
    let evidence = data.get("query").and_then(Value::as_str).unwrap_or_default();
    context.refusal(reason, expected, found, evidence, "look at what differs; `clickferry resume` checks again, nothing is repeated")
}

fn reason_of(failure: &Failure) -> String {
    match failure {
        Failure::Error(all) | Failure::Refused(all) | Failure::Unknown(all) | Failure::Differs(all) => {
            all.first().map(|refusal| format!("{}: {}", refusal.what, refusal.found)).unwrap_or_default()
        }
        Failure::Cancelled(reason) => reason.clone(),
        Failure::Input(_) => "bad input".to_owned(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Steps whose operations are all done.
#[must_use]
pub fn finished_steps<'a>(plan: &'a Plan, state: &RunState) -> Vec<&'a StepId> {
    plan.steps
        .iter()
        .filter(|step| {
            let mut operations = plan.operations_of(&step.id).peekable();
            operations.peek().is_some() && operations.all(|operation| matches!(state.operations.get(&operation.id), Some(OperationState::Done(_))))
        })
        .map(|step| &step.id)
        .collect()
}
