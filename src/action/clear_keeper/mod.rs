//! `clear_keeper`: removes what dropped tables left behind in Keeper.

mod form;
mod observe;
mod own;
mod plan;
mod planned;
mod run;
mod still;
#[cfg(test)]
mod tests;
mod undo;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{KeeperPath, TargetRole};
use crate::model::ids::OperationId;
use crate::plan::cleared::Cleared;
use crate::plan::operation::Operation;

pub use plan::is_cleared;

/// Removes what dropped tables left behind in Keeper.
pub struct ClearKeeper;

/// Arguments of `clear_keeper`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Target whose Keeper is cleared.
    pub on: TargetRole,
    /// Paths that are removed with everything below them; `{shard}`, `{replica}` and other macros stand for what
    /// each server of the target has.
    #[schemars(length(min = 1))]
    pub paths: Vec<KeeperPath>,
}

/// What an operation needs at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Data {
    path: String,
    /// Nothing is there at planning, and nothing is expected: only looked at.
    only_look: bool,
    /// What stood there at planning; plans of older versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    planned: Option<Cleared>,
}

#[async_trait]
impl Action for ClearKeeper {
    fn name(&self) -> &'static str {
        "clear_keeper"
    }

    fn summary(&self) -> &'static str {
        "Removes what dropped tables left behind in Keeper, after an export of it; never a path that a live table uses."
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Arguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let paths = arguments.get("paths").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let built_in = ["{database}", "{table}", "{uuid}"];
        paths
            .iter()
            .enumerate()
            .filter_map(|(at, path)| {
                Some((at, built_in.iter().find(|name| path.as_str().is_some_and(|path| path.contains(**name)))?))
            })
            .map(|(at, name)| ArgumentError {
                pointer: format!("/paths/{at}"),
                message: format!("{name} stands for many values, so it is not clear what would be removed"),
                help: Some(
                    "write the name itself; `{shard}`, `{replica}` and macros of the servers are possible".to_owned(),
                ),
            })
            .collect()
    }

    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        observe::observe(context).await
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        run::prepare(context, &context.data()?).await
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        run::run(context, &context.data()?).await
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        match context.data() {
            Ok(data) => run::probe(context, &data).await,
            Err(error) => Probe::Unknown(Box::new(error.refusal)),
        }
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        run::prove(context, &context.data()?).await
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    /// An attempt that wrote an export may have removed some of it.
    async fn remains(&self, context: &RunContext<'_>) -> Result<bool, RunError> {
        Ok(!run::exports(context).await?.is_empty())
    }

    fn outlasts(&self, _operation: &Operation) -> bool {
        false
    }

    /// The path being gone is not a lasting promise: a later `create_replicated` or `restore` makes it again, and
    /// rightly so. Nothing is asked.
    async fn still_holds(&self, _context: &RunContext<'_>, _outcome: &Value) -> Holds {
        Holds::Yes
    }
}

/// Name of the document with what was removed.
fn export_name(context: &RunContext<'_>, attempt: u32) -> String {
    export_name_of(&context.operation.id, attempt)
}

fn export_name_of(operation: &OperationId, attempt: u32) -> String {
    let operation = operation.as_str().replace('/', "-");
    if attempt <= 1 { format!("keeper/{operation}.json") } else { format!("keeper/{operation}.{attempt}.json") }
}

/// One node in an export: values that are not UTF-8 are written in hexadecimal.
fn exported(node: &crate::engine::ports::KeeperNode) -> Value {
    let mut exported = match std::str::from_utf8(&node.value) {
        Ok(text) => json!({ "path": node.path, "value": text, "version": node.stat.version }),
        Err(_) => {
            json!({ "path": node.path, "value_hex": crate::plan::plan_file::hex(&node.value), "version": node.stat.version })
        }
    };
    if node.stat.ephemeral {
        exported["ephemeral"] = json!(true);
    }
    exported
}
