//! What `system.tables` does not tell of a table: rows that nobody has counted, and what waits to be written elsewhere.

use std::collections::BTreeMap;

use super::observe::Asker;
use super::ports::SqlError;
use crate::model::observed::{HostWorld, Table};
use crate::plan::sql::{literal, qualified};

/// Engines that keep rows on the server itself and do not always say how many. Counting them asks no other system and
/// takes nothing out of a queue.
const COUNTED: &[&str] = &["EmbeddedRocksDB", "File", "Join", "Log", "StripeLog", "TinyLog"];
/// A larger table is not read only to be counted.
const MOST_BYTES: u64 = 1 << 30;
/// Tables of one statement.
const TOGETHER: usize = 100;

/// The mutation a part has been through, 0 for none: its data version is its first block otherwise.
pub const MUTATION: &str = "if(data_version > min_block_number, data_version, 0)";

/// Whether a table's rows are counted with a read where the server does not tell them.
#[must_use]
pub fn is_counted(engine: &str, bytes: Option<u64>) -> bool {
    COUNTED.contains(&engine) && bytes.is_some_and(|bytes| bytes <= MOST_BYTES)
}

/// Counts several tables, each given as database and name, at once.
#[must_use]
pub fn count_query(tables: &[(&str, &str)]) -> String {
    let count = |(database, name): &(&str, &str)| {
        format!(
            "SELECT {} AS database, {} AS name, count() AS rows FROM {}",
            literal(database),
            literal(name),
            qualified(database, name)
        )
    };
    tables.iter().map(count).collect::<Vec<_>>().join(" UNION ALL ")
}

/// Fills in the rows that the server does not tell. A table that cannot be read stays as it is.
pub(super) async fn count_untold(asker: &Asker<'_>, tables: &mut [Table]) -> Result<(), SqlError> {
    let wanted: Vec<(String, String)> = tables
        .iter()
        .filter(|table| table.rows.is_none() && is_counted(&table.engine, table.bytes))
        .map(|table| (table.database.clone(), table.name.clone()))
        .collect();
    let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
    for some in wanted.chunks(TOGETHER) {
        let named: Vec<(&str, &str)> = some.iter().map(|(database, name)| (database.as_str(), name.as_str())).collect();
        if counted(asker, &named, &mut found).await? {
            continue;
        }
        for one in named {
            counted(asker, &[one], &mut found).await?;
        }
    }
    for table in tables.iter_mut().filter(|table| table.rows.is_none()) {
        table.rows = found.get(&(table.database.clone(), table.name.clone())).copied();
    }
    Ok(())
}

/// Whether the server counted them: one without a right, or damaged, keeps all of a statement from being answered.
async fn counted(
    asker: &Asker<'_>,
    tables: &[(&str, &str)],
    found: &mut BTreeMap<(String, String), u64>,
) -> Result<bool, SqlError> {
    let answer = match asker.optional(&count_query(tables)).await {
        Ok(answer) => answer,
        Err(error) if error.code().is_some() => return Ok(false),
        Err(error) => return Err(error),
    };
    for row in 0..answer.rows.len() {
        if let (Some(database), Some(name), Some(rows)) =
            (answer.text(row, "database"), answer.text(row, "name"), answer.number(row, "rows"))
        {
            found.insert((database, name), rows);
        }
    }
    Ok(!answer.rows.is_empty())
}

/// Fills in what waits to be written elsewhere, and the limit of what may be dropped.
pub(super) async fn observe_more(asker: &Asker<'_>, world: &mut HostWorld) -> Result<(), SqlError> {
    let files = asker
        .optional(
            "SELECT concat(database, '.', table) AS name, sum(data_files) AS files FROM system.distribution_queue \
             WHERE data_files > 0 GROUP BY database, table ORDER BY name",
        )
        .await?;
    for row in 0..files.rows.len() {
        if let (Some(name), Some(number)) = (files.text(row, "name"), files.number(row, "files")) {
            world.waiting_files.insert(name, number);
        }
    }
    world.waiting_rows =
        world.tables.iter().filter_map(|table| Some((table.full_name(), waiting(world, table)?))).collect();
    world.max_drop_bytes = world.settings.get("max_table_size_to_drop").and_then(|value| value.parse().ok());
    Ok(())
}

/// Rows that a `Buffer` counts and its table does not.
fn waiting(world: &HostWorld, table: &Table) -> Option<u64> {
    if table.engine != "Buffer" {
        return None;
    }
    let arguments = table.engine_full.strip_prefix("Buffer(")?;
    let mut arguments = arguments.split(',').map(|word| word.trim().trim_matches(|c| matches!(c, '\'' | '`' | '"')));
    let (database, name) = (arguments.next()?, arguments.next()?);
    let below = world.table(database, name).and_then(|below| below.rows).unwrap_or(0);
    table.rows?.checked_sub(below).filter(|rows| *rows > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_waits_with_what_its_table_does_not_have() {
        let table = |name: &str, engine: &str, rows| Table {
            database: "d".into(),
            name: name.into(),
            engine: engine.into(),
            engine_full: "Buffer('d', 't', 16, 10, 100)".into(),
            rows,
            ..Table::default()
        };
        let world = HostWorld { tables: vec![table("t", "MergeTree", Some(7))].into(), ..HostWorld::default() };
        assert_eq!(waiting(&world, &table("b", "Buffer", Some(9))), Some(2));
        assert_eq!(waiting(&world, &table("b", "Buffer", Some(7))), None);
        assert_eq!(waiting(&world, &table("b", "Buffer", None)), None);
        assert_eq!(waiting(&world, &table("t", "MergeTree", Some(7))), None);
    }

    #[test]
    fn only_small_local_tables_are_counted() {
        assert!(
            is_counted("TinyLog", Some(34)) && !is_counted("TinyLog", None) && !is_counted("TinyLog", Some(2 << 30))
        );
        assert!(!is_counted("Kafka", Some(0)) && !is_counted("S3", Some(1)));
        let two = count_query(&[("d", "t"), ("d", "o'k")]);
        assert_eq!(two.matches(" UNION ALL ").count(), 1, "{two}");
        assert!(two.contains("'o\\'k' AS name") && two.contains("FROM `d`.`t`"), "{two}");
    }
}
