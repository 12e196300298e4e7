//! What a host has: its tables, their replicas, parts and mutations, each in one query whatever their number.

use std::collections::BTreeMap;

use super::replica::Replica;
use super::table::{Key, LiveTable, Parts, Scope};
use crate::action::select::ask;
use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::plan::convert::mask;
use crate::plan::sql::literal;

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

/// The query that lists the tables of a host.
#[must_use]
pub fn tables_query(scope: &Scope) -> String {
    format!(
        "SELECT database, name AS table, engine, toString(uuid) AS uuid, create_table_query FROM system.tables WHERE {} ORDER BY database, name",
        scope.condition()
    )
}

/// The tables of a host.
pub async fn tables(
    context: &RunContext<'_>,
    host: &HostName,
    scope: &Scope,
) -> Result<BTreeMap<Key, LiveTable>, SqlError> {
    let answer = rows(context, host, &tables_query(scope)).await?;
    Ok((0..answer.rows.len())
        .map(|row| {
            let table = LiveTable {
                engine: text(&answer, row, "engine"),
                uuid: text(&answer, row, "uuid"),
                create_query: mask(&text(&answer, row, "create_table_query")).into_owned().into(),
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

/// The query that shows what is wrong with entries of the queues.
#[must_use]
pub fn queue_query(scope: &Scope) -> String {
    format!(
        "SELECT database, table, any(last_exception) AS problem FROM system.replication_queue WHERE {} AND last_exception != '' GROUP BY database, table",
        scope.condition()
    )
}

/// A condition on the columns `database` and `table`.
#[must_use]
pub fn of_table(key: &Key) -> String {
    format!("database = {} AND table = {}", literal(&key.0), literal(&key.1))
}

/// The query that shows the state of one replicated table.
#[must_use]
pub fn replica_query(key: &Key) -> String {
    format!("SELECT * FROM system.replicas WHERE {}", of_table(key))
}

/// The state of the replicated tables of a host, hidden tables of views included.
pub async fn replicas(
    context: &RunContext<'_>,
    host: &HostName,
    scope: &Scope,
) -> Result<BTreeMap<Key, Replica>, SqlError> {
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
    let queue = rows(context, host, &queue_query(scope)).await?;
    for row in 0..queue.rows.len() {
        if let Some(replica) = found.get_mut(&key(&queue, row)) {
            replica.queue_exception = text(&queue, row, "problem");
        }
    }
    Ok(found)
}

/// The query for the Keeper paths of replicated tables; the server answers it without asking Keeper.
#[must_use]
pub fn paths_query(scope: &Scope) -> String {
    format!("SELECT database, table, zookeeper_path, replica_name FROM system.replicas WHERE {}", scope.condition())
}

/// Keeper paths of the replicated tables of a host, without asking Keeper.
pub async fn keeper_paths(
    context: &RunContext<'_>,
    host: &HostName,
    scope: &Scope,
) -> Result<BTreeMap<Key, (String, String)>, SqlError> {
    let answer = rows(context, host, &paths_query(scope)).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), (text(&answer, row, "zookeeper_path"), text(&answer, row, "replica_name"))))
        .collect())
}

/// The query for the rows of active parts; without lightweight deletes for servers before 22.8, which have no column
/// for them (code 47).
#[must_use]
pub fn parts_query(scope: &Scope, deletes: bool) -> String {
    format!(
        "SELECT database, table, sum(rows) AS held, {} AS masked FROM system.parts WHERE active AND {} GROUP BY database, table",
        if deletes { "countIf(has_lightweight_delete)" } else { "0" },
        scope.condition()
    )
}

/// Rows of active parts.
pub async fn parts(context: &RunContext<'_>, host: &HostName, scope: &Scope) -> Result<BTreeMap<Key, Parts>, SqlError> {
    let answer = match rows(context, host, &parts_query(scope, true)).await {
        Err(error) if error.code() == Some(47) => rows(context, host, &parts_query(scope, false)).await?,
        other => other?,
    };
    Ok((0..answer.rows.len())
        .map(|row| {
            (key(&answer, row), Parts { rows: number(&answer, row, "held"), masked: number(&answer, row, "masked") })
        })
        .collect())
}

/// The query for detached parts.
#[must_use]
pub fn detached_query(scope: &Scope) -> String {
    format!(
        "SELECT database, table, count() AS parts, arrayStringConcat(arraySort(groupUniqArray(ifNull(reason, ''))), ', ') AS reasons FROM system.detached_parts WHERE {} GROUP BY database, table",
        scope.condition()
    )
}

/// Detached parts by table: how many, and why.
pub async fn detached(
    context: &RunContext<'_>,
    host: &HostName,
    scope: &Scope,
) -> Result<BTreeMap<Key, (u64, String)>, SqlError> {
    let answer = rows(context, host, &detached_query(scope)).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), (number(&answer, row, "parts"), text(&answer, row, "reasons"))))
        .collect())
}

/// The query for mutations that are not done.
#[must_use]
pub fn mutations_query(scope: &Scope) -> String {
    format!(
        "SELECT database, table, command, latest_fail_reason FROM system.mutations WHERE NOT is_done AND {} ORDER BY database, table, mutation_id",
        scope.condition()
    )
}

/// Mutations that are not done, as (table, command, why the last try failed).
pub async fn mutations(
    context: &RunContext<'_>,
    host: &HostName,
    scope: &Scope,
) -> Result<Vec<(Key, String, String)>, SqlError> {
    let answer = rows(context, host, &mutations_query(scope)).await?;
    Ok((0..answer.rows.len())
        .map(|row| (key(&answer, row), text(&answer, row, "command"), text(&answer, row, "latest_fail_reason")))
        .collect())
}
