//! Makes plans: observes once, then lets every action plan against the world as the steps before will leave it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::action::DEFAULT_TIMEOUT;
use super::compile::{CompiledRunbook, CompiledStep};
use super::context::PlanContext;
use super::guard::{Space, check_versions};
use super::identity::{identity_line, server_facts};
use super::look::{Observations, active, first_of_each};
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::formats::DurationText;
use crate::model::ids::{OperationId, StepId};
use crate::model::observed::World;
use crate::model::runbook::{OnFailure, Topology};
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::{PLAN_VERSION, Plan, PlannedHost, PlannedStep, Totals, sha256};

/// A plan, and the world as it leaves it.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// The plan.
    pub plan: Plan,
    /// The world after its last operation, as far as it can be told before.
    pub after: World,
}

/// Makes a plan. Pure: the same observations give the same bytes.
///
/// # Errors
/// Everything that makes a step impossible, in one go.
pub fn make_plan(
    compiled: &CompiledRunbook,
    environment: &Environment,
    observations: &Observations,
) -> Result<Plan, Failure> {
    let Simulated { plan, after } = unsealed(compiled, environment, observations).result?;
    // Of thousands of tables it takes a while to be taken apart, and nobody has to wait for that.
    rayon::spawn(move || drop(after));
    Ok(plan.sealed())
}

/// As [`make_plan`], with the world that the plan leaves.
///
/// # Errors
/// As [`make_plan`].
pub fn simulate(
    compiled: &CompiledRunbook,
    environment: &Environment,
    observations: &Observations,
) -> Result<Simulated, Failure> {
    attempt(compiled, environment, observations).result
}

/// What came of planning.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Where there is no plan: the facts, sorted; where a step is impossible, those of the steps up to it.
    pub facts: Vec<Fact>,
    /// Whether no step was impossible, so that these are all facts.
    pub is_whole: bool,
    /// The plan, or why there is none.
    pub result: Result<Simulated, Failure>,
}

/// As [`simulate`], with the facts told also where no plan can be made.
pub fn attempt(compiled: &CompiledRunbook, environment: &Environment, observations: &Observations) -> Attempt {
    let attempt = unsealed(compiled, environment, observations);
    let result = attempt.result.map(|Simulated { plan, after }| Simulated { plan: plan.sealed(), after });
    Attempt { result, ..attempt }
}

/// As [`attempt`], of a plan without its sums and its digest.
fn unsealed(compiled: &CompiledRunbook, environment: &Environment, observations: &Observations) -> Attempt {
    let mut world = observations.world.clone();
    let (mut operations, mut notes, mut promises, mut problems) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
    let mut no_way_back = BTreeMap::new();
    let mut conversions = Vec::new();
    let mut facts = server_facts(&world);
    facts.extend(observations.local.iter().cloned());
    let guards = &compiled.runbook.guards;
    let mut space = Space::new(guards, &world);
    for step in active(compiled) {
        if let Some(policy) = restored_policy(step) {
            space.puts(policy, &world);
        }
        let mut context = PlanContext {
            step: &step.id,
            arguments: &step.arguments,
            observed: observations.steps.get(&step.id).unwrap_or(&Value::Null),
            seen: &observations.world,
            world: &mut world,
            environment,
            facts: &mut facts,
            notes: &mut notes,
            conversions: &mut conversions,
            promises: &mut promises,
        };
        match step.action.plan(&mut context) {
            Ok(planned) => {
                let planned = numbered(step, planned);
                let why = planned.iter().find_map(|operation| step.action.no_way_back(operation, &step.arguments));
                no_way_back.extend(why.map(|why| (step.id.clone(), why)));
                // What the steps behind a large one add is seldom more; room that is not used takes no memory.
                operations.reserve(planned.len() * 2);
                operations.extend(planned);
            }
            Err(found) => problems.extend(found),
        }
        problems.extend(check_step(step, &operations));
        problems.extend(check_undo(step, compiled, &no_way_back));
        if !problems.is_empty() {
            // The steps behind would be planned against a world that this step does not bring about, and what they
            // would say of it would bury the cause.
            break;
        }
        space.after(&step.id, &world);
    }
    // What steps told each other is not needed any longer, and large where there are thousands of tables.
    rayon::spawn(move || drop(promises));
    first_of_each(&mut facts);
    let (refused, told) = refused_by_guards(compiled, &observations.world, space);
    notes.extend(told);
    notes.extend(unlocked_targets(compiled, environment, &observations.world, &operations));
    let is_whole = problems.is_empty();
    let result = if !is_whole {
        problems.extend(refused);
        Err(Failure::Error(problems))
    } else if refused.is_empty() {
        let facts = std::mem::take(&mut facts);
        let plan = plan_file(compiled, environment, &observations.world, operations, facts, notes);
        Ok(Simulated { plan: Plan { no_way_back, conversions, ..plan }, after: world })
    } else {
        Err(Failure::Refused(refused))
    };
    Attempt { facts, is_whole, result }
}

/// Targets of several servers that are changed and cannot be locked: their reviewer has to see to it that nobody else works
/// on them.
fn unlocked_targets(
    compiled: &CompiledRunbook,
    environment: &Environment,
    world: &World,
    operations: &[Operation],
) -> Vec<String> {
    let is_changed = |role: &str| {
        let hosts = world.targets.get(role).map(|target| &target.hosts[..]).unwrap_or_default();
        let changed = |operation: &&Operation| operation.effect != Effect::Read;
        let mut touched = operations.iter().filter(changed).filter_map(|operation| operation.host.as_ref());
        touched.any(|name| hosts.iter().any(|host| host.name == *name))
    };
    let needs = compiled.runbook.targets.iter();
    needs
        .filter(|(role, need)| {
            need.topology == Topology::Replicated
                && environment.targets.get(*role).is_some_and(|binding| binding.keeper.is_none())
                && is_changed(role)
        })
        .map(|(role, _)| {
            format!(
                "the target `{role}` has no `keeper` in the environment, so its servers cannot be locked: nothing but a look at their running statements keeps another engine away"
            )
        })
        .collect()
}

