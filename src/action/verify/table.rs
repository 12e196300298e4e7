//! One table of a host: how it is looked at, and what its rows do by themselves. Pure.

use super::rules::{Traits, merges_rows};
use crate::engine::manifest::{deletes_rows_by_ttl, inner_engine_of, is_refreshable};
use crate::model::observed::Table;
use crate::model::text::Text;
use crate::plan::sql::{literal, tokenize};

/// Database and name of a table.
pub type Key = (String, String);

/// How a table is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has rows of its own.
    Rows,
    /// A plain view: proved by reading no row of it.
    View,
    /// Nothing to count: it only has to be there.
    Presence,
}

/// One table of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTable {
    /// Engine.
    pub engine: String,
    /// UUID.
    pub uuid: String,
    /// The server's CREATE statement.
    pub create_query: Text,
}

impl LiveTable {
    /// How it is looked at. A materialized view has rows of its own where it has a hidden table; with `TO` its rows
    /// are those of another table. A Set can be filled, and not read (code 48 on 26.7).
    #[must_use]
    pub fn kind(&self) -> Kind {
        let table = Table { engine: self.engine.clone(), ..Table::default() };
        match self.engine.as_str() {
            "View" => Kind::View,
            "MaterializedView" if inner_engine_of(&self.create_query).is_some() => Kind::Rows,
            "Set" => Kind::Presence,
            _ if table.holds_rows() => Kind::Rows,
            _ => Kind::Presence,
        }
    }

    /// The engine that keeps its rows: that of the hidden table for a materialized view.
    #[must_use]
    pub fn keeps_rows_in(&self) -> String {
        inner_engine_of(&self.create_query).unwrap_or_else(|| self.engine.clone())
    }

    /// What its rows do by themselves.
    #[must_use]
    pub fn traits(&self, parts: Option<&Parts>) -> Traits {
        Traits {
            merges: merges_rows(&self.keeps_rows_in()),
            expires: deletes_rows_by_ttl(&self.create_query),
            refreshed: is_refreshable(&self.create_query),
            hidden_from: parts.filter(|parts| parts.masked > 0).map(|parts| parts.rows),
        }
    }

    /// Whether it holds states of aggregate functions.
    #[must_use]
    pub fn holds_states(&self) -> bool {
        tokenize(&self.create_query).is_ok_and(|tokens| tokens.iter().any(|token| token.text == "AggregateFunction"))
    }
}

/// Active parts of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Rows in them.
    pub rows: u64,
    /// Parts in which a lightweight DELETE hides rows.
    pub masked: u64,
}

/// Which tables are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Databases.
    pub databases: Vec<String>,
    /// Tables left out.
    pub except: Vec<Key>,
}

impl Scope {
    /// A condition on the column `database`.
    #[must_use]
    pub fn condition(&self) -> String {
        let names: Vec<String> = self.databases.iter().map(|name| literal(name)).collect();
        format!("database IN ({})", names.join(", "))
    }

    /// Whether a table is meant. The hidden tables of materialized views are looked at under the view's name.
    #[must_use]
    pub fn holds(&self, key: &Key) -> bool {
        let hidden = key.1.starts_with(".inner.") || key.1.starts_with(".inner_id.");
        !hidden && self.databases.contains(&key.0) && !self.except.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(engine: &str, create: &str) -> LiveTable {
        LiveTable { engine: engine.to_owned(), uuid: String::new(), create_query: create.into() }
    }

    #[test]
    fn what_has_rows_of_its_own() {
        let inner = live(
            "MaterializedView",
            "CREATE MATERIALIZED VIEW d.mv (`id` UInt8) ENGINE = SummingMergeTree ORDER BY id AS SELECT 1 AS id",
        );
        assert_eq!(inner.kind(), Kind::Rows);
        assert!(inner.traits(None).merges);
        let to = live("MaterializedView", "CREATE MATERIALIZED VIEW d.mv TO d.t (`id` UInt8) AS SELECT 1 AS id");
        assert_eq!(to.kind(), Kind::Presence);
        assert_eq!(live("View", "CREATE VIEW d.v AS SELECT 1").kind(), Kind::View);
        for engine in ["Dictionary", "Distributed", "Kafka", "Set", "Null"] {
            assert_eq!(live(engine, "").kind(), Kind::Presence, "{engine}");
        }
        for engine in ["MergeTree", "ReplicatedMergeTree", "Log", "Memory", "Join"] {
            assert_eq!(live(engine, "").kind(), Kind::Rows, "{engine}");
        }
    }

    #[test]
    fn states_of_aggregate_functions_are_told_from_simple_ones() {
        assert!(
            live("MergeTree", "CREATE TABLE t (`a` AggregateFunction(sum, UInt64)) ENGINE = MergeTree").holds_states()
        );
        assert!(
            !live("MergeTree", "CREATE TABLE t (`a` SimpleAggregateFunction(sum, UInt64)) ENGINE = MergeTree")
                .holds_states()
        );
    }

    #[test]
    fn hidden_tables_and_exceptions_are_left_out() {
        let scope = Scope { databases: vec!["a'b".to_owned()], except: vec![("a'b".to_owned(), "x".to_owned())] };
        assert_eq!(scope.condition(), "database IN ('a\\'b')");
        let holds = |database: &str, name: &str| scope.holds(&(database.to_owned(), name.to_owned()));
        assert!(holds("a'b", "t") && !holds("a'b", "x") && !holds("c", "t") && !holds("a'b", ".inner_id.1"));
    }
}
