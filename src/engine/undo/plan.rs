//! The plan of an undo: the operations of a run in reverse, or the whole list of what cannot be taken back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::done::{Asking, Intents, intents};
use super::{Became, Undo, UndoContext};
use crate::diag::{Failure, Refusal};
use crate::engine::context::RunInfo;
use crate::engine::executor::TakenOver;
use crate::engine::run::{Runner, find_run, state_failure};
use crate::engine::schema::Catalogue;
use crate::model::guards::LossBudget;
use crate::model::ids::{OperationId, RunId, StepId};
use crate::model::runbook::OnFailure;
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Loss, Operation, Past};
use crate::plan::plan_file::{PLAN_VERSION, Plan, PlannedStep, Totals};

/// Actions whose undo is what their author wrote, and not the way back of what the run itself made.
const AUTHORED: [&str; 2] = ["sql", "run"];

impl Runner<'_> {
    /// The plan that takes a run back, down to a step (that one included). Only reads.
    ///
    /// # Errors
    /// [`Failure::Refused`] with everything that cannot be taken back.
    pub async fn undo_plan(&self, id: &RunId, to: Option<&StepId>) -> Result<Plan, Failure> {
        let found = self.find(id).await?;
        is_undoable(id, &found.plan)?;
        let steps = steps_back_to(&found.plan, to)?;
        let others = self.others(id).await?;
        let run =
            RunInfo { id: id.clone(), started: found.journal.started().unwrap_or_else(|| self.ports.clock.now()) };
        let intents = intents(&found);
        let asking = Asking {
            runner: self,
            run: &run,
            found: &found,
            intents: &intents,
            outcomes: found.state.outcomes(),
            cancel: self.detach.clone(),
            taken_over: TakenOver::now(&*self.ports.clock),
        };
        let (became, mut problems) = asking.became(&steps.iter().cloned().collect(), &others.taken_back).await?;
        let making = Making {
            catalogue: self.catalogue,
            run: &run,
            plan: &found.plan,
            intents: &intents,
            became: &became,
            open: &others.open,
        };
        let mut undone = Vec::new();
        let mut can: Vec<&str> = Vec::new();
        for step in &steps {
            let Some(planned) = found.plan.step(step) else { continue };
            match making.of_step(planned) {
                Ok(operations) => {
                    if !operations.is_empty() {
                        can.push(step.as_str());
                    }
                    undone.push((planned, operations));
                }
                Err(refusals) => problems.extend(refusals.into_iter().map(|refusal| (step.clone(), refusal))),
            }
        }
        if !problems.is_empty() {
            return Err(Failure::Refused(with_summary(id, problems, &can)));
        }
        let plan = sealed(id, &found.plan, undone, to);
        let closed = asking.gates(&plan).await?;
        if closed.is_empty() { Ok(plan) } else { Err(Failure::Refused(with_summary(id, closed, &can))) }
    }

    /// What other runs of this state have to do with this one.
    async fn others(&self, id: &RunId) -> Result<Others, Failure> {
        let store = &*self.ports.state;
        let mut others = Others::default();
        for other in store.runs().await.map_err(state_failure)?.into_iter().filter(|other| other != id) {
            // A run that never began, or a damaged one, has taken nothing back that could be relied on.
            let Ok(found) = find_run(store, &other).await else { continue };
            if found.plan.undo_of.as_ref() == Some(id) {
                if found.state.finished.is_none() {
                    return Err(Failure::refused(Refusal {
                        what: format!("run {id} is being taken back by run {other}, which is not over"),
                        expected: "one undo of a run at a time".to_owned(),
                        found: format!("run {other} was stopped or killed"),
                        evidence: format!("clickferry status {other}"),
                        action: format!("clickferry resume {other}"),
                    }));
                }
                others.taken_back.extend(
                    found
                        .plan
                        .operations
                        .iter()
                        .filter_map(|operation| Some(operation.past.as_ref()?.operation.clone())),
                );
            }
            if found.state.finished.is_none() && found.state.undone.is_none() {
                others.open.push((other, found.plan));
            }
        }
        Ok(others)
    }
}

#[derive(Default)]
struct Others {
    /// Operations that an earlier undo has taken back.
    taken_back: BTreeSet<OperationId>,
    /// Runs that are not over.
    open: Vec<(RunId, Plan)>,
}

fn is_undoable(id: &RunId, plan: &Plan) -> Result<(), Failure> {
    let of_another = plan.operations.iter().any(|operation| operation.past.is_some());
    if plan.undo_of.is_none() && !of_another {
        return Ok(());
    }
    Err(Failure::refused(Refusal {
        what: format!("run {id} cannot be taken back"),
        expected: "a run of a runbook".to_owned(),
        found: format!("the run `{}`", plan.runbook),
        evidence: format!("clickferry status {id}"),
        action: "to do again what it took back, apply the runbook anew".to_owned(),
    }))
}

/// The steps from the last one back to `to`.
fn steps_back_to(plan: &Plan, to: Option<&StepId>) -> Result<Vec<StepId>, Failure> {
    let first = match to {
        None => 0,
        Some(to) => plan.steps.iter().position(|step| step.id == *to).ok_or_else(|| {
            let known: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
            Failure::simple(format!("the run has no step `{to}`"), format!("its steps are {}", known.join(", ")))
        })?,
    };
    Ok(plan.steps[first..].iter().rev().map(|step| step.id.clone()).collect())
}

/// Everything that planning the undo of a run looks at.
struct Making<'a> {
    catalogue: &'a Catalogue,
    run: &'a RunInfo,
    plan: &'a Plan,
    intents: &'a Intents,
    became: &'a BTreeMap<OperationId, Became>,
    open: &'a [(RunId, Plan)],
}

