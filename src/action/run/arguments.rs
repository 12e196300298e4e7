//! The arguments of `run`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::action::select::Scalar;
use crate::action::sql::{check_query, error};
use crate::engine::action::ArgumentError;
use crate::model::formats::{SqlText, TargetRole};
use crate::model::secret::SecretRef;
use crate::plan::operation::Effect;

/// Arguments of `run`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunArguments {
    /// Program and its arguments. No shell is put between, so nothing needs quoting.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// Variables added to the environment of the process: text, or `{ env: NAME }`, `{ file: PATH }`,
    /// `{ command: [...] }` for a secret.
    #[serde(default)]
    pub environment: BTreeMap<String, Variable>,
    /// Working directory; the one that clickferry was started in when absent.
    #[serde(default)]
    pub directory: Option<String>,
    /// What must come out of it.
    #[serde(default)]
    pub expect: RunExpect,
    /// Tells whether the command took effect, after it failed or its outcome was lost.
    #[serde(default)]
    pub probe: Option<RunProbe>,
    /// What the command does to the world.
    #[serde(default = "write")]
    pub effect: Effect,
    /// What a command with `effect: destroy` takes away.
    #[serde(default)]
    pub loss: Option<RunLoss>,
    /// The command that takes it back; `clickferry undo` starts it, with the same environment and directory.
    #[serde(default)]
    pub undo: Option<RunUndo>,
}

/// Takes a command back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunUndo {
    /// Program and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// What must come out of it.
    #[serde(default)]
    pub expect: RunExpect,
    /// Tells whether it took effect.
    #[serde(default)]
    pub probe: Option<RunProbe>,
    /// What it does to the world.
    #[serde(default = "write")]
    pub effect: Effect,
    /// What it takes away, where its effect is `destroy`.
    #[serde(default)]
    pub loss: Option<RunLoss>,
}

fn write() -> Effect {
    Effect::Write
}

/// What must come out of a command.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunExpect {
    /// Exit code.
    #[serde(default)]
    pub exit_code: i32,
    /// Text that its standard output must hold.
    #[serde(default)]
    pub stdout_contains: Option<String>,
}

/// Tells whether the command took effect: `command` (and `exit_code`), or `on`, `query` and `equals`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunProbe {
    /// A command that only looks; it gets the same environment and directory.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// Its exit code that means that the command took effect; every other one means that it did not. 0 when absent.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Target whose first host is asked.
    #[serde(default)]
    pub on: Option<TargetRole>,
    /// A reading query that answers one value.
    #[serde(default)]
    pub query: Option<SqlText>,
    /// The value that means that the command took effect.
    #[serde(default)]
    pub equals: Option<Scalar>,
}

/// What a command takes away.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunLoss {
    /// Most tables dropped or emptied, over all hosts.
    #[serde(default)]
    pub tables: u64,
    /// Most rows taken away, over all hosts.
    #[serde(default)]
    pub rows: u64,
}

/// The value of a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    /// Plain text, shown in the plan.
    Plain(String),
    /// A secret, by reference.
    Secret(SecretRef),
}

impl JsonSchema for Variable {
    fn schema_name() -> Cow<'static, str> {
        "Variable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "description": "Plain text, shown in the plan." },
                {
                    "type": "object",
                    "description": "A secret, by reference; exactly one of the keys.",
                    "additionalProperties": false,
                    "minProperties": 1,
                    "maxProperties": 1,
                    "properties": {
                        "env": { "type": "string", "description": "Name of an environment variable of the clickferry process." },
                        "file": { "type": "string", "description": "Path of a file; a final line break is cut off." },
                        "command": { "type": "array", "items": { "type": "string" }, "description": "A command whose standard output is the secret." }
                    }
                }
            ]
        })
    }
}

impl RunArguments {
    /// Mistakes that the schema cannot express.
    #[must_use]
    pub fn check(&self) -> Vec<ArgumentError> {
        let mut errors = Vec::new();
        if self.command.first().is_some_and(|program| program.trim().is_empty()) {
            errors.push(error("/command/0", "the program is empty", Some("write the name of a program")));
        }
        for name in self.environment.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                errors.push(error("/environment", format!("`{name}` cannot be the name of a variable"), None));
            }
        }
        if self.effect == Effect::Destroy && self.loss.is_none() {
            errors.push(error(
                "",
                "a command that destroys must say what is lost",
                Some("declare it: `loss: { tables: N, rows: N }`"),
            ));
        }
        if self.effect != Effect::Destroy && self.loss.is_some() {
            errors.push(error(
                "/loss",
                "a loss is declared, but the effect is not `destroy`",
                Some("write `effect: destroy`"),
            ));
        }
        errors.extend(self.probe.iter().flat_map(RunProbe::check));
        if let Some(undo) = &self.undo {
            if undo.command.first().is_some_and(|program| program.trim().is_empty()) {
                errors.push(error("/undo/command/0", "the program is empty", Some("write the name of a program")));
            }
            if (undo.effect == Effect::Destroy) != undo.loss.is_some() {
                errors.push(error(
                    "/undo",
                    "an undo that destroys says what is lost, and one that does not says nothing",
                    Some("write both or neither: `effect: destroy` and `loss: { tables: N, rows: N }`"),
                ));
            }
            errors.extend(undo.probe.iter().flat_map(RunProbe::check).map(|mut wrong| {
                wrong.pointer.insert_str(0, "/undo");
                wrong
            }));
        }
        errors
    }
}

impl RunProbe {
    fn check(&self) -> Vec<ArgumentError> {
        let help = Some("write `probe: { command: [...] }` or `probe: { on: TARGET, query: ..., equals: ... }`");
        let asks = [self.on.is_some(), self.query.is_some(), self.equals.is_some()];
        let mut errors = Vec::new();
        match (&self.command, asks) {
            (Some(command), [false, false, false]) if !command.is_empty() => {}
            (None, [true, true, true]) => {}
            _ => errors.push(error("/probe", "a probe is either a command or a query on a target", help)),
        }
        if self.exit_code.is_some() && self.command.is_none() {
            errors.push(error("/probe/exit_code", "`exit_code` belongs to a probe that is a command", help));
        }
        errors.extend(self.query.as_ref().and_then(|query| check_query("/probe/query", query.as_str())));
        errors
    }
}
