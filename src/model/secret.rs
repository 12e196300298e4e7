//! Secrets are named in files, never written there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a secret comes from. Exactly one of the three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Name of an environment variable of the clickferry process.
    Env(String),
    /// Path of a file; a final line break is cut off.
    File(String),
    /// A command whose standard output is the secret; a final line break is cut off.
    Command(Vec<String>),
}

impl SecretRef {
    /// How the reference is shown to people; never the secret.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Env(name) => format!("environment variable {name}"),
            Self::File(path) => format!("file {path}"),
            Self::Command(words) => {
                format!("command {}", words.first().map_or("(empty)", String::as_str))
            }
        }
    }
}
