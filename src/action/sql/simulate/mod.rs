//! What a statement takes away, and the world as it leaves it.

mod create;
mod remove;

use create::{create_database, create_table};
use remove::{at_most, drop_database, drop_tables, truncate, truncate_database};

use super::arguments::Parsed;
use super::charged::{Charged, Whole};
use crate::action::facts;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::{count, number};
use crate::plan::classify::{Change, Classified, Losing, Name};
use crate::plan::fact::Fact;
use crate::plan::operation::Loss;
use crate::plan::sql::literal;

/// What a statement does on one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulated {
    /// What it takes away.
    pub loss: Loss,
    /// Whether that is an upper bound.
    pub at_most: bool,
    /// State before, in a few words.
    pub before: String,
    /// State after, in a few words.
    pub after: String,
    /// A query whose single value tells whether it took effect, and that value.
    pub promise: Option<(String, u64)>,
    /// Tables that lose rows, on whichever host: what the plan rests on.
    pub facts: Vec<Fact>,
    /// The same tables for the gate, without those that earlier steps make.
    pub charged: Vec<Charged>,
    /// The database that goes as a whole.
    pub whole: Option<Whole>,
    /// What a reviewer should know besides.
    pub notes: Vec<String>,
}

/// Why a statement cannot work: expected, found, the statement that shows it, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impossible {
    /// What is wrong.
    pub what: String,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
    /// The read-only statement that shows it.
    pub evidence: String,
    /// What to do.
    pub action: String,
}

/// Plays one statement on host `at`. `counted` holds the Keeper paths whose replicas this statement has been
/// charged with already, since it reaches all of them from one host.
pub fn simulate(
    target: &mut TargetWorld,
    at: usize,
    statement: &Parsed,
    database: Option<&str>,
    counted: &mut Vec<String>,
) -> Result<Simulated, Impossible> {
    let class = &statement.class;
    let Some(host) = target.hosts.get_mut(at) else { return Ok(Simulated::default()) };
    let resolve = |name: &Name| -> (String, String) {
        let database = name.database.as_deref().or(database).unwrap_or("system");
        (database.to_owned(), name.name.clone())
    };
    // A statement may carry the limit itself, where the author has weighed it.
    let sets_limit = statement.text.contains("max_table_size_to_drop");
    match &class.change {
        Change::DropTables { names, if_exists } => {
            let names: Vec<_> = names.iter().map(resolve).collect();
            drop_tables(host, &names, *if_exists, (class.losing == Losing::Nothing, sets_limit))
        }
        Change::DropDatabase { name, if_exists } => drop_database(host, name, *if_exists),
        Change::Truncate { name, if_exists } => truncate(target, at, &resolve(name), (*if_exists, sets_limit)),
        Change::TruncateDatabase { name, if_exists } => truncate_database(target, at, name, *if_exists),
        Change::CreateDatabase { name, if_not_exists, engine } => create_database(host, name, *if_not_exists, engine),
        Change::CreateTable { name, if_not_exists, engine, filled } => {
            create_table(host, &resolve(name), *if_not_exists, engine, *filled, &statement.text)
        }
        Change::Insert { .. } | Change::Other => match &class.losing {
            Losing::AtMost(name) => Ok(at_most(target, at, &resolve(name), counted)),
            _ => Ok(Simulated::default()),
        },
    }
}

/// Why an INSERT on several replicas of one table is refused.
#[must_use]
pub fn inserts_twice(
    target: &TargetWorld,
    hosts: &[usize],
    class: &Classified,
    database: Option<&str>,
) -> Option<String> {
    let Change::Insert { name } = &class.change else { return None };
    let database = name.database.as_deref().or(database)?;
    let mut paths: Vec<(&str, &str)> = Vec::new();
    for host in hosts.iter().filter_map(|at| target.hosts.get(*at)) {
        let Some(table) = host.table(database, &name.name) else { continue };
        if !table.engine.starts_with("Replicated") {
            continue;
        }
        if paths.iter().any(|(shard, _)| *shard == host.shard) {
            return Some(format!(
                "{} is replicated, and the rows would be inserted on several replicas of shard {}",
                table.full_name(),
                host.shard
            ));
        }
        paths.push((&host.shard, &host.name.0));
    }
    None
}

