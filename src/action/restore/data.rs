//! What the operations of a restore need to know at run time, and what their gates saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::manifest::{deletes_rows_by_ttl, inner_engine_of};
use crate::model::ids::HostName;

use super::source::Origin;

/// Kinds of operations.
pub(crate) mod kind {
    /// RESTORE of a table's rows into the table that is there, or with its creation.
    pub(crate) const TABLE: &str = "restore";
    /// RESTORE of a definition without rows.
    pub(crate) const DEFINITION: &str = "define";
    /// RESTORE into a table beside the real one.
    pub(crate) const STAGE: &str = "stage";
    /// INSERT from the table beside into the real one.
    pub(crate) const INSERT: &str = "insert_into";
    /// DROP of the table beside.
    pub(crate) const UNSTAGE: &str = "drop";
}

/// How rows are compared with the promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// Every row of the backup is there.
    Equal,
    /// The engine merges rows by itself: there are no more than in the backup, and some where the backup has some.
    AtMost,
    /// The engine deletes or cancels rows by itself: there are no more than in the backup, maybe none.
    AtMostOrNone,
}

impl Rule {
    /// The rule of a table by its definition (of a view: by that of its hidden table).
    pub(crate) fn of(engine: &str, create_query: &str) -> Self {
        let inner = inner_engine_of(create_query);
        let engine = inner.as_deref().unwrap_or(engine);
        let has = |kinds: &[&str]| kinds.iter().any(|kind| engine.contains(kind));
        match () {
            // Pairs cancel each other out; sums of nothing but zeros go.
            () if has(&["Collapsing", "Summing"]) || deletes_rows_by_ttl(create_query) => Self::AtMostOrNone,
            () if has(&["Replacing", "Aggregating", "Graphite", "Coalescing"]) => Self::AtMost,
            () => Self::Equal,
        }
    }

    /// Whether rows fit what is expected.
    pub(crate) fn allows(self, rows: u64, expected: u64) -> bool {
        match self {
            Self::Equal => rows == expected,
            Self::AtMost => rows <= expected && (rows > 0 || expected == 0),
            Self::AtMostOrNone => rows <= expected,
        }
    }
}

/// What an operation needs to know at run time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RestoreData {
    /// The backup.
    pub(crate) origin: Origin,
    /// Database.
    pub(crate) database: String,
    /// Table whose rows are restored.
    pub(crate) table: String,
    /// Shard of the destination.
    pub(crate) shard: String,
    /// Hosts on which the rows must be afterwards.
    pub(crate) copies: Vec<HostName>,
    /// Table beside the real one, for the kinds that use it.
    pub(crate) staging: Option<String>,
    /// Whether the operation creates the table.
    pub(crate) creates: bool,
    /// Whether the user lets rows be added to rows (`allow_non_empty_tables`).
    pub(crate) appends: bool,
    /// How rows are compared.
    pub(crate) rule: Rule,
    /// Rows, where the backup exists already.
    pub(crate) rows: Option<u64>,
    /// Whether the plan saw the table; else its gate looks at more.
    pub(crate) seen: bool,
}

impl RestoreData {
    /// The table that an operation of a kind fills.
    pub(crate) fn filled<'a>(&'a self, kind: &str) -> &'a str {
        match (&self.staging, kind) {
            (Some(staging), kind::STAGE) => staging,
            _ => &self.table,
        }
    }
}

/// One host before an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Rows that stay: 0 where the operation empties the table first.
    pub(crate) rows: u64,
    /// Detached parts.
    pub(crate) detached: u64,
}

/// What a gate saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Every host that must have the rows afterwards.
    pub(crate) hosts: BTreeMap<HostName, Before>,
    /// Rows that will be added; `None` where the backup does not tell.
    pub(crate) rows: Option<u64>,
    /// Whether what an earlier attempt of this operation left is removed first.
    pub(crate) clears: bool,
}

impl Gate {
    /// Rows expected on a host afterwards.
    pub(crate) fn expected(&self, host: &HostName) -> Option<u64> {
        Some(self.hosts.get(host).map_or(0, |before| before.rows) + self.rows?)
    }

    /// Whether nothing was there, on any host.
    pub(crate) fn was_empty(&self) -> bool {
        self.hosts.values().all(|before| before.rows == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_compared_by_the_engines_rule() {
        let plain = "CREATE TABLE d.t (`a` UInt8) ENGINE = ReplicatedMergeTree ORDER BY a";
        assert_eq!(Rule::of("ReplicatedMergeTree", plain), Rule::Equal);
        assert_eq!(Rule::of("ReplicatedReplacingMergeTree", plain), Rule::AtMost);
        assert_eq!(
            Rule::of("MergeTree", "CREATE TABLE d.t (`a` Date) ENGINE = MergeTree ORDER BY a TTL a"),
            Rule::AtMostOrNone
        );
        let view = "CREATE MATERIALIZED VIEW d.m (`a` UInt8) ENGINE = SummingMergeTree ORDER BY a AS SELECT 1";
        assert_eq!(Rule::of("MaterializedView", view), Rule::AtMostOrNone);
        assert!(
            Rule::Equal.allows(3, 3)
                && !Rule::Equal.allows(2, 3)
                && Rule::AtMost.allows(2, 3)
                && !Rule::AtMost.allows(4, 3)
        );
        // A crash in the middle of a RESTORE leaves an empty table that looks healthy.
        assert!(!Rule::AtMost.allows(0, 3) && Rule::AtMostOrNone.allows(0, 3) && Rule::AtMost.allows(0, 0));
    }
}
