//! What a plan knows of a Keeper path that it clears: `clear_keeper` keeps it for its gate, `diff` tells of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What stood below the path when the plan was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// Nodes outside of tables.
    pub outside: BTreeSet<String>,
    /// Tables by their path.
    pub tables: BTreeMap<String, ClearedTable>,
    /// Tables that differ in nothing but their path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<Alike>,
}

/// What is known of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClearedTable {
    /// Its replicas.
    pub replicas: BTreeSet<String>,
    /// Its children that its servers do not come and go with.
    #[serde(default)]
    pub children: BTreeSet<String>,
    /// Digest of all of it, where no server has the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub still: Option<String>,
}

/// Tables of which the same is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alike {
    /// Their paths.
    pub paths: Vec<String>,
    /// Each of them.
    pub table: ClearedTable,
}

impl Cleared {
    /// All tables with their paths.
    pub fn all_tables(&self) -> impl Iterator<Item = (&str, &ClearedTable)> {
        let alike = self.alike.iter().flat_map(|alike| alike.paths.iter().map(|path| (path.as_str(), &alike.table)));
        self.tables.iter().map(|(path, table)| (path.as_str(), table)).chain(alike)
    }
}
