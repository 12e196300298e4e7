//! Looks at the tables of a server: three statements, however many there are.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use foldhash::HashMap;
use serde_json::Value;

use super::observe::{Asker, NO_UUID, OWN};
use super::ports::{Answer, SqlError};
use super::untold::{MUTATION, count_untold};
use crate::model::observed::{ReplicationState, Table};
use crate::model::tables::Tables;
use crate::model::text::Text;
use crate::plan::convert::mask;

/// Columns of `system.tables` that are kept. A server has three times as many, and each costs memory for every table.
const COLUMNS: [&str; 8] =
    ["database", "name", "engine", "engine_full", "uuid", "create_table_query", "total_rows", "total_bytes"];

pub(super) async fn observe_tables(asker: &Asker<'_>) -> Result<Tables, SqlError> {
    let named = |columns: &str| {
        format!(
            "SELECT {columns} FROM system.tables WHERE database NOT IN {OWN} AND NOT is_temporary ORDER BY database, name"
        )
    };
    let all = asker.newer(&named(&COLUMNS.join(", ")), &named("*")).await?;
    let mut tables: Vec<Table> = all.into_records(COLUMNS).map(|row| table(row, asker.definitions)).collect();
    let parts = asker
        .ask(&format!(
            "SELECT database, table, sum(part_count) AS parts, count() AS partitions, sum(part_rows) AS rows, sum(part_bytes) AS bytes, \
             toString(groupBitXorIf(cityHash64(partition_id, highest, mutation), part_rows > 0)) AS content FROM \
             (SELECT database, table, partition_id, count() AS part_count, sum(rows) AS part_rows, sum(bytes_on_disk) AS part_bytes, \
             maxIf(max_block_number, rows > 0) AS highest, maxIf({MUTATION}, rows > 0) AS mutation FROM system.parts WHERE active AND database NOT IN {OWN} \
             GROUP BY database, table, partition_id) GROUP BY database, table"
        ))
        .await?;
    let by_name = names(&parts);
    for table in tables.iter_mut().filter(|table| table.engine.ends_with("MergeTree")) {
        let row = by_name.get(&key(table)).copied();
        let number = |column| row.and_then(|row| parts.number(row, column)).unwrap_or(0);
        let (rows, bytes) = (number("rows"), number("bytes"));
        (table.rows, table.bytes) = (Some(rows), Some(bytes));
        (table.parts, table.partitions) = (number("parts"), number("partitions"));
        // Empty parts are removed by themselves.
        table.content = row.and_then(|row| parts.text(row, "content")).filter(|_| rows > 0);
    }
    let replicas = replicas(asker).await?;
    let by_name = names(&replicas);
    for table in &mut tables {
        let Some(row) = by_name.get(&key(table)).copied() else { continue };
        table.zookeeper_path = replicas.text(row, "zookeeper_path");
        table.replica_name = replicas.text(row, "replica_name");
        table.is_readonly = replicas.number(row, "is_readonly") == Some(1);
        table.total_replicas = replicas.number(row, "total_replicas");
        let number = |column: &str| replicas.number(row, column).unwrap_or_default();
        table.replication = Some(ReplicationState {
            active_replicas: number("active_replicas"),
            queue_size: number("queue_size"),
            absolute_delay: number("absolute_delay"),
            is_session_expired: number("is_session_expired") == 1,
            lost_parts: replicas.number(row, "lost_part_count"),
        });
    }
    count_untold(asker, &mut tables).await?;
    Ok(tables.into())
}

/// Older versions do not tell of lost parts.
async fn replicas(asker: &Asker<'_>) -> Result<Answer, SqlError> {
    let query = |more: &str| {
        format!(
            "SELECT database, table, zookeeper_path, replica_name, is_readonly, total_replicas, active_replicas, queue_size, absolute_delay, is_session_expired{more} FROM system.replicas"
        )
    };
    match asker.ask(&query(", lost_part_count")).await {
        Err(error) if matches!(error.code(), Some(47 | 60)) => asker.optional(&query("")).await,
        other => other,
    }
}

/// A row with the values of [`COLUMNS`].
fn table(
    [database, name, engine, engine_full, uuid, create_query, rows, bytes]: [Value; 8],
    definitions: &MaskedDefinitions,
) -> Table {
    let text = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    let number = |value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    Table {
        database: text(database).unwrap_or_default(),
        name: text(name).unwrap_or_default(),
        engine: text(engine).unwrap_or_default(),
        engine_full: definitions.masked(text(engine_full)),
        uuid: text(uuid).unwrap_or_else(|| NO_UUID.to_owned()),
        create_query: definitions.masked(text(create_query)),
        rows: number(rows),
        bytes: number(bytes),
        ..Table::default()
    }
}

/// Definitions as the servers told them, and without the passwords and keys in them. Replicas of a table have the same
/// one: it is read once and kept once.
#[derive(Default)]
pub(super) struct MaskedDefinitions(Mutex<HashMap<Text, Text>>);

impl MaskedDefinitions {
    fn masked(&self, text: Option<String>) -> Text {
        let Some(text) = text else { return Text::default() };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(masked) = known.get(text.as_str()) {
            return masked.clone();
        }
        let told = Text::from(text);
        let masked = match mask(&told) {
            Cow::Borrowed(_) => told.clone(),
            Cow::Owned(masked) => masked.into(),
        };
        known.insert(told, masked.clone());
        masked
    }
}

fn key(table: &Table) -> (&str, &str) {
    (&table.database, &table.name)
}

/// The rows of an answer by database and table.
fn names(answer: &Answer) -> HashMap<(&str, &str), usize> {
    let text = |row, column| answer.get(row, column).and_then(Value::as_str);
    (0..answer.rows.len()).filter_map(|row| Some(((text(row, "database")?, text(row, "table")?), row))).collect()
}
