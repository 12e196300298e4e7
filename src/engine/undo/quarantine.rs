//! Databases that runs have set aside: where they are, until when, and the plan that drops them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::diag::{Failure, Refusal};
use crate::engine::ports::StateStore;
use crate::engine::resume::OperationState;
use crate::engine::run::{find_run, state_failure};
use crate::model::environment::Environment;
use crate::model::guards::{Guards, LossBudget};
use crate::model::ids::{HostName, OperationId, StepId};
use crate::model::runbook::OnFailure;
use crate::plan::fact::Fact;
use crate::plan::operation::{Operation, Past};
use crate::plan::plan_file::{PLAN_VERSION, Plan, PlannedHost, PlannedStep, Totals, sha256};

/// Kind of the operation that sets a database aside.
pub const SET_ASIDE: &str = "set_aside";

/// A database that a run has set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The operation that did it.
    pub past: Past,
    /// Target role.
    pub target: String,
    /// Host.
    pub host: HostName,
    /// Name that it had.
    pub database: String,
    /// Name that it has.
    pub aside: String,
    /// UUID.
    pub uuid: String,
    /// Its tables with their UUIDs.
    pub tables: BTreeMap<String, String>,
    /// Until when it is kept.
    pub until: Timestamp,
    /// The host as it was planned.
    pub planned: PlannedHost,
    /// The guards of the run.
    pub guards: Guards,
}

#[derive(Deserialize)]
struct Outcome {
    database: String,
    aside: String,
    uuid: String,
    tables: BTreeMap<String, String>,
    until: Timestamp,
}

/// The databases that the runs of a state have set aside and that are neither taken back nor purged, the oldest first.
///
/// # Errors
/// A state that cannot be read.
pub async fn kept_databases(store: &dyn StateStore) -> Result<Vec<Kept>, Failure> {
    let (mut kept, mut over) = (Vec::new(), BTreeSet::new());
    for run in store.runs().await.map_err(state_failure)? {
        let Ok(found) = find_run(store, &run).await else { continue };
        for operation in &found.plan.operations {
            let Some(OperationState::Done(outcome)) = found.state.operations.get(&operation.id) else { continue };
            if let Some(past) = &operation.past {
                over.insert((past.run.clone(), past.operation.clone()));
            } else if operation.kind == SET_ASIDE {
                let past = Past { run: run.clone(), operation: operation.id.clone() };
                kept.extend(one(past, operation, outcome, &found.plan));
            }
        }
    }
    kept.retain(|kept| !over.contains(&(kept.past.run.clone(), kept.past.operation.clone())));
    Ok(kept)
}

fn one(past: Past, operation: &Operation, outcome: &Value, plan: &Plan) -> Option<Kept> {
    let Outcome { database, aside, uuid, tables, until } = Outcome::deserialize(outcome).ok()?;
    let (target, host) = (operation.target.clone()?, operation.host.clone()?);
    let planned = plan.hosts.iter().find(|planned| planned.name == host && planned.target == target)?.clone();
    let guards = plan.guards.clone();
    Some(Kept { past, target, host, database, aside, uuid, tables, until, planned, guards })
}

/// The hours and signatures that the runs were given under: what they have kept is dropped under the same.
///
/// # Errors
/// [`Failure::Refused`] where the runs do not agree.
fn guards_of(kept: &[Kept]) -> Result<Guards, Failure> {
    let asked = |kept: &Kept| Guards {
        window: kept.guards.window.clone(),
        approvals: kept.guards.approvals.clone(),
        ..Guards::default()
    };
    let Some(first) = kept.first() else { return Ok(Guards::default()) };
    let Some(other) = kept.iter().find(|other| asked(other) != asked(first)) else { return Ok(asked(first)) };
    Err(Failure::refused(Refusal {
        what: "the runs that set databases aside have other guards".to_owned(),
        expected: "one window and one list of signers for all that is dropped".to_owned(),
        found: format!(
            "run {} and run {} differ in `guards.window` or `guards.approvals`",
            first.past.run, other.past.run
        ),
        evidence: format!("clickferry status {}; clickferry status {}", first.past.run, other.past.run),
        action: format!("name the run: `clickferry purge {}`, then the others", first.past.run),
    }))
}

/// The plan that drops them, with what `signers` tells of the guards. What it destroys is its own budget: consent is given to
/// exactly that.
///
/// # Errors
/// [`Failure::Refused`] where the guards of their runs do not go together.
pub fn purge_plan(
    kept: &[Kept],
    mut operations: Vec<Operation>,
    environment: &Environment,
    signers: impl FnOnce(&Guards) -> Vec<Fact>,
) -> Result<Plan, Failure> {
    let guards = guards_of(kept)?;
    let mut steps: Vec<StepId> = operations.iter().map(|operation| operation.step.clone()).collect();
    steps.dedup();
    for step in &steps {
        let own = operations.iter_mut().filter(|operation| operation.step == *step);
        for (number, operation) in own.enumerate() {
            operation.id = OperationId(format!("{step}/{}", number + 1));
        }
    }
    let mut hosts: Vec<PlannedHost> = Vec::new();
    for host in kept.iter().map(|kept| &kept.planned) {
        if !hosts.contains(host) {
            hosts.push(host.clone());
        }
    }
    let mut plan = Plan {
        format_version: PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        runbook: "purge".to_owned(),
        summary: "Drops databases that earlier runs have set aside".to_owned(),
        runbook_digest: sha256(b""),
        runbook_text: String::new(),
        runbook_file: String::new(),
        environment: environment.metadata.name.clone(),
        protected: environment.metadata.protected,
        parameters: BTreeMap::new(),
        hosts,
        steps: steps.into_iter().map(step).collect(),
        operations,
        totals: Totals::default(),
        facts: signers(&guards),
        guards,
        notes: Vec::new(),
        no_way_back: BTreeMap::new(),
        conversions: Vec::new(),
        undo_of: None,
        digest: String::new(),
    };
    let loss = plan.loss();
    plan.guards.loss = LossBudget { tables: loss.tables, rows: loss.rows, bytes: None, replicas: None };
    Ok(plan.sealed())
}

fn step(id: StepId) -> PlannedStep {
    PlannedStep {
        id,
        action: "undo".to_owned(),
        description: None,
        arguments: Value::Null,
        skipped: None,
        on_failure: OnFailure::Stop,
        retry: None,
        timeout_ms: None,
        confirm: None,
        point_of_no_return: false,
    }
}
