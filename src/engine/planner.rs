//! Makes plans: observes once, then lets every action plan against the world as the steps before will leave it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::action::DEFAULT_TIMEOUT;
use super::compile::{CompiledRunbook, CompiledStep};
use super::context::{ObserveContext, PlanContext};
use super::guard::{Space, check_versions};
use super::observe::observe;
use super::ports::Ports;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::formats::DurationText;
use crate::model::ids::{OperationId, StepId};
use crate::model::observed::{TargetWorld, World};
use crate::model::runbook::{OnFailure, Topology};
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::{PLAN_VERSION, Plan, PlannedHost, PlannedStep, Totals, sha256};

/// What planning needs of the world: one snapshot of the servers, and what each action looked at besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// The servers.
    pub world: World,
    /// By step, what its action observed.
    pub steps: BTreeMap<StepId, Value>,
}

/// Observes everything a runbook needs. Only reads.
///
/// # Errors
/// Everything that cannot be reached or does not fit the environment, in one go.
pub async fn observe_for(
    compiled: &CompiledRunbook,
    environment: &Environment,
    ports: &Ports,
) -> Result<Observations, Failure> {
    check_bindings(compiled, environment)?;
    let wanted: BTreeMap<String, Topology> =
        compiled.runbook.targets.iter().map(|(role, need)| (role.clone(), need.topology)).collect();
    let mut world = observe(environment, &wanted, ports).await?;
    name_standalone_shards(&mut world);
    check_topology(compiled, &world)?;
    let mut steps = BTreeMap::new();
    let mut problems = Vec::new();
    for step in active(compiled) {
        let context = ObserveContext { arguments: &step.arguments, world: &world, environment, ports };
        match step.action.observe(&context).await {
            Ok(value) => {
                steps.insert(step.id.clone(), value);
            }
            Err(Failure::Error(found) | Failure::Refused(found)) => {
                for refusal in found {
                    // Several steps that use one bucket would tell the same story several times.
                    if !problems.contains(&refusal) {
                        problems.push(refusal);
                    }
                }
            }
            Err(other) => return Err(other),
        }
    }
    if problems.is_empty() { Ok(Observations { world, steps }) } else { Err(Failure::Error(problems)) }
}

/// Whether observations made earlier fit what the runbook needs; [`observe_for`] asks the same of what it sees.
///
/// # Errors
/// Roles that the environment does not bind, targets that are not what the runbook needs.
pub fn check_observed(compiled: &CompiledRunbook, environment: &Environment, world: &World) -> Result<(), Failure> {
    check_bindings(compiled, environment)?;
    check_topology(compiled, world)
}

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
    simulate(compiled, environment, observations).map(|simulated| simulated.plan)
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
    let mut world = observations.world.clone();
    let (mut operations, mut notes, mut promises, mut problems) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
    let mut facts = identity_facts(&world);
    let guards = &compiled.runbook.guards;
    let mut space = Space::new(guards, &world);
    for step in active(compiled) {
        let mut context = PlanContext {
            step: &step.id,
            arguments: &step.arguments,
            observed: observations.steps.get(&step.id).unwrap_or(&Value::Null),
            world: &mut world,
            environment,
            facts: &mut facts,
            notes: &mut notes,
            promises: &mut promises,
        };
        match step.action.plan(&mut context) {
            Ok(planned) => operations.extend(numbered(step, planned)),
            Err(found) => problems.extend(found),
        }
        problems.extend(check_step(step, &operations));
        if !problems.is_empty() {
            // The steps behind would be planned against a world that this step does not bring about, and what they
            // would say of it would bury the cause.
            break;
        }
        space.after(&step.id, &world);
    }
    let (refused, told) = refused_by_guards(compiled, &observations.world, space);
    notes.extend(told);
    if !problems.is_empty() {
        problems.extend(refused);
        return Err(Failure::Error(problems));
    }
    if !refused.is_empty() {
        return Err(Failure::Refused(refused));
    }
    facts.sort();
    facts.dedup();
    let plan = Plan {
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
        hosts: planned_hosts(&observations.world),
        steps: compiled.steps.iter().map(planned_step).collect(),
        operations,
        totals: Totals::default(),
        facts,
        guards: guards.clone(),
        notes,
        undo_of: None,
        digest: String::new(),
    };
    Ok(Simulated { plan: plan.sealed(), after: world })
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

