//! Helps unit tests to plan one step against a world made by hand.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diag::Refusal;
use crate::engine::action::Action;
use crate::engine::context::PlanContext;
use crate::model::environment::{Environment, EnvironmentMetadata, KeeperBinding, StateBinding, TargetBinding};
use crate::model::ids::StepId;
use crate::model::observed::{HostWorld, Table, TargetWorld, World};
use crate::model::runbook::Topology;
use crate::plan::conversion::PlannedConversion;
use crate::plan::fact::Fact;
use crate::plan::operation::Operation;

/// What planning a step left behind.
pub struct Planned {
    pub operations: Result<Vec<Operation>, Vec<Refusal>>,
    pub world: World,
    pub facts: Vec<Fact>,
    pub notes: Vec<String>,
    pub conversions: Vec<PlannedConversion>,
    pub promises: BTreeMap<StepId, Value>,
}

/// Hosts and subjects of facts, sorted, each once.
pub fn subjects(facts: &[Fact]) -> Vec<String> {
    let mut subjects: Vec<String> = facts.iter().map(|fact| format!("{}: {}", fact.host, fact.subject)).collect();
    subjects.sort();
    subjects.dedup();
    subjects
}

/// Plans one step.
pub fn plan_with(action: &dyn Action, arguments: &Value, observed: &Value, world: World) -> Planned {
    plan_after(action, arguments, observed, world, BTreeMap::new())
}

/// Plans one step after others that promised something.
pub fn plan_after(
    action: &dyn Action,
    arguments: &Value,
    observed: &Value,
    world: World,
    promises: BTreeMap<StepId, Value>,
) -> Planned {
    plan_in(action, arguments, observed, [world.clone(), world], promises)
}

/// Plans one step in a world that is another one than was looked at, since earlier steps have changed it.
pub fn plan_in(
    action: &dyn Action,
    arguments: &Value,
    observed: &Value,
    [seen, mut world]: [World; 2],
    mut promises: BTreeMap<StepId, Value>,
) -> Planned {
    let (mut facts, mut notes, mut conversions) = (Vec::new(), Vec::new(), Vec::new());
    let environment = environment(&world);
    let operations = action.plan(&mut PlanContext {
        step: &StepId::from("step"),
        arguments,
        observed,
        seen: &seen,
        world: &mut world,
        environment: &environment,
        facts: &mut facts,
        notes: &mut notes,
        conversions: &mut conversions,
        promises: &mut promises,
    });
    Planned { operations, world, facts, notes, conversions, promises }
}

/// An environment whose replicated targets have one Keeper.
fn environment(world: &World) -> Environment {
    let targets = world
        .targets
        .iter()
        .map(|(role, target)| {
            let keeper = target.keeper.then(|| KeeperBinding { hosts: vec!["k:2181".into()], root: None });
            (role.clone(), TargetBinding { cluster: None, hosts: Vec::new(), keeper, credentials: None })
        })
        .collect();
    Environment {
        api_version: "clickferry/v1".into(),
        kind: "Environment".into(),
        metadata: EnvironmentMetadata { name: "test".into(), labels: BTreeMap::new(), protected: false },
        targets,
        storage: Default::default(),
        state: StateBinding::default(),
    }
}

/// A world of one replicated target.
pub fn world(role: &str, hosts: Vec<HostWorld>) -> World {
    let target = TargetWorld { topology: Topology::Replicated, cluster: None, keeper: true, hosts };
    World { targets: BTreeMap::from([(role.to_owned(), target)]) }
}

/// A replica of shard 01, with the macros `shard` and `replica`.
pub fn host(name: &str) -> HostWorld {
    let mut host = HostWorld { name: name.into(), shard: "01".into(), ..HostWorld::default() };
    host.identity.macros =
        BTreeMap::from([("shard".to_owned(), "01".to_owned()), ("replica".to_owned(), name.to_owned())]);
    host
}

/// A table that exists now.
pub fn table(database: &str, name: &str, engine: &str, rows: Option<u64>) -> Table {
    Table {
        database: database.into(),
        name: name.into(),
        engine: engine.into(),
        uuid: format!("uuid-{name}"),
        rows,
        bytes: rows.map(|rows| rows * 10),
        ..Table::default()
    }
}
