//! Disks and storage policies of a server: where its tables are put.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The policy of tables whose definition names none, where the server has no other.
pub const DEFAULT_POLICY: &str = "default";

/// Disks and policies of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Free bytes by disk (`system.disks`); of an object store as many as fit into the number.
    pub disks: BTreeMap<String, u64>,
    /// Disks of each policy in the order in which they are filled (`system.storage_policies`).
    pub policies: BTreeMap<String, Vec<String>>,
    /// Policy of tables whose definition names none.
    pub default_policy: String,
}

impl Storage {
    /// Whether the server told nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.disks.is_empty()
    }

    /// One disk, as of a server that tells of no others.
    #[must_use]
    pub fn of_one_disk(free_bytes: u64) -> Self {
        Self {
            disks: BTreeMap::from([(DEFAULT_POLICY.to_owned(), free_bytes)]),
            policies: BTreeMap::from([(DEFAULT_POLICY.to_owned(), vec![DEFAULT_POLICY.to_owned()])]),
            default_policy: DEFAULT_POLICY.to_owned(),
        }
    }
}
