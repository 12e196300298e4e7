//! What became of every operation of a run: from its journal, and from the servers where the journal does not tell.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Became;
use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, Holds, Probe, RunError};
use crate::engine::context::{Progress, RunContext, RunInfo};
use crate::engine::executor::{LostBy, TakenOver, settled_probe};
use crate::engine::journal::{Entry, OutcomeKind};
use crate::engine::outcomes::Outcomes;
use crate::engine::resume::OperationState;
use crate::engine::run::{FoundRun, Runner};
use crate::model::ids::{OperationId, StepId};
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;

/// Nobody watches the questions that planning asks.
struct Silent;

impl Progress for Silent {
    fn progress(&self, _: &OperationId, _: u64, _: Option<u64>, _: &str) {}
}

/// The attempts of every operation, with what their gates saw.
pub(super) type Intents = BTreeMap<OperationId, Vec<(u32, Value)>>;

/// The intents of a journal.
pub(super) fn intents(found: &FoundRun) -> Intents {
    let mut intents = Intents::new();
    for record in &found.journal.records {
        if let Entry::Intent { operation, attempt, data, .. } = &record.entry {
            intents.entry(operation.clone()).or_default().push((*attempt, data.clone()));
        }
    }
    intents
}

/// What attempts that are known to be not done left behind, as it was seen then.
fn leavings(found: &FoundRun, id: &OperationId) -> Vec<Value> {
    let entries = found.journal.records.iter().filter_map(|record| match &record.entry {
        Entry::Outcome { operation, kind: OutcomeKind::NotDone, data, .. } if operation == id => Some(&**data),
        _ => None,
    });
    entries.filter(|data| !data.is_null()).cloned().collect()
}

/// Asks what the journal does not tell, about the operations of some steps. Only reads.
pub(super) struct Asking<'a> {
    pub(super) runner: &'a Runner<'a>,
    pub(super) run: &'a RunInfo,
    pub(super) found: &'a FoundRun,
    pub(super) intents: &'a Intents,
    pub(super) outcomes: Outcomes,
    pub(super) cancel: CancellationToken,
    pub(super) taken_over: TakenOver,
}

