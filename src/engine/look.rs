//! Looks at everything a runbook needs: the servers once, and what each action asks for besides. Only reads.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compile::{CompiledRunbook, CompiledStep};
use super::context::ObserveContext;
use super::identity::{SERVER_QUERY, server_facts};
use super::keepers::foreign_keepers;
use super::observe::{Seen, see};
use super::ports::Ports;
use super::syntax::Authored;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::StepId;
use crate::model::observed::{TargetWorld, World};
use crate::model::runbook::Topology;
use crate::plan::fact::Fact;

/// Steps that look at what they need at the same time: a server is asked a few statements at once, not dozens.
const STEPS_AT_ONCE: usize = 4;

/// What planning needs of the world: one snapshot of the servers, and what each action looked at besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    /// The servers.
    pub world: World,
    /// By step, what its action observed.
    pub steps: BTreeMap<StepId, Value>,
    /// Facts about files of this machine, which are read again at each planning and stand in no snapshot.
    #[serde(skip)]
    pub local: Vec<Fact>,
}

/// What was seen, and what was not.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What was seen; all of it only where there are no problems.
    pub observations: Observations,
    /// Why the rest was not seen.
    pub problems: Vec<Refusal>,
    /// Facts that are known not to be as in any plan, because what they tell of could not be seen: a server that
    /// does not answer, a backup that is gone.
    pub unseen: Vec<Fact>,
}

impl Looked {
    /// What was seen, where it is all.
    ///
    /// # Errors
    /// Everything that could not be seen, in one go.
    pub fn whole(self) -> Result<Observations, Failure> {
        if self.problems.is_empty() { Ok(self.observations) } else { Err(Failure::Error(self.problems)) }
    }

    /// Facts that are known without a plan.
    #[must_use]
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = server_facts(&self.observations.world);
        facts.extend(self.observations.local.iter().cloned());
        // What was not seen stands for what another role saw of the same server.
        facts.retain(|fact| !self.unseen.iter().any(|other| other.is_about(fact)));
        facts.extend(self.unseen.iter().cloned());
        facts
    }
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
    look(compiled, environment, ports).await?.whole()
}

/// As [`observe_for`], and what cannot be seen is told beside the rest.
///
/// # Errors
/// An environment that does not bind what the runbook needs.
pub async fn look(compiled: &CompiledRunbook, environment: &Environment, ports: &Ports) -> Result<Looked, Failure> {
    check_bindings(compiled, environment)?;
    let wanted: BTreeMap<String, Topology> =
        compiled.runbook.targets.iter().map(|(role, need)| (role.clone(), need.topology)).collect();
    let mut seen = see(environment, &wanted, ports).await;
    name_standalone_shards(&mut seen.world);
    let mut looked = Looked {
        unseen: silent_facts(&seen),
        // Its tables are shared, not copied.
        observations: Observations { world: seen.world.clone(), steps: BTreeMap::new(), local: Vec::new() },
        problems: Vec::new(),
    };
    looked.problems = match seen.whole() {
        Err(Failure::Error(found)) => found,
        Err(other) => return Err(other),
        Ok(world) => topology_problems(compiled, &world),
    };
    if looked.problems.is_empty() {
        looked.problems = foreign_keepers(&looked.observations.world, environment, ports).await;
    }
    if looked.problems.is_empty() {
        look_for_steps(compiled, environment, ports, &mut looked).await?;
    }
    Ok(looked)
}

async fn look_for_steps(
    compiled: &CompiledRunbook,
    environment: &Environment,
    ports: &Ports,
    looked: &mut Looked,
) -> Result<(), Failure> {
    let mut authored = Authored::default();
    for step in active(compiled) {
        for (role, statement) in step.action.authored(&step.arguments) {
            let target = looked.observations.world.targets.get(&role);
            if let Some(host) = target.and_then(|target| target.hosts.first()) {
                authored.add(&host.name, [statement]);
            }
        }
    }
    looked.problems.extend(authored.problems(ports).await);
    let world = &looked.observations.world;
    let steps: Vec<&CompiledStep> = active(compiled).collect();
    let contexts: Vec<ObserveContext<'_>> =
        steps.iter().map(|step| ObserveContext { arguments: &step.arguments, world, environment, ports }).collect();
    let looking = steps.iter().zip(&contexts).map(|(step, context)| step.action.observe(context));
    let seen: Vec<Result<Value, Failure>> = stream::iter(looking).buffered(STEPS_AT_ONCE).collect().await;
    for (step, seen) in steps.into_iter().zip(seen) {
        match seen {
            Ok(value) => {
                looked.observations.steps.insert(step.id.clone(), value);
            }
            Err(Failure::Error(found) | Failure::Refused(found)) => {
                looked.unseen.extend(step.action.unseen(&step.arguments, &found));
                for refusal in found {
                    // Several steps that use one bucket would tell the same story several times.
                    if !looked.problems.contains(&refusal) {
                        looked.problems.push(refusal);
                    }
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// A server that does not answer is not the one of any plan.
fn silent_facts(seen: &Seen) -> Vec<Fact> {
    let fact = |(host, refusal): &(_, Refusal)| {
        Fact::new(host, "identity", format!("it cannot be looked at: {}", refusal.found), SERVER_QUERY)
    };
    let mut facts: Vec<Fact> = seen.silent.iter().map(fact).collect();
    first_of_each(&mut facts);
    facts
}

/// Sorts the facts, and leaves the first on each subject. Later ones tell of the world as earlier steps will leave it.
pub(super) fn first_of_each(facts: &mut Vec<Fact>) {
    // The sort is stable.
    facts.par_sort_by(|one, other| (&one.host, &one.subject).cmp(&(&other.host, &other.subject)));
    facts.dedup_by(|later, first| later.is_about(first));
}

/// The steps that are not left out.
pub(super) fn active(compiled: &CompiledRunbook) -> impl Iterator<Item = &CompiledStep> {
    compiled.steps.iter().filter(|step| step.skipped.is_none())
}

/// Whether observations made earlier fit what the runbook needs; [`observe_for`] asks the same of what it sees.
///
/// # Errors
/// Roles that the environment does not bind, targets that are not what the runbook needs.
pub fn check_observed(compiled: &CompiledRunbook, environment: &Environment, world: &World) -> Result<(), Failure> {
    check_bindings(compiled, environment)?;
    let problems = topology_problems(compiled, world);
    if problems.is_empty() { Ok(()) } else { Err(Failure::Error(problems)) }
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
            evidence: "clickferry inspect -e ENVIRONMENT".to_owned(),
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

fn topology_problems(compiled: &CompiledRunbook, world: &World) -> Vec<Refusal> {
    let mut problems = Vec::new();
    for (role, need) in &compiled.runbook.targets {
        let Some(target) = world.targets.get(role) else { continue };
        problems.extend(topology_problem(role, need.topology, need.min_replicas, target));
    }
    problems
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