fn active(compiled: &CompiledRunbook) -> impl Iterator<Item = &CompiledStep> {
    compiled.steps.iter().filter(|step| step.skipped.is_none())
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

/// Who a server is, in one line.
#[must_use]
pub fn identity_line(host: &crate::model::observed::HostWorld) -> String {
    let identity = &host.identity;
    let macros: Vec<String> = identity.macros.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "uuid {} on {} in {} with macros {}",
        identity.server_uuid,
        identity.host_name,
        identity.data_path,
        if macros.is_empty() { "none".to_owned() } else { macros.join(", ") }
    )
}

/// The statement that shows [`identity_line`].
pub const IDENTITY_QUERY: &str = "SELECT serverUUID(), hostName(), (SELECT path FROM system.disks WHERE name = 'default'), (SELECT groupArray((macro, substitution)) FROM system.macros)";

fn identity_facts(world: &World) -> Vec<Fact> {
    let mut facts = Vec::new();
    for target in world.targets.values() {
        for host in &target.hosts {
            facts.push(Fact::new(&host.name, "identity", identity_line(host), IDENTITY_QUERY));
            facts.push(Fact::new(&host.name, "version", host.version.clone(), "SELECT version()"));
        }
    }
    facts
}

/// A standalone server has no shard of its own, whatever its macros say.
fn name_standalone_shards(world: &mut World) {
    for target in world.targets.values_mut() {
        if target.topology == Topology::Standalone {
            for host in &mut target.hosts {
                "-".clone_into(&mut host.shard);
            }
        }
    }
}

fn check_bindings(compiled: &CompiledRunbook, environment: &Environment) -> Result<(), Failure> {
    let mut problems = Vec::new();
    let mut missing = |kind: &str, role: &str, known: Vec<&String>| {
        let known: Vec<String> = known.into_iter().cloned().collect();
        problems.push(Refusal {
            what: format!("the environment `{}` does not bind the {kind} `{role}`", environment.metadata.name),
            expected: format!(
                "`{role}` under `{}:`, as the runbook needs it",
                if kind == "storage" { "storage" } else { "targets" }
            ),
            found: if known.is_empty() { "none".to_owned() } else { known.join(", ") },
            evidence: String::new(),
            action: "add it to the environment, or use the environment meant for this runbook".to_owned(),
        });
    };
    for role in compiled.runbook.targets.keys().filter(|role| !environment.targets.contains_key(*role)) {
        missing("target", role, environment.targets.keys().collect());
    }
    for role in compiled.runbook.storage.keys().filter(|role| !environment.storage.contains_key(*role)) {
        missing("storage", role, environment.storage.keys().collect());
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Error(problems)) }
}

fn check_topology(compiled: &CompiledRunbook, world: &World) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for (role, need) in &compiled.runbook.targets {
        let Some(target) = world.targets.get(role) else { continue };
        problems.extend(topology_problem(role, need.topology, need.min_replicas, target));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Error(problems)) }
}

fn topology_problem(
    role: &str,
    topology: Topology,
    min_replicas: Option<u32>,
    target: &TargetWorld,
) -> Option<Refusal> {
    let refuse = |expected: String, found: String| {
        Some(Refusal {
            what: format!("the target `{role}` is not what the runbook needs"),
            expected,
            found,
            evidence: "clickferry inspect -e ENVIRONMENT".to_owned(),
            action: "correct the hosts of the target in the environment".to_owned(),
        })
    };
    if topology == Topology::Standalone && target.hosts.len() != 1 {
        return refuse("one standalone server".to_owned(), format!("{} hosts", target.hosts.len()));
    }
    let least = min_replicas.unwrap_or(1) as usize;
    for shard in target.shards() {
        let replicas = target.replicas(&shard).count();
        if topology == Topology::Replicated && replicas < least {
            return refuse(format!("at least {least} replicas in every shard"), format!("{replicas} in shard {shard}"));
        }
    }
    None
}