impl Asking<'_> {
    fn plan(&self) -> &Plan {
        &self.found.plan
    }

    /// What became of the operations of `steps`, and what of it cannot be told or does not hold any longer.
    pub(super) async fn became(
        &self,
        steps: &BTreeSet<StepId>,
        taken_back: &BTreeSet<OperationId>,
    ) -> Result<(BTreeMap<OperationId, Became>, Vec<(StepId, Refusal)>), Failure> {
        let (mut all, mut problems) = (BTreeMap::new(), Vec::new());
        for operation in &self.plan().operations {
            let state = self.found.state.operations.get(&operation.id);
            let is_asked = steps.contains(&operation.step)
                && !taken_back.contains(&operation.id)
                && operation.effect != Effect::Read;
            let became = match state {
                _ if taken_back.contains(&operation.id) => Became::Nothing,
                Some(OperationState::Done(outcome)) => Became::Done(Value::clone(outcome)),
                _ if !is_asked => Became::Nothing,
                Some(OperationState::Lost { attempt, intent, at }) => {
                    match self.lost(operation, *attempt, intent, *at).await? {
                        Ok(became) => became,
                        Err(problem) => {
                            problems.push((operation.step.clone(), *problem));
                            Became::Left(Vec::new())
                        }
                    }
                }
                Some(OperationState::Outstanding { attempts: 0 }) | None => Became::Nothing,
                Some(OperationState::Outstanding { attempts }) => {
                    self.remains(operation, *attempts, leavings(self.found, &operation.id)).await?
                }
            };
            if is_asked && let Became::Done(outcome) = &became {
                let moved = self.moved(operation, outcome).await?;
                problems.extend(moved.map(|refusal| (operation.step.clone(), refusal)));
            }
            all.insert(operation.id.clone(), became);
        }
        Ok((all, problems))
    }

    fn action(&self, operation: &Operation) -> Result<&'static dyn Action, Failure> {
        self.runner.catalogue.iter().copied().find(|action| action.name() == operation.action).ok_or_else(|| {
            Failure::simple(
                format!("this clickferry has no action `{}`", operation.action),
                "use the version that made the plan",
            )
        })
    }

    fn context<'c>(
        &'c self,
        operation: &'c Operation,
        attempt: u32,
        intent: &'c Value,
        at: Timestamp,
    ) -> RunContext<'c> {
        RunContext {
            plan: self.plan(),
            operation,
            run: self.run,
            environment: self.runner.environment,
            ports: self.runner.ports,
            attempt,
            intent,
            intended_at: at,
            outcomes: &self.outcomes,
            progress: &Silent,
            cancel: &self.cancel,
            journal: None,
            timeout: self.plan().step(&operation.step).map(|step| step.timeout()).unwrap_or_default(),
        }
    }

    /// An operation with an intent and no known outcome is probed first.
    async fn lost(
        &self,
        operation: &Operation,
        attempt: u32,
        intent: &Value,
        at: Timestamp,
    ) -> Result<Result<Became, Box<Refusal>>, Failure> {
        let action = self.action(operation)?;
        let context = self.context(operation, attempt, intent, at);
        let clock = &*self.runner.ports.clock;
        let mut settling = self.taken_over.settling(clock, operation, LostBy::Process);
        Ok(match settled_probe(clock, action, &context, &mut settling).await {
            Probe::Done => match action.prove(&context).await {
                Ok(outcome) => Ok(Became::Done(outcome)),
                Err(error) => Err(Box::new(error.refusal)),
            },
            Probe::NotDone => {
                let mut left = leavings(self.found, &operation.id);
                left.extend(Some(action.leaves(&context).await).filter(|left| !left.is_null()));
                Ok(self.remains(operation, attempt, left).await?)
            }
            Probe::Running => Err(Box::new(context.refusal(
                "it still runs on the server",
                "an end, before anything is taken back",
                "it is running",
                "",
                "wait for its end (or stop it with KILL QUERY), then ask for the undo again",
            ))),
            Probe::Unknown(refusal) => Err(refusal),
        })
    }

    async fn remains(&self, operation: &Operation, attempt: u32, left: Vec<Value>) -> Result<Became, Failure> {
        let action = self.action(operation)?;
        let empty = Vec::new();
        let intents = self.intents.get(&operation.id).unwrap_or(&empty);
        let intent = intents.last().map_or(&Value::Null, |(_, intent)| intent);
        let context = self.context(operation, attempt, intent, self.run.started);
        match action.remains(&context).await {
            Ok(true) => Ok(Became::Left(left)),
            Ok(false) => Ok(Became::Nothing),
            Err(RunError { refusal, .. }) => Err(Failure::error(refusal)),
        }
    }

    /// The gates that can be asked before the undo begins.
    pub(super) async fn gates(&self, undo: &Plan) -> Result<Vec<(StepId, Refusal)>, Failure> {
        let mut closed = Vec::new();
        for operation in &undo.operations {
            let action = self.action(operation)?;
            if action.asks_early(undo, operation) {
                let context = RunContext { plan: undo, ..self.context(operation, 1, &Value::Null, self.run.started) };
                let step = StepId(operation.step.0.strip_prefix("undo-").unwrap_or_default().to_owned());
                closed.extend(action.prepare(&context).await.err().map(|error| (step, error.refusal)));
            }
        }
        Ok(closed)
    }

    /// What an operation promised and does not hold any longer: somebody else changed it, so it is not ours to take.
    async fn moved(&self, operation: &Operation, outcome: &Value) -> Result<Option<Refusal>, Failure> {
        let context = self.context(operation, 1, &Value::Null, self.run.started);
        match self.action(operation)?.still_holds(&context, outcome).await {
            Holds::Yes => Ok(None),
            Holds::No(refusal) => Ok(Some(*refusal)),
            Holds::CannotTell(refusal) => Err(Failure::error(*refusal)),
        }
    }
}