fn plan_file(
    compiled: &CompiledRunbook,
    environment: &Environment,
    world: &World,
    operations: Vec<Operation>,
    facts: Vec<Fact>,
    notes: Vec<String>,
) -> Plan {
    Plan {
        format_version: PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        runbook: compiled.runbook.metadata.name.clone(),
        summary: compiled.runbook.metadata.summary.clone(),
        runbook_digest: sha256(compiled.source.text.as_bytes()),
        runbook_text: compiled.source.text.clone(),
        runbook_file: compiled.source.name.clone(),
        environment: environment.metadata.name.clone(),
        protected: environment.metadata.protected,
        parameters: compiled.parameters.0.clone(),
        hosts: planned_hosts(world),
        steps: compiled.steps.iter().map(planned_step).collect(),
        operations,
        totals: Totals::default(),
        facts,
        guards: compiled.runbook.guards.clone(),
        notes,
        no_way_back: BTreeMap::new(),
        conversions: Vec::new(),
        undo_of: None,
        digest: String::new(),
    }
}

/// The storage policy that a restore is told to put the tables it creates into.
fn restored_policy(step: &CompiledStep) -> Option<&str> {
    let is_restore = step.action.name() == "restore";
    step.arguments.get("settings")?.get("storage_policy")?.as_str().filter(|_| is_restore)
}

/// What the guards on versions and free space refuse, and what a reviewer should know.
fn refused_by_guards(compiled: &CompiledRunbook, world: &World, space: Space) -> (Vec<Refusal>, Vec<String>) {
    let steps: Vec<_> = active(compiled).map(|step| (&step.id, step.action.name(), &step.arguments)).collect();
    let (mut refused, mut told) = check_versions(&compiled.runbook.guards, &steps, world);
    let (lacking, untold) = space.told();
    refused.extend(lacking);
    told.extend(untold);
    (refused, told)
}

fn numbered(step: &CompiledStep, planned: Vec<Operation>) -> Vec<Operation> {
    let mut planned = planned;
    // Waves run in order; within one the order of the action is kept.
    planned.sort_by_key(|operation| operation.wave);
    for (number, operation) in planned.iter_mut().enumerate() {
        operation.id = OperationId(format!("{}/{}", step.id, number + 1));
    }
    planned
}

fn check_step(step: &CompiledStep, operations: &[Operation]) -> Option<Refusal> {
    let changes = operations.iter().any(|operation| operation.step == step.id && operation.effect != Effect::Read);
    (changes && step.common.on_failure == OnFailure::Continue).then(|| Refusal {
        what: format!("step `{}` changes something and would be passed over when it fails", step.id),
        expected: "`on_failure: continue` only on steps that read".to_owned(),
        found: format!("`{}` writes or destroys", step.action.name()),
        evidence: String::new(),
        action: "remove `on_failure: continue` from the step".to_owned(),
    })
}

/// A step that promises to take the run back must be able to: what came before it, and it itself, needs a way back.
fn check_undo(
    step: &CompiledStep,
    compiled: &CompiledRunbook,
    no_way_back: &BTreeMap<StepId, String>,
) -> Option<Refusal> {
    if step.common.on_failure != OnFailure::Undo {
        return None;
    }
    let until = active(compiled).position(|other| other.id == step.id)?;
    let mut before = active(compiled).take(until + 1);
    let (other, why) = before.find_map(|other| {
        let marked = other.common.point_of_no_return.then(|| "it is marked with `point_of_no_return`".to_owned());
        Some((&other.id, no_way_back.get(&other.id).cloned().or(marked)?))
    })?;
    Some(Refusal {
        what: format!("step `{}` is to take the run back when it fails, and step `{other}` has no way back", step.id),
        expected: "a way back for every step up to the one with `on_failure: undo`".to_owned(),
        found: format!("step `{other}`: {why}"),
        evidence: String::new(),
        action: format!("give step `{other}` a way back, or remove `on_failure: undo` from step `{}`", step.id),
    })
}

fn planned_step(step: &CompiledStep) -> PlannedStep {
    PlannedStep {
        id: step.id.clone(),
        action: step.action.name().to_owned(),
        description: step.common.description.clone(),
        arguments: step.arguments.clone(),
        skipped: step.skipped.clone(),
        on_failure: step.common.on_failure,
        retry: step.common.retry.clone(),
        timeout_ms: step
            .common
            .timeout
            .as_ref()
            .and_then(DurationText::duration)
            .map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)),
        confirm: step.common.confirm.clone(),
        point_of_no_return: step.common.point_of_no_return,
    }
}

impl PlannedStep {
    /// Longest time one operation of the step may take.
    #[must_use]
    pub fn timeout(&self) -> std::time::Duration {
        self.timeout_ms.map_or(DEFAULT_TIMEOUT, std::time::Duration::from_millis)
    }
}

fn planned_hosts(world: &World) -> Vec<PlannedHost> {
    let mut hosts = Vec::new();
    for (role, target) in &world.targets {
        for host in &target.hosts {
            hosts.push(PlannedHost {
                target: role.clone(),
                name: host.name.clone(),
                url: host.url.clone(),
                shard: host.shard.clone(),
                version: host.version.clone(),
                identity: identity_line(host),
            });
        }
    }
    hosts
}
