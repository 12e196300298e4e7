//! The runbook file, without the bodies of its actions.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::formats::DurationText;
pub use super::guards::{Guards, LossBudget};

/// `kind: Runbook`, everything but its steps.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Runbook {
    /// `clickferry/v1`.
    pub api_version: String,
    /// `Runbook`.
    pub kind: String,
    /// Name and summary.
    pub metadata: RunbookMetadata,
    /// Values given on the command line with `-p name=value`.
    #[serde(default)]
    pub parameters: IndexMap<String, Parameter>,
    /// Target roles: groups of servers that an environment binds to real ones.
    #[serde(default)]
    pub targets: IndexMap<String, TargetNeed>,
    /// Storage roles: buckets that an environment binds to real ones.
    #[serde(default)]
    pub storage: IndexMap<String, StorageNeed>,
    /// Limits that nobody can override on the command line.
    #[serde(default)]
    pub guards: Guards,
    /// The ordered steps; each has an `id` and exactly one action.
    #[serde(default)]
    pub steps: Vec<Value>,
}

/// Name and summary of a runbook.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunbookMetadata {
    /// Name of the runbook.
    pub name: String,
    /// One sentence on what it does.
    #[serde(default)]
    pub summary: String,
}

/// The type of a parameter decides how it is checked and how it is quoted in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// Name of a database, table or column; quoted with backquotes in SQL.
    Identifier,
    /// Text; quoted as a literal in SQL.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// `90s`, `5m`, `1h 30m`.
    Duration,
}

/// One parameter.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Type of the value.
    pub r#type: ParameterType,
    /// Value when none is given; without it the parameter must be given.
    #[serde(default)]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// The only values allowed.
    #[serde(default)]
    pub values: Vec<Value>,
}

/// How the servers of a target relate to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Topology {
    /// One server.
    Standalone,
    /// One or more shards of replicas with a Keeper.
    Replicated,
}

/// What a runbook needs of a target.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetNeed {
    /// `standalone` or `replicated`.
    pub topology: Topology,
    /// Least number of replicas in every shard.
    #[serde(default)]
    pub min_replicas: Option<u32>,
}

/// What a runbook needs of a storage.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageNeed {
    /// Kind of storage.
    pub kind: StorageKind,
}

/// Kinds of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StorageKind {
    /// S3 or a store that speaks its protocol.
    S3,
}

/// What happens when a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The run stops; `resume` carries on later.
    #[default]
    Stop,
    /// The run goes on with the next step and ends with exit code 2. Only for steps that change nothing.
    Continue,
    /// The run stops, and everything that it did is taken back as `undo` does it, under the consent given to its plan.
    /// Only where nothing up to the end of the step is without a way back.
    Undo,
}

/// Kinds of errors after which another attempt may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// A server, Keeper or store could not be reached, or a server lost its way to another one.
    Connection,
    /// The server has too much to do (too many queries or parts, memory).
    Overload,
    /// Keeper lost its session, or a replicated table waits for Keeper.
    Keeper,
    /// The object store failed for the moment (5xx, slow down).
    Storage,
    /// Something else is in the way for the moment: a drop that goes on, another backup.
    Busy,
    /// Anything else that is not known to be for good.
    Other,
}

/// How often an operation is tried again after a failure that is proven to have changed nothing. Errors that no
/// attempt can heal (a syntax error, missing rights, a table with rows) are never tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Most attempts of one operation, the first one included. 1 switches trying again off.
    #[schemars(range(min = 1))]
    pub attempts: u32,
    /// Wait before the second attempt; doubled each time, at most 1 minute, and shortened by chance by up to half.
    #[serde(default)]
    pub backoff: Option<DurationText>,
    /// The kinds of errors to try again after; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<ErrorClass>>,
    /// Longest time from the step's first attempt within which another one may begin. So long is a server that does not
    /// answer also asked how an attempt ended (five minutes when absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DurationText>,
    /// Most repeated attempts of all operations of the step together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<u32>,
}

/// The keys every step may have besides its action.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepCommon {
    /// Name of the step, unique in the runbook; used in plans, journals and references.
    pub id: String,
    /// What the step is for, shown in the plan.
    #[serde(default)]
    pub description: Option<String>,
    /// A template expression; when it is false the step is left out of the plan.
    #[serde(default)]
    pub when: Option<String>,
    /// Longest time one operation of the step may take.
    #[serde(default)]
    pub timeout: Option<DurationText>,
    /// Attempts after failures that are proven to have changed nothing.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// What happens when the step fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// A question that a person answers with `yes` at the terminal before the step starts.
    #[serde(default)]
    pub confirm: Option<String>,
    /// Marks that there is no way back after this step; shown in the plan, and asked for once more right before the step
    /// begins: its id typed at the terminal, or `--no-return STEP`.
    #[serde(default)]
    pub point_of_no_return: bool,
}
