//! What a host has: its tables, their replicas, parts and mutations, each in one query whatever their number.

use std::collections::BTreeMap;

use super::rules::{Replica, Traits, merges_rows};
use crate::action::select::ask;
use crate::engine::context::RunContext;
use crate::engine::manifest::{deletes_rows_by_ttl, inner_engine_of, is_refreshable};
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::model::observed::Table;
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
    pub create_query: String,
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

/// Asks within the operation's time.
async fn rows(context: &RunContext<'_>, host: &HostName, sql: &str) -> Result<Answer, SqlError> {
    ask(context, host, None, sql).await
}

fn key(answer: &Answer, row: usize) -> Key {
    (text(answer, row, "database"), text(answer, row, "table"))
}

fn text(answer: &Answer, row: usize, column: &str) -> String {
    answer.text(row, column).unwrap_or_default()
}

fn number(answer: &Answer, row: usize, column: &str) -> u64 {
    answer.number(row, column).unwrap_or(0)
}

/// The tables of a host.
pub async fn tables(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, LiveTable>, SqlError> {
    let sql = format!(
        "SELECT database, name AS table, engine, toString(uuid) AS uuid, create_table_query FROM system.tables WHERE {} ORDER BY database, name",
        scope.condition()
    );
    let answer = rows(context, host, &sql).await?;
    Ok((0..answer.rows.len())
        .map(|row| {
            let table = LiveTable {
                engine: text(&answer, row, "engine"),
                uuid: text(&answer, row, "uuid"),
                create_query: text(&answer, row, "create_table_query"),
            };
            (key(&answer, row), table)
        })
        .filter(|(key, _)| scope.holds(key))
        .collect())
}

/// The query that shows the state of replicated tables; the columns from Keeper make it slow for many tables.
#[must_use]
pub fn replicas_query(scope: &Scope) -> String {
    format!(
        "SELECT database, table, is_readonly, is_session_expired, future_parts, parts_to_check, inserts_in_queue, log_max_index, log_pointer, total_replicas, active_replicas, zookeeper_path, replica_name, zookeeper_exception, last_queue_update_exception FROM system.replicas WHERE {}",
        scope.condition()
    )
}

/// The state of the replicated tables of a host, hidden tables of views included.
pub async fn replicas(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, Replica>, SqlError> {
    let answer = rows(context, host, &replicas_query(scope)).await?;
    let mut found: BTreeMap<Key, Replica> = (0..answer.rows.len())
        .map(|row| {
            let number = |column| number(&answer, row, column);
            let replica = Replica {
                is_readonly: number("is_readonly") > 0,
                is_session_expired: number("is_session_expired") > 0,
                future_parts: number("future_parts"),
                parts_to_check: number("parts_to_check"),
                inserts_in_queue: number("inserts_in_queue"),
                log_max_index: number("log_max_index"),
                log_pointer: number("log_pointer"),
                total_replicas: number("total_replicas"),
                active_replicas: number("active_replicas"),
                zookeeper_path: text(&answer, row, "zookeeper_path"),
                replica_name: text(&answer, row, "replica_name"),
                zookeeper_exception: text(&answer, row, "zookeeper_exception"),
                last_queue_update_exception: text(&answer, row, "last_queue_update_exception"),
                queue_exception: String::new(),
            };
            (key(&answer, row), replica)
        })
        .filter(|(key, _)| !scope.except.contains(key))
        .collect();
    let sql = format!("SELECT database, table, any(last_exception) AS problem FROM system.replication_queue WHERE {} AND last_exception != '' GROUP BY database, table", scope.condition());
    let queue = rows(context, host, &sql).await?;
    for row in 0..queue.rows.len() {
        if let Some(replica) = found.get_mut(&key(&queue, row)) {
            replica.queue_exception = text(&queue, row, "problem");
        }
    }
    Ok(found)
}

/// Keeper paths of the replicated tables of a host, without asking Keeper.
pub async fn keeper_paths(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, (String, String)>, SqlError> {
    let sql = format!("SELECT database, table, zookeeper_path, replica_name FROM system.replicas WHERE {}", scope.condition());
    let answer = rows(context, host, &sql).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), (text(&answer, row, "zookeeper_path"), text(&answer, row, "replica_name"))))
        .collect())
}

/// Rows of active parts. Servers before 22.8 know no lightweight DELETE and have no column for it (code 47).
pub async fn parts(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, Parts>, SqlError> {
    let sql = |masked: &str| {
        format!("SELECT database, table, sum(rows) AS held, {masked} AS masked FROM system.parts WHERE active AND {} GROUP BY database, table", scope.condition())
    };
    let answer = match rows(context, host, &sql("countIf(has_lightweight_delete)")).await {
        Err(error) if error.code() == Some(47) => rows(context, host, &sql("0")).await?,
        other => other?,
    };
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), Parts { rows: number(&answer, row, "held"), masked: number(&answer, row, "masked") }))
        .collect())
}

/// Detached parts by table: how many, and why.
pub async fn detached(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, (u64, String)>, SqlError> {
    let sql = format!("SELECT database, table, count() AS parts, arrayStringConcat(arraySort(groupUniqArray(ifNull(reason, ''))), ', ') AS reasons FROM system.detached_parts WHERE {} GROUP BY database, table", scope.condition());
    let answer = rows(context, host, &sql).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), (number(&answer, row, "parts"), text(&answer, row, "reasons"))))
        .collect())
}

/// Mutations that are not done, as (table, command, why the last try failed).
pub async fn mutations(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<Vec<(Key, String, String)>, SqlError> {
    let sql = format!("SELECT database, table, command, latest_fail_reason FROM system.mutations WHERE NOT is_done AND {} ORDER BY database, table, mutation_id", scope.condition());
    let answer = rows(context, host, &sql).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), text(&answer, row, "command"), text(&answer, row, "latest_fail_reason")))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(engine: &str, create: &str) -> LiveTable {
        LiveTable { engine: engine.to_owned(), uuid: String::new(), create_query: create.to_owned() }
    }

    #[test]
    fn what_has_rows_of_its_own() {
        let inner = live("MaterializedView", "CREATE MATERIALIZED VIEW d.mv (`id` UInt8) ENGINE = SummingMergeTree ORDER BY id AS SELECT 1 AS id");
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
        assert!(live("MergeTree", "CREATE TABLE t (`a` AggregateFunction(sum, UInt64)) ENGINE = MergeTree").holds_states());
        assert!(!live("MergeTree", "CREATE TABLE t (`a` SimpleAggregateFunction(sum, UInt64)) ENGINE = MergeTree").holds_states());
    }

    #[test]
    fn hidden_tables_and_exceptions_are_left_out() {
        let scope = Scope { databases: vec!["a'b".to_owned()], except: vec![("a'b".to_owned(), "x".to_owned())] };
        assert_eq!(scope.condition(), "database IN ('a\\'b')");
        let holds = |database: &str, name: &str| scope.holds(&(database.to_owned(), name.to_owned()));
        assert!(holds("a'b", "t") && !holds("a'b", "x") && !holds("c", "t") && !holds("a'b", ".inner_id.1"));
    }
}