impl Simulated {
    /// A table that is dropped.
    fn charge(&mut self, host: &HostName, table: &Table) {
        if table.holds_data() {
            self.lose(host, table);
        }
    }

    /// A table that stays and loses rows.
    fn charge_emptied(&mut self, host: &HostName, table: &Table) {
        if table.loses_when_emptied() {
            self.lose(host, table);
        }
    }

    fn lose(&mut self, host: &HostName, table: &Table) {
        let rows = table.rows.unwrap_or(0);
        self.loss = self.loss.plus(Loss {
            tables: u64::from(rows > 0 || table.rows.is_none()),
            rows,
            bytes: table.bytes.unwrap_or(0),
            keeper_nodes: 0,
        });
        self.facts.extend(facts::loses(host, table, "to lose rows"));
        self.facts.extend(facts::replicas(host, table));
        self.notes.extend(facts::untold_rows(host, table));
        if !table.uuid.is_empty() {
            self.charged.push(Charged {
                host: host.clone(),
                database: table.database.clone(),
                name: table.name.clone(),
                uuid: table.uuid.clone(),
                rows: table.rows,
                fed: false,
            });
        }
    }
}

/// A table and what stands behind it where it is a materialized view that keeps its rows itself.
fn with_inner(host: &HostWorld, table: &Table) -> Vec<Table> {
    let inner = inner_names(table);
    let hidden = host.tables_of(&table.database).filter(|other| inner.contains(&other.name));
    std::iter::once(table).chain(hidden).cloned().collect()
}

fn inner_names(table: &Table) -> Vec<String> {
    if table.engine != "MaterializedView" {
        return Vec::new();
    }
    vec![format!(".inner_id.{}", table.uuid), format!(".inner.{}", table.name)]
}

fn missing(host: &HostWorld, database: &str, name: &str, if_exists: bool) -> Result<(), Impossible> {
    let evidence =
        format!("SELECT engine FROM system.tables WHERE database = {} AND name = {}", literal(database), literal(name));
    if matches!(database, "system" | "information_schema" | "INFORMATION_SCHEMA") {
        return Err(Impossible {
            what: format!("`{database}.{name}` belongs to the server"),
            expected: "a table of the runbook's own databases".to_owned(),
            found: "a database whose tables are not observed".to_owned(),
            evidence,
            action: "name the database of the table; tables of the server are not dropped or emptied".to_owned(),
        });
    }
    if if_exists {
        return Ok(());
    }
    let found = if host.databases.contains_key(database) { "no table of that name" } else { "no such database" };
    Err(Impossible {
        what: format!("`{database}.{name}` does not exist"),
        expected: "the table, at this step".to_owned(),
        found: found.to_owned(),
        evidence,
        action: "correct the name, remove the statement, or write IF EXISTS".to_owned(),
    })
}

fn missing_database(name: &str, if_exists: bool) -> Result<(), Impossible> {
    if if_exists && !matches!(name, "system" | "information_schema" | "INFORMATION_SCHEMA") {
        return Ok(());
    }
    Err(Impossible {
        what: format!("the database `{name}` does not exist, or belongs to the server"),
        expected: "a database of the runbook's own, at this step".to_owned(),
        found: "no such database".to_owned(),
        evidence: "SELECT name FROM system.databases".to_owned(),
        action: "correct the name, remove the statement, or write IF EXISTS".to_owned(),
    })
}

/// Engines without UUIDs show all zeros; objects that a plan will create show none.
fn is_uuid(text: &str) -> bool {
    text.chars().any(|c| c != '0' && c != '-')
}

/// Every replica's copy counts.
fn rows_words(loss: Loss) -> String {
    match (loss.rows, loss.tables) {
        (0, 0) => "no rows".to_owned(),
        (rows, 1) => count(rows, "row"),
        (rows, copies) => format!("{} in {} tables or copies", count(rows, "row"), number(copies)),
    }
}
