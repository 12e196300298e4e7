//! Facts that several actions state of databases and tables, each in one form: two steps that rest on the same thing
//! say the same.
//!
//! A table or database without a UUID is made by an earlier step of the plan and no fact of the world as it is now.
//! Neither is a table that an earlier step gives its name.

use std::collections::HashMap;

use rayon::prelude::*;

use super::column_words::words_of;
use crate::engine::untold::{MUTATION, is_counted};
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Table};
use crate::model::text::Text;
use crate::model::words::count;
use crate::plan::SHARE;
use crate::plan::fact::Fact;
use crate::plan::plan_file::sha256;
use crate::plan::sql::{identifier, literal, qualified};

/// So many names are listed in the value of a fact.
pub(super) const LISTED: usize = 12;
/// What a fact says of a thing that is not there.
pub const ABSENT: &str = "not there";

/// The first characters of a digest.
pub fn short(text: &str) -> String {
    sha256(text.as_bytes()).chars().take(12).collect()
}

fn by_name(database: &str, name: &str) -> String {
    format!("database = {} AND name = {}", literal(database), literal(name))
}

/// Whether a database of this name is made by an earlier step.
fn is_planned(host: &HostWorld, database: &str) -> bool {
    host.databases.get(database).is_some_and(|found| found.uuid.is_empty())
}

/// How a table is defined, or that it is not there.
pub fn definition(host: &HostWorld, database: &str, name: &str) -> Option<Fact> {
    Definitions::default().of_table(host, database, name)
}

/// As [`definition`], of many tables of a database.
pub fn definitions<'n>(host: &HostWorld, database: &str, names: impl Iterator<Item = &'n str>) -> Vec<Fact> {
    let names: Vec<&str> = names.collect();
    names.par_iter().with_min_len(SHARE).filter_map(|name| definition(host, database, name)).collect()
}

/// What facts say of one table on several hosts. Its replicas have the same definition, which is read once for all of
/// them, and the same texts, which are kept once.
#[derive(Default)]
pub struct Definitions {
    words: HashMap<Text, String>,
    texts: Vec<Text>,
}

impl Definitions {
    /// As [`definition`].
    pub fn of_table(&mut self, host: &HostWorld, database: &str, name: &str) -> Option<Fact> {
        let value = match host.table(database, name) {
            Some(table) if !table.is_seen() => return None,
            Some(table) => self.words(table),
            None if is_planned(host, database) => return None,
            None => ABSENT.to_owned(),
        };
        let query = format!("SELECT uuid, create_table_query FROM system.tables WHERE {}", by_name(database, name));
        Some(Fact::new(&host.name, format!("definition of {database}.{name}"), value, query))
    }

    /// A table whose rows are taken away, with `what` happens to it: what it holds, and how it is defined. One that an
    /// earlier step renames is told by the name that it has now; that step states its definition.
    pub fn of_loss(&mut self, host: &HostName, table: &Table, what: &str) -> Option<Fact> {
        if table.uuid.is_empty() {
            return None;
        }
        let renamed = table.renamed_from.as_ref();
        let (database, name) = renamed.map_or((&table.database, &table.name), |(database, name)| (database, name));
        let by_then = renamed.map(|_| format!(", {} by then,", table.full_name())).unwrap_or_default();
        let (defined, column) = match renamed {
            Some(_) => (format!("UUID {}", table.uuid), ""),
            None => (self.words(table), ", create_table_query"),
        };
        let fact = Fact::new(
            host,
            format!("table {database}.{name}{by_then} that is {what}"),
            format!("{}{}, {defined}", rows_words(table), content_words(table)),
            content_query(column, database, name, table),
        );
        Some(self.shared(fact))
    }

    /// The columns stand in it, so that a column that came, went or changed is seen; the digest is of the whole
    /// statement.
    fn words(&mut self, table: &Table) -> String {
        if !self.words.contains_key(&table.create_query) {
            self.words.insert(table.create_query.clone(), words_of(&table.create_query));
        }
        format!("UUID {}, {}", table.uuid, self.words.get(&table.create_query).map_or("", String::as_str))
    }

    /// As [`replicas`].
    pub fn of_replicas(&mut self, host: &HostName, table: &Table) -> Option<Fact> {
        replicas(host, table).map(|fact| self.shared(fact))
    }

    fn shared(&mut self, fact: Fact) -> Fact {
        let mut kept = |text: Text| {
            self.texts.iter().find(|known| **known == text).cloned().unwrap_or_else(|| {
                self.texts.push(text.clone());
                text
            })
        };
        Fact { subject: kept(fact.subject), query: kept(fact.query), ..fact }
    }
}