impl Making<'_> {
    /// The operations that take a step back: its waves in reverse, and in each the operations in reverse.
    fn of_step(&self, step: &PlannedStep) -> Result<Vec<Operation>, Vec<Refusal>> {
        let (mut operations, mut problems) = (Vec::new(), Vec::new());
        let mut of_step: Vec<&Operation> = self.plan.operations_of(&step.id).collect();
        let last_wave = of_step.iter().map(|operation| operation.wave).max().unwrap_or(0);
        of_step.reverse();
        for operation in of_step {
            match self.of_operation(step, operation) {
                Undo::Nothing => {}
                Undo::Operations(reverse) => operations.extend(reverse.into_iter().map(|mut reverse| {
                    reverse.wave = last_wave - operation.wave;
                    let past = Past { run: self.run.id.clone(), operation: operation.id.clone() };
                    reverse.past = Some(Box::new(past));
                    reverse
                })),
                Undo::Impossible { why, action } => problems.push(no_way_back(operation, why, action)),
            }
        }
        operations.sort_by_key(|operation| operation.wave);
        if problems.is_empty() { Ok(operations) } else { Err(problems) }
    }

    fn of_operation(&self, step: &PlannedStep, operation: &Operation) -> Undo {
        if operation.effect == Effect::Read || matches!(self.became.get(&operation.id), None | Some(Became::Nothing)) {
            return Undo::Nothing;
        }
        let Some(action) = self.catalogue.iter().find(|action| action.name() == operation.action) else {
            return Undo::impossible("this clickferry does not know its action", "use the version that made the plan");
        };
        let attempts = self.intents.get(&operation.id).map(Vec::as_slice).unwrap_or_default();
        action.undo(&UndoContext {
            run: self.run,
            plan: self.plan,
            step,
            operation,
            intents: attempts,
            became: self.became,
            open: self.open,
        })
    }
}

fn no_way_back(operation: &Operation, why: String, action: String) -> Refusal {
    let host = operation.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
    Refusal {
        what: format!("{} {} ({}{host}) cannot be taken back", operation.id, operation.kind, operation.object),
        expected: "a way back for every operation".to_owned(),
        found: why,
        evidence: String::new(),
        action,
    }
}

/// The list begins with what can be done, and is never half an undo.
fn with_summary(id: &RunId, problems: Vec<(StepId, Refusal)>, can: &[&str]) -> Vec<Refusal> {
    let can: Vec<&str> =
        can.iter().copied().filter(|step| problems.iter().all(|(other, _)| other.as_str() != *step)).collect();
    let can = if can.is_empty() { "none of them".to_owned() } else { can.join(", ") };
    let summary = Refusal {
        what: format!("run {id} is not taken back: {} of it cannot be", problems.len()),
        expected: "everything that is asked for can be taken back, or nothing is".to_owned(),
        found: format!("steps that can be: {can}"),
        evidence: format!("clickferry status {id}"),
        action: "read what follows; `--to STEP` takes back only that step and those after it".to_owned(),
    };
    std::iter::once(summary).chain(problems.into_iter().map(|(_, refusal)| refusal)).collect()
}

/// An ordinary plan, with the runbook's guards. Its budget of loss is for what was there before the run: what the run
/// itself made comes on top, for it goes only after proof that it is exactly that.
fn sealed(id: &RunId, plan: &Plan, undone: Vec<(&PlannedStep, Vec<Operation>)>, to: Option<&StepId>) -> Plan {
    let (mut steps, mut operations) = (Vec::new(), Vec::new());
    for (step, reverse) in undone {
        let undo = StepId(format!("undo-{}", step.id));
        steps.push(PlannedStep {
            id: undo.clone(),
            action: step.action.clone(),
            description: step.description.as_ref().map(|text| format!("Takes back: {text}")),
            arguments: Value::Null,
            skipped: reverse.is_empty().then(|| "nothing to take back".to_owned()),
            on_failure: OnFailure::Stop,
            retry: step.retry.clone(),
            timeout_ms: step.timeout_ms,
            confirm: None,
            point_of_no_return: false,
        });
        for (number, mut operation) in reverse.into_iter().enumerate() {
            operation.id = OperationId(format!("{undo}/{}", number + 1));
            operation.step.clone_from(&undo);
            operations.push(operation);
        }
    }
    let own = operations
        .iter()
        .filter(|operation| !AUTHORED.contains(&operation.action.as_str()))
        .fold(Loss::default(), |sum, operation| sum.plus(operation.loss));
    let mut guards = plan.guards.clone();
    guards.loss = LossBudget {
        tables: guards.loss.tables + own.tables,
        rows: guards.loss.rows + own.rows,
        bytes: guards.loss.bytes.map(|bytes| bytes + own.bytes),
        replicas: guards.loss.replicas.filter(|_| own.is_nothing()),
    };
    let until = to.map(|to| format!(" down to its step {to}")).unwrap_or_default();
    let identity: Vec<Fact> =
        plan.facts.iter().filter(|fact| matches!(fact.subject.as_str(), "identity" | "version")).cloned().collect();
    Plan {
        format_version: PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        runbook: format!("undo of {}", plan.runbook),
        summary: format!("Takes run {id} back{until}, in reverse order"),
        runbook_digest: String::new(),
        runbook_text: String::new(),
        runbook_file: plan.runbook_file.clone(),
        environment: plan.environment.clone(),
        protected: plan.protected,
        parameters: plan.parameters.clone(),
        hosts: plan.hosts.clone(),
        steps,
        operations,
        totals: Totals::default(),
        facts: identity,
        guards,
        notes: Vec::new(),
        no_way_back: BTreeMap::new(),
        conversions: Vec::new(),
        undo_of: Some(id.clone()),
        digest: String::new(),
    }
    .sealed()
}
