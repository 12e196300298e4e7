//! `run`: a local command (helm, a migrator) with its environment.

mod arguments;
mod execute;
mod plan;
mod undo;
mod words;

use async_trait::async_trait;
use schemars::{Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::Value;

use arguments::RunArguments;
use plan::RunData;

use super::sql::{one_query, without_undo};
use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{PlanContext, RunContext};
use crate::engine::undo::{Undo, UndoContext};
use crate::plan::operation::Operation;

/// The action.
pub struct Run;

#[async_trait]
impl Action for Run {
    fn name(&self) -> &'static str {
        "run"
    }

    fn summary(&self) -> &'static str {
        "Starts a command on this machine, without a shell."
    }

    fn reference(&self) -> &'static str {
        REFERENCE
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<RunArguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        RunArguments::deserialize(arguments).map(|arguments| arguments.check()).unwrap_or_default()
    }

    fn authored(&self, arguments: &Value) -> Vec<(String, String)> {
        let Ok(arguments) = RunArguments::deserialize(arguments) else { return Vec::new() };
        let undo = arguments.undo.and_then(|undo| undo.probe);
        let probes = arguments.probe.into_iter().chain(undo);
        probes.filter_map(|probe| Some((probe.on?.as_str().to_owned(), one_query(&probe.query?)))).collect()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        execute::prepare(context)
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        execute::run(context).await
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        execute::probe(context).await
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        execute::prove(context).await
    }

    fn no_way_back(&self, operation: &Operation, arguments: &Value) -> Option<String> {
        without_undo(operation, arguments)
    }

    fn proves(&self, operation: &Operation) -> bool {
        operation.data.read::<RunData>().is_ok_and(|data| data.probe.is_some())
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    async fn still_holds(&self, _context: &RunContext<'_>, _outcome: &Value) -> Holds {
        // What a command promises beyond its end is not known here; an `assert` step can ask for it.
        Holds::Yes
    }
}

const REFERENCE: &str = "\
**Operations**: one. The words of `command:` are started as they are, without a shell, in a process group of their \
own. A secret travels in the environment of the process (`environment: { TOKEN: { env: TOKEN } }`), never in its \
words; the plan shows only where it comes from. The command does not inherit the variables that the environment file \
names for secrets of targets, storage and state (nor `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` where they stand \
in for keys that it does not name); a step that needs one names it. Every secret that clickferry has read is hidden \
in what the command prints. The output is kept beside the journal.

**Effect**: `write` unless declared otherwise; a command that destroys must declare its `loss:`.

**Probe after a lost outcome**: `probe:`, either a command of its own with an exit code, or a query on a target. The \
exit code of a command that failed proves nothing, so the probe is asked then too. Without a probe the outcome is \
unknown and the run stops for a person. A command outlives an engine that is killed: it holds a lock on a file in the \
folder for temporary files, which the intent names, so `resume` on the same machine waits for its end before it asks \
the probe. From another machine, or after a restart, that cannot be told: then only a probe that says *done* is \
believed, and otherwise the run stops for a person. What the command left behind in process groups of their own \
(daemons) is not waited for.

**Post-condition**: `expect:` exit code (0) and text in the output; with a probe, its answer as well.

**Undo**: the command of `undo:`, with the same environment and directory; without one there is no way back.
";
