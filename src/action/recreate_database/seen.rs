//! A database and its tables as a server shows them.

use std::collections::BTreeMap;

use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::engine::untold::{count_query, is_counted};
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// A database as a server shows it.
pub struct Seen {
    pub engine: String,
    pub uuid: String,
}

pub fn database_query(database: &str) -> String {
    format!("SELECT engine, toString(uuid) AS uuid FROM system.databases WHERE name = {}", literal(database))
}

pub async fn seen(context: &RunContext<'_>, host: &HostName, database: &str) -> Result<Option<Seen>, SqlError> {
    let answer = context.read(host, database_query(database)).await?;
    Ok(answer.text(0, "uuid").map(|uuid| Seen { engine: answer.text(0, "engine").unwrap_or_default(), uuid }))
}

/// Names and rows of a database's tables, as the observation counts them.
pub async fn tables(
    context: &RunContext<'_>,
    host: &HostName,
    database: &str,
) -> Result<BTreeMap<String, (String, Option<u64>)>, SqlError> {
    let name = literal(database);
    let all = context
        .read(host, format!("SELECT name, engine, toString(uuid) AS uuid, total_rows, total_bytes FROM system.tables WHERE database = {name} AND NOT is_temporary"))
        .await?;
    let parts = context
        .read(
            host,
            format!(
                "SELECT table, sum(rows) AS rows FROM system.parts WHERE active AND database = {name} GROUP BY table"
            ),
        )
        .await?;
    let counted: BTreeMap<String, u64> =
        (0..parts.rows.len()).filter_map(|row| Some((parts.text(row, "table")?, parts.number(row, "rows")?))).collect();
    let mut tables = BTreeMap::new();
    for row in 0..all.rows.len() {
        let text = |column: &str| all.text(row, column).unwrap_or_default();
        let rows = if text("engine").ends_with("MergeTree") {
            Some(counted.get(&text("name")).copied().unwrap_or(0))
        } else {
            all.number(row, "total_rows")
        };
        let rows = match rows {
            // A few small ones; one that cannot be read is not told, as at planning.
            None if is_counted(&text("engine"), all.number(row, "total_bytes")) => {
                counted_now(context, host, database, &text("name")).await?
            }
            other => other,
        };
        tables.insert(text("name"), (text("uuid"), rows));
    }
    Ok(tables)
}

async fn counted_now(
    context: &RunContext<'_>,
    host: &HostName,
    database: &str,
    name: &str,
) -> Result<Option<u64>, SqlError> {
    match context.read(host, count_query(&[(database, name)])).await {
        Ok(answer) => Ok(answer.number(0, "rows")),
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