/// A database: its engine and UUID, or that it is not there.
pub fn database(host: &HostWorld, name: &str) -> Option<Fact> {
    let value = match host.databases.get(name) {
        Some(found) if found.uuid.is_empty() => return None,
        Some(found) => format!("{}, UUID {}", found.engine, found.uuid),
        None => ABSENT.to_owned(),
    };
    let query = format!("SELECT engine, uuid FROM system.databases WHERE name = {}", literal(name));
    Some(Fact::new(&host.name, format!("database {name}"), value, query))
}

/// Which tables, views and dictionaries a database holds, without the hidden ones of views.
pub fn tables_of(host: &HostWorld, database: &str) -> Option<Fact> {
    let value = match host.databases.get(database) {
        Some(found) if found.uuid.is_empty() => return None,
        Some(_) => {
            let tables = host.tables_of(database).filter(|table| !table.is_inner() && !table.uuid.is_empty());
            listed(tables.map(|table| table.name.as_str()), "table")
        }
        None => "no such database".to_owned(),
    };
    let query = format!(
        "SELECT name FROM system.tables WHERE database = {} AND NOT startsWith(name, '.inner') ORDER BY name",
        literal(database)
    );
    Some(Fact::new(&host.name, format!("tables of {}", identifier(database)), value, query))
}

/// `3 tables: a, b, c`; of a long list the first names, with a digest of all.
pub fn listed<'n>(names: impl Iterator<Item = &'n str>, noun: &str) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let plural = if names.len() == 1 { "" } else { "s" };
    let head = format!("{} {noun}{plural}", names.len());
    match names.len() {
        0 => format!("no {noun}s"),
        number if number > LISTED => {
            let more = number - LISTED;
            format!("{head}: {} and {more} more ({})", names[..LISTED].join(", "), short(&names.join("\n")))
        }
        _ => format!("{head}: {}", names.join(", ")),
    }
}

/// As [`Definitions::of_loss`], for one table.
pub fn loses(host: &HostName, table: &Table, what: &str) -> Option<Fact> {
    Definitions::default().of_loss(host, table, what)
}

/// As many rows may be other rows. The highest block and the last mutation of each partition tell, and merges keep both.
fn content_words(table: &Table) -> String {
    table.content.as_ref().map(|content| format!(", content {}", short(content))).unwrap_or_default()
}

fn content_query(column: &str, database: &str, name: &str, table: &Table) -> String {
    let of_table = by_name(database, name);
    let mut query = format!("SELECT uuid, total_rows, total_bytes{column} FROM system.tables WHERE {of_table}");
    query += &counting(database, name, table);
    if table.content.is_none() {
        return query;
    }
    format!(
        "{query}; SELECT partition_id, max(max_block_number), max({MUTATION}) FROM system.parts WHERE active AND rows > 0 \
         AND database = {} AND table = {} GROUP BY partition_id ORDER BY partition_id",
        literal(database),
        literal(name)
    )
}

/// What shows the rows that were counted because the server does not tell them.
fn counting(database: &str, name: &str, table: &Table) -> String {
    let is_shown = table.rows.is_some() && is_counted(&table.engine, table.bytes);
    if is_shown { format!("; SELECT count() FROM {}", qualified(database, name)) } else { String::new() }
}

/// What goes with a table and stands in no count of rows.
pub fn left_over(host: &HostWorld, table: &Table) -> Option<String> {
    let name = table.full_name();
    let parts = host.detached_parts.get(&name).map(|parts| count(*parts, "detached part"));
    let files = host
        .waiting_files
        .get(&name)
        .map(|files| format!("{} of rows that it has not sent to other servers yet", count(*files, "file")));
    let rows = host
        .waiting_rows
        .get(&name)
        .map(|rows| format!("{} that it has not written to its table yet", count(*rows, "row")));
    let found: Vec<String> = [parts, files, rows].into_iter().flatten().collect();
    (!found.is_empty()).then(|| format!("{}: with {name} go {}, which no total counts", host.name, found.join(" and ")))
}

/// A table that is dropped and whose rows nobody could count.
pub fn untold(host: &HostName, table: &Table) -> Option<String> {
    if table.holds_data() { untold_rows(host, table) } else { None }
}

/// Rows that nobody could count, of the table or behind it.
pub fn untold_rows(host: &HostName, table: &Table) -> Option<String> {
    let is_untold = table.rows.is_none() && !table.uuid.is_empty();
    is_untold.then(|| {
        let bytes = table.bytes.map(|bytes| format!(", {}", count(bytes, "byte"))).unwrap_or_default();
        format!(
            "{host}: the rows of {} ({}{bytes}) cannot be told: it is lost with all it holds, and no total counts them",
            table.full_name(),
            table.engine
        )
    })
}

/// The statement that shows the limit of [`too_large`].
pub const SIZE_LIMIT_QUERY: &str =
    "SELECT name, value FROM system.server_settings WHERE name = 'max_table_size_to_drop'";

