//! What becomes of each object of a source, as a list that every view of a plan shows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ids::{HostName, StepId};

/// What becomes of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedConversion {
    /// The step that creates it, or leaves it out.
    pub step: StepId,
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// What happens.
    pub fate: ConversionFate,
    /// Engine on the source.
    pub engine_before: String,
    /// Engine on the target; absent where the object is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_after: Option<String>,
    /// Its place in the order of creation, from 0: what it needs is made in the waves before. Absent where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// Why it is left out, or what a reviewer should know of what it becomes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Rows on the source that stay behind with an object that is left out, as counted at planning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_behind: Option<u64>,
    /// Whether it has rows of its own that its engine does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rows_untold: bool,
    /// Where it is in Keeper, host by host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeper: Vec<KeeperPlace>,
}

impl PlannedConversion {
    /// Without what may change while the plan waits: somebody may still write to the source.
    #[must_use]
    pub fn binding(&self) -> Self {
        Self { rows_behind: None, ..self.clone() }
    }
}

/// What happens with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversionFate {
    /// It is not created.
    LeftOut,
    /// It is created with another engine, or with another place in Keeper.
    Converted,
    /// It is created as it is on the source.
    AsItIs,
}

/// Where a replicated table of a host is in Keeper, macros filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeeperPlace {
    /// Host.
    pub host: HostName,
    /// Path.
    pub path: String,
    /// Name of the replica.
    pub replica: String,
}
