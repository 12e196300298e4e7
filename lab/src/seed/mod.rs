//! Data sets, made by the engine itself: the same settings always make the same rows.

mod script;

use std::time::Instant;

use crate::error::LabError;
use crate::http::Client;
use crate::text;

/// Oldest server that has what the data set needs (Map, projections, SYSTEM statements on dictionaries).
const OLDEST_MAJOR: u32 = 23;
/// Migrations that the product of the data set has gone through.
const MIGRATIONS: u32 = 87;

/// What the tracing data set is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Database to fill; made when it is not there.
    pub database: String,
    /// Rows over the main tables together, about.
    pub rows: u64,
    /// The same seed makes the same data.
    pub seed: u64,
    /// Leaves the newest migration begun and not done.
    pub dirty: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { database: "default".to_owned(), rows: 2_000_000, seed: 1, dirty: false }
    }
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// Name, engine and rows of each table; no rows for what holds none of its own.
    pub tables: Vec<(String, String, Option<u64>)>,
}

impl Seeded {
    /// Rows over all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().filter_map(|(_, _, rows)| *rows).sum()
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut rows = vec![["TABLE", "ENGINE", "ROWS"].map(str::to_owned)];
        for (name, engine, count) in &self.tables {
            rows.push([name.clone(), engine.clone(), count.map_or_else(|| "-".to_owned(), |n| n.to_string())]);
        }
        rows.push(["total".to_owned(), String::new(), self.rows().to_string()]);
        text::table(&rows)
    }
}

/// Fills a database of a node; refuses one that holds tables already.
pub fn tracing(client: &Client, settings: &Settings, say: &mut dyn FnMut(&str)) -> Result<Seeded, LabError> {
    let begin = Instant::now();
    check_version(client)?;
    let name = settings.database.as_str();
    client.query(&format!("CREATE DATABASE IF NOT EXISTS {}", identifier(name)))?;
    let tables = client.query(&format!("SELECT count() FROM system.tables WHERE database = {}", literal(name)))?;
    if tables.trim() != "0" {
        return Err(LabError::Invalid(format!(
            "expected the database `{name}` to be empty, it holds {} tables\n  help: nothing was changed; \
             `--database OTHER` fills another one, `DROP DATABASE {} SYNC` empties this one",
            tables.trim(),
            identifier(name)
        )));
    }
    let unfinished = u32::from(settings.dirty);
    let values = [
        // The name stands inside a string literal in the script.
        ("database", name.replace('\\', "\\\\").replace('\'', "\\'")),
        ("rows", settings.rows.to_string()),
        ("seed", settings.seed.to_string()),
        ("migrations", MIGRATIONS.to_string()),
        ("unfinished", unfinished.to_string()),
    ];
    for (what, text) in script::TRACING {
        say(&format!("{what} ..."));
        for statement in script::statements(text, &values) {
            client.query_in(name, &statement)?;
        }
    }
    let seeded = count(client, name)?;
    say(&format!("{} rows in {:.1} s", seeded.rows(), begin.elapsed().as_secs_f64()));
    Ok(seeded)
}

fn check_version(client: &Client) -> Result<(), LabError> {
    let version = client.query("SELECT version()")?;
    let major: u32 = version.split('.').next().and_then(|word| word.parse().ok()).unwrap_or_default();
    if major >= OLDEST_MAJOR {
        return Ok(());
    }
    Err(LabError::Invalid(format!(
        "expected ClickHouse {OLDEST_MAJOR} or newer for this data set, the node runs {}\n  help: \
         `clickferry-lab up --engine embedded` starts nodes that have it",
        version.trim()
    )))
}

fn count(client: &Client, database: &str) -> Result<Seeded, LabError> {
    // Hidden tables of views are counted at their views.
    let list = client.query(&format!(
        "SELECT name, engine, ifNull(toString(total_rows), '') FROM system.tables WHERE database = {} \
         AND NOT startsWith(name, '.inner') ORDER BY name FORMAT TSVRaw",
        literal(database)
    ))?;
    let mut tables = Vec::new();
    for line in list.lines() {
        let mut fields = line.split('\t');
        let (Some(name), Some(engine)) = (fields.next(), fields.next()) else {
            continue;
        };
        let mut rows = fields.next().and_then(|n| n.parse().ok());
        if engine == "TinyLog" {
            let counted = client.query_in(database, &format!("SELECT count() FROM {}", identifier(name)))?;
            rows = counted.trim().parse().ok();
        }
        tables.push((name.to_owned(), engine.to_owned(), rows));
    }
    Ok(Seeded { tables })
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_sums_what_has_rows() {
        let seeded = Seeded {
            tables: vec![
                ("runs".to_owned(), "MergeTree".to_owned(), Some(5)),
                ("view".to_owned(), "View".to_owned(), None),
                ("sessions".to_owned(), "MergeTree".to_owned(), Some(2)),
            ],
        };
        assert_eq!(seeded.rows(), 7);
        assert!(seeded.table().lines().nth(2).unwrap().ends_with('-'), "{}", seeded.table());
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(identifier("a`b"), "`a\\`b`");
        assert_eq!(literal("a'b"), "'a\\'b'");
    }
}
