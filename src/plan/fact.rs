//! Facts of the world that a plan rests on and that must still hold at apply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::ids::HostName;
use crate::model::text::Text;

/// One fact: what was seen, and the read-only statement that shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Host asked; empty for Keeper and buckets.
    pub host: HostName,
    /// What it is about, e.g. `tables of database default`.
    pub subject: Text,
    /// What was seen.
    pub value: String,
    /// The statement (or command) that shows it.
    pub query: Text,
}

impl Fact {
    /// Whether another fact tells of the same thing.
    #[must_use]
    pub fn is_about(&self, other: &Self) -> bool {
        self.host == other.host && self.subject == other.subject
    }

    /// A fact of a host.
    #[must_use]
    pub fn new(host: &HostName, subject: impl Into<Text>, value: impl Into<String>, query: impl Into<Text>) -> Self {
        Self { host: host.clone(), subject: subject.into(), value: exact(value), query: query.into() }
    }
}

/// A text without the room that it grew into: there may be a hundred thousand of them.
pub(super) fn exact(text: impl Into<String>) -> String {
    let mut text = text.into();
    text.shrink_to_fit();
    text
}
