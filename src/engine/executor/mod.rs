//! Runs the operations of a plan: step after step, wave after wave, the lanes of a wave side by side.

mod evidence;
mod operation;
mod probing;
mod settle;
mod silence;
mod stop;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};

use futures_util::future::join_all;
use indexmap::IndexMap;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use evidence::sent;
pub(in crate::engine) use operation::difference;
pub(in crate::engine) use settle::{LostBy, TakenOver, settled_probe};
use stop::{Stop, merge, reason_of};

use crate::diag::{Failure, Refusal};
use crate::engine::action::Action;
use crate::engine::context::{Progress, RunContext, RunInfo};
use crate::engine::event::{Observer, Person, RunEvent};
use crate::engine::journal::{Entry, JournalWriter};
use crate::engine::outcomes::Outcomes;
use crate::engine::ports::Ports;
use crate::engine::resume::{OperationState, RunState};
use crate::engine::retry::{Policy, Spent};
use crate::engine::schema::Catalogue;
use crate::model::environment::Environment;
use crate::model::ids::{OperationId, StepId};
use crate::model::runbook::OnFailure;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::{Plan, PlannedStep};

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
    /// Cancelled to stop what the servers do for operations that can be stopped.
    pub kill: CancellationToken,
    /// What is being done now.
    pub running: Mutex<BTreeSet<OperationId>>,
    /// What is proved so far.
    pub outcomes: Outcomes,
    /// The step that failed and says that its run is then taken back.
    pub take_back: OnceLock<StepId>,
    /// Since when nobody else works on the run.
    pub(in crate::engine) taken_over: TakenOver,
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
        let by_step = self.plan.operations_by_step();
        for (at, step) in self.plan.steps.iter().enumerate() {
            if let Some(why) = &step.skipped {
                self.observer.event(&RunEvent::StepPassed { step: &step.id, why });
                continue;
            }
            let operations = by_step.get(&step.id).map_or(&[][..], Vec::as_slice);
            let is_done =
                |operation: &&Operation| matches!(state.operations.get(&operation.id), Some(OperationState::Done(_)));
            if !operations.is_empty() && operations.iter().all(is_done) {
                self.observer.event(&RunEvent::StepPassed { step: &step.id, why: "done before" });
                continue;
            }
            self.observer.event(&RunEvent::StepStarted { step: &step.id, number: at + 1, of });
            self.confirm(step, state).await.map_err(Self::failure)?;
            self.no_return(step, state).await.map_err(Self::failure)?;
            match self.step(step, operations, state).await {
                Ok(()) => {}
                Err(Stop::Passed(refusals)) => passed.extend(refusals),
                Err(Stop::Failure(failure)) => {
                    let failure = self.or_lost_lock(failure);
                    let reason = reason_of(&failure);
                    self.observer.event(&RunEvent::Stopped { reason: &reason });
                    // The reason is a courtesy to the reader; the failure itself is what is reported.
                    let told = self.journal.append(Entry::Stopped { reason }).await;
                    // Whoever cannot write to the journal any more, or was asked to stop, begins nothing new.
                    let is_known = matches!(failure, Failure::Error(_) | Failure::Differs(_));
                    if step.on_failure == OnFailure::Undo && is_known && told.is_ok() && !self.stop.is_cancelled() {
                        let _ = self.take_back.set(step.id.clone());
                    }
                    return Err(failure);
                }
            }
        }
        let verdict = if passed.is_empty() { "done" } else { "differs" };
        self.journal
            .append(Entry::Finished { verdict: verdict.to_owned() })
            .await
            .map_err(|error| Self::failure(error.into()))?;
        self.observer.event(&RunEvent::Finished { differs: !passed.is_empty() });
        if passed.is_empty() { Ok(()) } else { Err(Failure::Differs(passed)) }
    }

    /// What gates, probes and proofs find behind a lost lock is the work of whoever has it now: the lock is what to tell of.
    fn or_lost_lock(&self, failure: Failure) -> Failure {
        match self.journal.lost() {
            Some(lost) if !matches!(failure, Failure::Cancelled(_)) => Self::failure(lost.into()),
            _ => failure,
        }
    }

    fn failure(stop: Stop) -> Failure {
        match stop {
            Stop::Failure(failure) => failure,
            Stop::Passed(refusals) => Failure::Differs(refusals),
        }
    }

    async fn confirm(&self, step: &PlannedStep, state: &RunState) -> Result<(), Stop> {
        let Some(question) = &step.confirm else { return Ok(()) };
        if state.confirmed.contains(&step.id) {
            return Ok(());
        }
        if !self.person.confirm(question).await {
            self.left_at_a_question(step).await?;
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

    /// A question that was left with Ctrl-C, or by a request from elsewhere, is no refusal.
    async fn left_at_a_question(&self, step: &PlannedStep) -> Result<(), Stop> {
        if !self.stop.is_cancelled() {
            return Ok(());
        }
        let reason = format!("stopped at the question of step `{}`; `clickferry resume` asks again", step.id);
        let _ = self.journal.append(Entry::Stopped { reason: reason.clone() }).await;
        Err(Stop::Failure(Failure::Cancelled(reason)))
    }

    /// A step that the runbook marks as the point of no return is asked for once more, right before it begins.
    async fn no_return(&self, step: &PlannedStep, state: &RunState) -> Result<(), Stop> {
        if !step.point_of_no_return || state.no_return.contains(&step.id) {
            return Ok(());
        }
        if self.person.no_return(&step.id).await {
            self.journal.append(Entry::NoReturn { step: step.id.clone() }).await?;
            return Ok(());
        }
        self.left_at_a_question(step).await?;
        let reason = format!("step `{}` is the point of no return, and nobody said that it may begin", step.id);
        let _ = self.journal.append(Entry::Stopped { reason: reason.clone() }).await;
        Err(Stop::Failure(Failure::refused(Refusal {
            what: reason,
            expected: format!("its name typed at the terminal, or `--no-return {}`", step.id),
            found: "neither".to_owned(),
            evidence: format!("clickferry status {}", self.run.id),
            action: format!(
                "look at what was done so far, then `clickferry resume {} --no-return {}`; or `clickferry undo {}`",
                self.run.id, step.id, self.run.id
            ),
        })))
    }

    /// Runs the waves of a step; within a wave the lanes run side by side.
    async fn step(&self, step: &PlannedStep, operations: &[&Operation], state: &RunState) -> Result<(), Stop> {
        let halt = CancellationToken::new();
        let spent = Spent::default();
        let policy = Policy::new(step.retry.as_ref(), &spent);
        let mut passed = Vec::new();
        // Lanes in the order in which they first stand in the plan.
        let mut waves: BTreeMap<u32, IndexMap<&str, Vec<&Operation>>> = BTreeMap::new();
        for &operation in operations {
            waves.entry(operation.wave).or_default().entry(&operation.lane).or_default().push(operation);
        }
        for lanes in waves.values() {
            let checks_only = !passed.is_empty();
            let lanes = lanes.values().map(|lane| self.lane(step, &policy, lane, (state, checks_only), &halt));
            match merge(join_all(lanes).await) {
                Err(Stop::Passed(refusals)) => passed.extend(refusals),
                result => result?,
            }
        }
        if passed.is_empty() { Ok(()) } else { Err(Stop::Passed(passed)) }
    }

    /// The operations of one lane, one after the other. After a check that did not hold, and need not, the checks behind
    /// it are made all the same; nothing more of the step changes anything.
    async fn lane(
        &self,
        step: &PlannedStep,
        policy: &Policy<'_>,
        lane: &[&Operation],
        (state, checks_only): (&RunState, bool),
        halt: &CancellationToken,
    ) -> Result<(), Stop> {
        let mut passed = Vec::new();
        for operation in lane {
            if (checks_only || !passed.is_empty()) && operation.effect != Effect::Read {
                break;
            }
            let begun = match state.operations.get(&operation.id) {
                // Not copied: what was proved can be large.
                Some(OperationState::Done(_)) => continue,
                Some(begun) => begun.clone(),
                None => OperationState::Outstanding { attempts: 0 },
            };
            if halt.is_cancelled() {
                break;
            }
            if self.stop.is_cancelled() {
                return Err(Stop::Failure(Failure::Cancelled(format!(
                    "stopped before {} as asked; `clickferry resume` carries on",
                    operation.id
                ))));
            }
            if let Err(stop) = self.operation(step, policy, operation, begun).await {
                match stop {
                    Stop::Failure(Failure::Differs(refusals)) if step.on_failure == OnFailure::Continue => {
                        passed.extend(refusals);
                    }
                    other => {
                        halt.cancel();
                        return Err(other);
                    }
                }
            }
        }
        if passed.is_empty() { Ok(()) } else { Err(Stop::Passed(passed)) }
    }

    fn action(&self, name: &str) -> Result<&'static dyn Action, Stop> {
        self.catalogue.iter().copied().find(|action| action.name() == name).ok_or_else(|| {
            Stop::Failure(Failure::simple(
                format!("this clickferry has no action `{name}`"),
                "use the version that made the plan",
            ))
        })
    }

    fn context<'c>(
        &'c self,
        step: &PlannedStep,
        operation: &'c Operation,
        attempt: u32,
        intent: &'c Value,
        at: Timestamp,
    ) -> RunContext<'c> {
        RunContext {
            plan: self.plan,
            operation,
            run: &self.run,
            environment: self.environment,
            ports: self.ports,
            attempt,
            intent,
            intended_at: at,
            outcomes: &self.outcomes,
            progress: self,
            cancel: &self.detach,
            timeout: step.timeout(),
            journal: Some(self.journal),
        }
    }

    /// A context to ask a finished operation whether its promise still holds.
    pub(in crate::engine) fn finished_context<'c>(
        &'c self,
        operation: &'c Operation,
        step: &PlannedStep,
    ) -> RunContext<'c> {
        self.context(step, operation, 1, &Value::Null, self.run.started)
    }

    /// The action of an operation, for asking again at resume.
    pub(in crate::engine) fn action_of(&self, operation: &Operation) -> Result<&'static dyn Action, Failure> {
        self.action(&operation.action).map_err(Self::failure)
    }
}

/// A context for an operation whose outcome is not known; `None` where the plan lacks its step.
pub(in crate::engine) fn lost_context<'c>(
    execution: &'c Execution<'_>,
    operation: &'c Operation,
    attempt: u32,
    intent: &'c Value,
    at: Timestamp,
) -> Option<RunContext<'c>> {
    let step = execution.plan.step(&operation.step)?;
    Some(execution.context(step, operation, attempt, intent, at))
}