/// The server's own limit, where it would keep a table from being dropped or emptied. Only the MergeTree family has it.
pub fn too_large(host: &HostWorld, table: &Table) -> Option<u64> {
    let limit = host.max_drop_bytes.filter(|limit| *limit > 0)?;
    let is_larger = table.engine.ends_with("MergeTree") && table.bytes.is_some_and(|bytes| bytes > limit);
    is_larger.then_some(limit)
}

/// What a table holds where nothing may be added to it.
pub fn rows(host: &HostName, table: &Table) -> Option<Fact> {
    if !table.is_seen() {
        return None;
    }
    let (database, name) = (&table.database, &table.name);
    let mut query = format!("SELECT total_rows, total_bytes FROM system.tables WHERE {}", by_name(database, name));
    query += &counting(database, name, table);
    Some(Fact::new(host, format!("rows of {database}.{name}"), rows_words(table), query))
}

/// Engines that do not count their rows are told apart by their bytes.
fn rows_words(table: &Table) -> String {
    match (table.holds_data(), table.rows, table.bytes) {
        (false, ..) => "no rows of its own".to_owned(),
        (true, Some(1), _) => "1 row".to_owned(),
        (true, Some(rows), _) => format!("{rows} rows"),
        (true, None, Some(bytes)) => format!("{bytes} bytes, rows not told"),
        (true, None, None) => "rows not told".to_owned(),
    }
}

/// How many replicas of a replicated table there are. One on a server that the environment does not name counts too:
/// what is done to the table reaches it, or leaves it behind.
pub fn replicas(host: &HostName, table: &Table) -> Option<Fact> {
    let number = table.total_replicas.filter(|_| table.is_seen())?;
    let (database, name) = (&table.database, &table.name);
    Some(Fact::new(
        host,
        format!("replicas of {database}.{name}"),
        format!("{number} in Keeper"),
        format!(
            "SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = {} AND table = {}",
            literal(database),
            literal(name)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::planning::{host, table};
    use crate::model::observed::Database;

    fn values(facts: [Option<Fact>; 4]) -> Vec<String> {
        facts.into_iter().map(|fact| fact.map_or_else(|| "-".to_owned(), |fact| fact.value)).collect()
    }

    #[test]
    fn what_an_earlier_step_makes_is_no_fact_and_what_is_missing_is_one() {
        let mut host = host("r1");
        let seen = |host: &HostWorld| {
            let lost = host.table("d", "t").and_then(|table| loses(&host.name, table, "dropped"));
            values([database(host, "d"), tables_of(host, "d"), definition(host, "d", "t"), lost])
        };
        assert_eq!(seen(&host), ["not there", "no such database", "not there", "-"]);
        host.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: String::new() });
        assert_eq!(seen(&host), ["-", "-", "-", "-"]);
        host.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: "u".into() });
        host.tables.add([table("d", "t", "MergeTree", Some(1)), table("d", ".inner.v", "MergeTree", Some(1))]);
        let definition = "UUID uuid-t, definition e3b0c44298fc";
        assert_eq!(seen(&host), ["Atomic, UUID u", "1 table: t", definition, &format!("1 row, {definition}")]);
        host.tables.change("d", "t", |table| table.uuid.clear());
        assert_eq!(seen(&host), ["Atomic, UUID u", "no tables", "-", "-"]);
    }

    #[test]
    fn a_row_more_is_seen_whatever_the_engine_tells() {
        let words = |engine: &str, rows, bytes| rows_words(&Table { bytes, ..table("d", "t", engine, rows) });
        assert_eq!(words("MergeTree", Some(2), Some(9)), "2 rows");
        assert_eq!(words("TinyLog", None, Some(9)), "9 bytes, rows not told");
        assert_eq!(words("Join", None, None), "rows not told");
        assert_eq!(words("View", None, None), "no rows of its own");
    }

    #[test]
    fn of_many_columns_some_are_told() {
        let wide = Table {
            create_query: format!("CREATE TABLE t ({})", ["`a` Int8"; 14].join(", ")).into(),
            ..table("d", "t", "Log", None)
        };
        let words = Definitions::default().words(&wide);
        assert!(words.starts_with("UUID uuid-t, `a` Int8, ") && words.contains(" and 2 more; definition "), "{words}");
    }

    #[test]
    fn long_lists_are_cut_and_still_told_apart() {
        let names = |last: &str| -> String {
            let all: Vec<String> = (10..30).map(|number| format!("t{number}")).chain([last.to_owned()]).collect();
            listed(all.iter().map(String::as_str), "table")
        };
        assert!(
            names("x").starts_with("21 tables: t10, t11,") && names("x").contains("and 9 more ("),
            "{}",
            names("x")
        );
        assert_ne!(names("x"), names("y"));
    }
}
