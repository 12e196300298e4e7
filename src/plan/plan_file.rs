//! The plan: everything an apply does, as data. It is saved, shown, compared and digested from here.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::conversion::PlannedConversion;
use super::digest;
use super::fact::Fact;
use super::operation::{Effect, Loss, Operation};
use crate::model::ids::{HostName, RunId, StepId};
use crate::model::runbook::{Guards, OnFailure, Retry};

/// Version of the plan format. Every older one is read; a newer one is refused (docs/design/0007-formats.md).
pub const PLAN_VERSION: u32 = 1;

/// A complete plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Version of this format.
    pub format_version: u32,
    /// Version of the tool that made it.
    pub tool_version: String,
    /// Name of the runbook.
    pub runbook: String,
    /// What the runbook says about itself.
    pub summary: String,
    /// SHA-256 of the runbook's text, hexadecimal.
    pub runbook_digest: String,
    /// The runbook itself, so that a saved plan can be made again at apply and compared.
    pub runbook_text: String,
    /// Name of the runbook's file, for messages.
    pub runbook_file: String,
    /// Name of the environment.
    pub environment: String,
    /// Whether consent needs the environment's name besides.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Parameters with the values used.
    pub parameters: BTreeMap<String, Value>,
    /// Hosts that are touched or read.
    pub hosts: Vec<PlannedHost>,
    /// Steps in order, also those left out by `when`.
    pub steps: Vec<PlannedStep>,
    /// Operations in order.
    pub operations: Vec<Operation>,
    /// Sums over the operations.
    #[serde(default)]
    pub totals: Totals,
    /// Facts that must still hold at apply.
    pub facts: Vec<Fact>,
    /// The runbook's limits.
    pub guards: Guards,
    /// Things a reviewer should know: what is left out and why.
    pub notes: Vec<String>,
    /// The steps that cannot be taken back once they have run, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub no_way_back: BTreeMap<StepId, String>,
    /// What becomes of each object of a source that is converted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversions: Vec<PlannedConversion>,
    /// The run that this plan takes back, where it is the plan of an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_of: Option<RunId>,
    /// SHA-256 over all of the above but the estimates and the bytes lost, hexadecimal. This is what consent is given to.
    pub digest: String,
}

/// Sums over the operations of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// What is taken away, over all hosts.
    pub loss: Loss,
    /// Operations.
    pub operations: u64,
    /// Operations that destroy.
    pub destroy: u64,
    /// Operations that write.
    pub write: u64,
    /// Operations that read.
    pub read: u64,
}

impl Totals {
    fn of(operations: &[Operation]) -> Self {
        operations.iter().fold(Self::default(), |sum, operation| {
            let counts = |effect: Effect| u64::from(operation.effect == effect);
            Self {
                loss: sum.loss.plus(operation.loss),
                operations: sum.operations + 1,
                destroy: sum.destroy + counts(Effect::Destroy),
                write: sum.write + counts(Effect::Write),
                read: sum.read + counts(Effect::Read),
            }
        })
    }
}

/// A host of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedHost {
    /// Target role.
    pub target: String,
    /// Name.
    pub name: HostName,
    /// Address.
    pub url: String,
    /// Shard.
    pub shard: String,
    /// ClickHouse version.
    pub version: String,
    /// Who the server is, in one line.
    pub identity: String,
}

/// A step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStep {
    /// Id.
    pub id: StepId,
    /// Action.
    pub action: String,
    /// What it is for.
    pub description: Option<String>,
    /// The action's arguments after templates.
    pub arguments: Value,
    /// Why the step is left out, if it is.
    pub skipped: Option<String>,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Attempts.
    pub retry: Option<Retry>,
    /// Longest time of one operation, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// Question asked before it starts.
    pub confirm: Option<String>,
    /// No way back after this step.
    pub point_of_no_return: bool,
}

impl Plan {
    /// The sum of what the operations take away.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.operations.iter().fold(Loss::default(), |sum, operation| sum.plus(operation.loss))
    }

    /// Operations of one step.
    pub fn operations_of<'a>(&'a self, step: &'a StepId) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().filter(move |operation| operation.step == *step)
    }

    /// The operations of every step that has some, in the order of the plan.
    #[must_use]
    pub fn operations_by_step(&self) -> HashMap<&StepId, Vec<&Operation>> {
        let mut by_step: HashMap<&StepId, Vec<&Operation>> = HashMap::new();
        for operation in &self.operations {
            by_step.entry(&operation.step).or_default().push(operation);
        }
        by_step
    }

    /// The step of an id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&PlannedStep> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// Whether anything is written or destroyed.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        self.operations.iter().any(|operation| operation.effect != Effect::Read)
    }

    /// Whether anything is destroyed.
    #[must_use]
    pub fn destroys_something(&self) -> bool {
        self.operations.iter().any(|operation| operation.effect == Effect::Destroy)
    }

    /// Fills in the sums and the digest.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.totals = Totals::of(&self.operations);
        self.digest = self.compute_digest();
        self
    }

    /// Whether the digest fits the content.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.digest == self.compute_digest()
    }

    /// The plan without what may change while it waits to be applied. Bytes on disk do with every merge of parts;
    /// how many rows and tables are lost does not, and the budget of bytes is compared with what is there at apply.
    #[must_use]
    pub fn binding(&self) -> Self {
        let mut bare = self.clone();
        bare.digest = String::new();
        // The same runbook may be read under another name; its text counts through its own digest.
        bare.runbook_file = String::new();
        bare.runbook_text = String::new();
        for operation in &mut bare.operations {
            operation.estimate_rows = None;
            operation.estimate_bytes = None;
            operation.loss.bytes = 0;
        }
        bare.totals.loss.bytes = 0;
        bare.conversions = bare.conversions.iter().map(PlannedConversion::binding).collect();
        bare
    }

    fn compute_digest(&self) -> String {
        // Plain data with text keys always becomes JSON; an empty text would never equal a stored digest.
        digest::of(self).unwrap_or_default()
    }
}

/// Bytes as hexadecimal text.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// SHA-256 of a text, hexadecimal.
#[must_use]
pub fn sha256(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// SHA-256 of a text in parts, hexadecimal; nothing is copied.
#[must_use]
pub fn sha256_of_parts(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    parts.iter().for_each(|part| digest.update(part));
    hex(&digest.finalize())
}
