//! Looks at the tables of a server: three statements, however many there are.

use std::collections::HashMap;

use serde_json::Value;

use super::observe::{Asker, NO_UUID, OWN};
use super::ports::{Answer, SqlError};
use crate::model::observed::Table;
use crate::model::tables::Tables;

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
    let mut tables: Vec<Table> = all.into_records(COLUMNS).map(table).collect();
    let parts = asker
        .ask(&format!(
            "SELECT database, table, count() AS parts, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database NOT IN {OWN} GROUP BY database, table"
        ))
        .await?;
    let by_name = names(&parts);
    for table in tables.iter_mut().filter(|table| table.engine.ends_with("MergeTree")) {
        let number = |column| by_name.get(&key(table)).and_then(|row| parts.number(*row, column)).unwrap_or(0);
        let (rows, bytes, count) = (number("rows"), number("bytes"), number("parts"));
        (table.rows, table.bytes, table.parts) = (Some(rows), Some(bytes), count);
    }
    let replicas = asker
        .optional(
            "SELECT database, table, zookeeper_path, replica_name, is_readonly, total_replicas FROM system.replicas",
        )
        .await?;
    let by_name = names(&replicas);
    for table in &mut tables {
        let Some(row) = by_name.get(&key(table)).copied() else { continue };
        table.zookeeper_path = replicas.text(row, "zookeeper_path");
        table.replica_name = replicas.text(row, "replica_name");
        table.is_readonly = replicas.number(row, "is_readonly") == Some(1);
        table.total_replicas = replicas.number(row, "total_replicas");
    }
    Ok(tables.into())
}

/// A row with the values of [`COLUMNS`].
fn table([database, name, engine, engine_full, uuid, create_query, rows, bytes]: [Value; 8]) -> Table {
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
        engine_full: text(engine_full).unwrap_or_default().into(),
        uuid: text(uuid).unwrap_or_else(|| NO_UUID.to_owned()),
        create_query: text(create_query).unwrap_or_default().into(),
        rows: number(rows),
        bytes: number(bytes),
        ..Table::default()
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
