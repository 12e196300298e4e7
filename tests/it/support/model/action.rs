//! An action whose one effect is kept by the model world; it asks and sends through the port for statements.

use async_trait::async_trait;
use clickferry::diag::Refusal;
use clickferry::engine::action::{Action, Holds, Probe, RunError, RunErrorKind};
use clickferry::engine::context::{PlanContext, RunContext};
use clickferry::plan::operation::Operation;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// The catalogue of the model.
pub static CATALOGUE: &[&dyn Action] = &[&ModelAction];

/// Its only action.
pub struct ModelAction;

async fn ask(context: &RunContext<'_>, question: &str) -> Option<String> {
    let host = context.operation.host.as_ref()?;
    context.read(host, format!("{question} {}", context.operation.id)).await.ok()?.text(0, "answer")
}

fn refusal(what: &str) -> Box<Refusal> {
    Box::new(Refusal {
        what: what.to_owned(),
        expected: String::new(),
        found: "what the model says".to_owned(),
        evidence: String::new(),
        action: String::new(),
    })
}

#[async_trait]
impl Action for ModelAction {
    fn name(&self) -> &'static str {
        "model"
    }

    fn summary(&self) -> &'static str {
        ""
    }

    fn reference(&self) -> &'static str {
        ""
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }

    fn plan(&self, _context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        Ok(Vec::new())
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        match ask(context, "GATE").await.as_deref() {
            Some("open") => Ok(json!({ "attempt": context.attempt })),
            _ => Err(context.fail(RunErrorKind::Broken, "it is there already", "", "", "", "")),
        }
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        context.execute(0).await.map(|_| ())
    }

    /// As the text of a real probe, it may need what earlier steps proved.
    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        let earlier = context.plan.steps.iter().take_while(|step| step.id != context.operation.step);
        for step in earlier.filter(|step| step.skipped.is_none()) {
            if context.outcomes_of(step.id.as_str()).len() < context.plan.operations_of(&step.id).count() {
                return Probe::Unknown(refusal("what an earlier step proved is not known"));
            }
        }
        match ask(context, "PROBE").await.as_deref() {
            Some("done") => Probe::Done,
            Some("not_done") => Probe::NotDone,
            Some("running") => Probe::Running,
            _ => Probe::Unknown(refusal("nobody knows")),
        }
    }

    /// What is proved rests on everything that was proved in the steps before: a lost outcome makes another one.
    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        if ask(context, "PROVE").await.as_deref() != Some("there") {
            return Err(context.fail(RunErrorKind::Broken, "it is not there", "", "", "", ""));
        }
        let steps = context.plan.steps.iter().take_while(|step| step.id != context.operation.step);
        let before: u64 = steps
            .flat_map(|step| context.outcomes_of(step.id.as_str()))
            .filter_map(|outcome| outcome.get("sum").and_then(Value::as_u64))
            .fold(1, |sum, part| (sum * 31 + part) % 1_000_003);
        Ok(json!({ "sum": before }))
    }

    async fn still_holds(&self, context: &RunContext<'_>, _outcome: &Value) -> Holds {
        match ask(context, "PROVE").await.as_deref() {
            Some("there") => Holds::Yes,
            Some(_) => Holds::No(refusal("it is gone")),
            None => Holds::CannotTell(refusal("nobody answers")),
        }
    }
}
