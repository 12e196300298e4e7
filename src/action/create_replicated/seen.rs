//! What a server shows of one created object.

use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::model::words;
use crate::plan::convert::{differences, mask};
use crate::plan::sql::literal;

use super::gather::{column_words, columns_query};
use super::{CreateData, Place};

/// An object as `system.tables` shows it.
pub struct Seen {
    pub uuid: String,
    pub create_query: String,
}

/// A replica as `system.replicas` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenReplica {
    pub table: String,
    pub path: String,
    pub replica: String,
    pub is_readonly: bool,
    pub total: u64,
    pub active: u64,
}

pub fn table_query(database: &str, name: &str) -> String {
    format!(
        "SELECT name, toString(uuid) AS uuid, create_table_query FROM system.tables WHERE database = {} AND name = {}",
        literal(database),
        literal(name)
    )
}

pub fn uuids_query(database: &str) -> String {
    format!("SELECT name, toString(uuid) AS uuid FROM system.tables WHERE database = {}", literal(database))
}

pub fn replicas_query(database: &str) -> String {
    format!(
        "SELECT table, zookeeper_path, replica_name, is_readonly, total_replicas, active_replicas FROM system.replicas WHERE database = {}",
        literal(database)
    )
}

pub async fn object(context: &RunContext<'_>, host: &HostName, data: &CreateData) -> Result<Option<Seen>, SqlError> {
    let answer = context.read(host, table_query(&data.database, &data.name)).await?;
    Ok(answer.text(0, "uuid").map(|uuid| Seen {
        uuid,
        create_query: mask(&answer.text(0, "create_table_query").unwrap_or_default()).into_owned(),
    }))
}

/// In what an object differs from the promised one: definition and columns.
pub async fn object_differences(
    context: &RunContext<'_>,
    host: &HostName,
    data: &CreateData,
    seen: &Seen,
) -> Result<Vec<String>, SqlError> {
    let promised = context.operation.statements.first().map(|statement| statement.text.as_str()).unwrap_or_default();
    let macros = context.read(host, "SELECT macro, substitution FROM system.macros").await?;
    let macros = (0..macros.rows.len())
        .filter_map(|row| Some((macros.text(row, "macro")?, macros.text(row, "substitution")?)))
        .collect();
    let mut found = differences(promised, &seen.create_query, &macros);
    if !data.columns.is_empty() {
        let answer = context.read(host, columns_query(&data.database)).await?;
        let text = |row: usize, column: &str| answer.text(row, column).unwrap_or_default();
        let columns: Vec<String> = (0..answer.rows.len())
            .filter(|&row| text(row, "table") == data.name)
            .map(|row| column_words(&text(row, "name"), &text(row, "type"), &text(row, "default_kind")))
            .collect();
        found.extend(column_differences(&data.columns, &columns));
    }
    Ok(found)
}

/// Columns that are missing, new or of another type; a different order counts too.
pub fn column_differences(wanted: &[String], found: &[String]) -> Vec<String> {
    let mut differences: Vec<String> = wanted
        .iter()
        .filter(|column| !found.contains(column))
        .map(|column| format!("column `{column}` is missing"))
        .collect();
    differences.extend(
        found
            .iter()
            .filter(|column| !wanted.contains(column))
            .map(|column| format!("column `{column}` is not the source's")),
    );
    if differences.is_empty() && wanted != found {
        differences.push("the columns stand in another order".to_owned());
    }
    differences
}

pub async fn replicas(context: &RunContext<'_>, host: &HostName, database: &str) -> Result<Vec<SeenReplica>, SqlError> {
    let answer = context.read(host, replicas_query(database)).await?;
    Ok((0..answer.rows.len())
        .map(|row| {
            let text = |column: &str| answer.text(row, column).unwrap_or_default();
            let number = |column: &str| answer.number(row, column).unwrap_or(0);
            SeenReplica {
                table: text("table"),
                path: text("zookeeper_path"),
                replica: text("replica_name"),
                is_readonly: number("is_readonly") != 0,
                total: number("total_replicas"),
                active: number("active_replicas"),
            }
        })
        .collect())
}

/// In what a replica differs from its planned place; `None` for the number of replicas does not count them.
pub fn replica_differences(
    name: &str,
    uuid: &str,
    place: &Place,
    replicas: &[SeenReplica],
    count: Option<u64>,
) -> Vec<String> {
    // A hidden table is called after the view's UUID, in a database without UUIDs after its name.
    let is_it = |table: &str| {
        if place.is_inner {
            table == format!(".inner_id.{uuid}") || table == format!(".inner.{name}")
        } else {
            table == name
        }
    };
    let Some(found) = replicas.iter().find(|replica| is_it(&replica.table)) else {
        return vec![format!("`{name}` is not in system.replicas")];
    };
    let mut differences = Vec::new();
    if found.path != place.path || found.replica != place.replica {
        differences.push(format!(
            "`{name}` is at {} as {} instead of {} as {}",
            found.path, found.replica, place.path, place.replica
        ));
    }
    if found.is_readonly {
        differences.push(format!("`{name}` is read-only"));
    }
    if let Some(count) = count
        && (found.total != count || found.active != count)
    {
        differences.push(format!(
            "`{name}` has {}, {} of them active, instead of {count}",
            words::count(found.total, "replica"),
            found.active
        ));
    }
    differences
}
