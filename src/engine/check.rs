//! Runs checking operations outside a run: no journal, no lock, nothing is changed.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::context::{Progress, RunContext, RunInfo};
use super::outcomes::Outcomes;
use super::ports::Ports;
use super::schema::Catalogue;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::OperationId;
use crate::plan::operation::Effect;
use crate::plan::plan_file::Plan;

/// Actions whose steps `verify` runs.
pub const CHECKING_ACTIONS: [&str; 2] = ["verify", "assert"];

struct Silent;

impl Progress for Silent {
    fn progress(&self, _: &OperationId, _: u64, _: Option<u64>, _: &str) {}
}

/// What the checks found, in the order of the plan.
pub struct Checked {
    /// Outcomes of the operations that could be asked.
    pub outcomes: Vec<Value>,
    /// What did not hold.
    pub differing: Vec<Refusal>,
}

/// Asks every reading operation of the checking steps of a plan; `known` holds what a run has proved.
///
/// # Errors
/// Where a host does not answer.
pub async fn check(
    plan: &Plan,
    run: &RunInfo,
    catalogue: &Catalogue,
    environment: &Environment,
    ports: &Ports,
    known: &Outcomes,
) -> Result<Checked, Failure> {
    let never = CancellationToken::new();
    let mut checked = Checked { outcomes: Vec::new(), differing: Vec::new() };
    let mut problems = Vec::new();
    for operation in plan
        .operations
        .iter()
        .filter(|operation| CHECKING_ACTIONS.contains(&operation.action.as_str()) && operation.effect == Effect::Read)
    {
        let (Some(step), Some(action)) =
            (plan.step(&operation.step), catalogue.iter().find(|action| action.name() == operation.action))
        else {
            continue;
        };
        let context = RunContext {
            plan,
            operation,
            run,
            environment,
            ports,
            attempt: 1,
            intent: &Value::Null,
            intended_at: run.started,
            outcomes: known,
            progress: &Silent,
            cancel: &never,
            timeout: step.timeout(),
            journal: None,
        };
        let asked = match action.run(&context).await {
            Ok(()) => action.prove(&context).await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(outcome) => {
                if outcome.get("failed").and_then(Value::as_u64).unwrap_or(0) > 0 {
                    checked.differing.push(super::executor::difference(&context, &outcome));
                }
                checked.outcomes.push(outcome);
            }
            Err(error) if error.kind == super::action::RunErrorKind::Differs => checked.differing.push(error.refusal),
            Err(error) => problems.push(error.refusal),
        }
    }
    if problems.is_empty() { Ok(checked) } else { Err(Failure::Error(problems)) }
}
