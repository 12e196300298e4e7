//! What a statement takes away, and the world as it leaves it.

use super::arguments::Parsed;
use crate::model::observed::{Database, HostWorld, Table, TargetWorld};
use crate::plan::classify::{Change, Classified, Losing, Name};
use crate::plan::operation::Loss;
use crate::plan::sql::{literal, qualified};

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
    /// Tables that lose rows: what the plan rests on, as (subject, value, query).
    pub facts: Vec<(String, String, String)>,
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
    match &class.change {
        Change::DropTables { names, if_exists } => {
            let names: Vec<_> = names.iter().map(resolve).collect();
            drop_tables(host, &names, *if_exists, class.losing == Losing::Nothing)
        }
        Change::DropDatabase { name, if_exists } => drop_database(host, name, *if_exists),
        Change::Truncate { name, if_exists } => truncate(target, at, &resolve(name), *if_exists),
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
pub fn inserts_twice(target: &TargetWorld, hosts: &[usize], class: &Classified, database: Option<&str>) -> Option<String> {
    let Change::Insert { name } = &class.change else { return None };
    let database = name.database.as_deref().or(database)?;
    let mut paths: Vec<(&str, &str)> = Vec::new();
    for host in hosts.iter().filter_map(|at| target.hosts.get(*at)) {
        let Some(table) = host.table(database, &name.name) else { continue };
        if !table.engine.starts_with("Replicated") {
            continue;
        }
        if paths.iter().any(|(shard, _)| *shard == host.shard) {
            return Some(format!("{} is replicated, and the rows would be inserted on several replicas of shard {}", table.full_name(), host.shard));
        }
        paths.push((&host.shard, &host.name.0));
    }
    None
}

fn drop_tables(host: &mut HostWorld, names: &[(String, String)], if_exists: bool, keeps_rows: bool) -> Result<Simulated, Impossible> {
    let mut done = Simulated::default();
    let mut conditions = Vec::new();
    for (database, name) in names {
        let Some(table) = host.table(database, name).cloned() else {
            missing(host, database, name, if_exists)?;
            continue;
        };
        let mut condition = format!("(database = {} AND name = {}", literal(database), literal(name));
        if is_uuid(&table.uuid) {
            condition.push_str(&format!(" AND uuid = {}", literal(&table.uuid)));
        }
        conditions.push(condition + ")");
        if !keeps_rows {
            for lost in with_inner(host, &table) {
                done.charge(&lost);
            }
        }
        let inner = inner_names(&table);
        host.tables.retain(|other| other.database != table.database || (other.name != table.name && !inner.contains(&other.name)));
    }
    done.before = if conditions.is_empty() { "missing".to_owned() } else { rows_words(done.loss) };
    done.after = "gone".to_owned();
    if !conditions.is_empty() {
        done.promise = Some((format!("SELECT count() FROM system.tables WHERE {}", conditions.join(" OR ")), 0));
    }
    Ok(done)
}

fn drop_database(host: &mut HostWorld, name: &str, if_exists: bool) -> Result<Simulated, Impossible> {
    let Some(database) = host.databases.remove(name) else {
        missing_database(name, if_exists)?;
        return Ok(Simulated { before: "missing".to_owned(), after: "gone".to_owned(), ..Simulated::default() });
    };
    let mut done = Simulated::default();
    for table in host.tables_of(name) {
        done.charge(table);
    }
    host.tables.retain(|table| table.database != name);
    let mut query = format!("SELECT count() FROM system.databases WHERE name = {}", literal(name));
    if is_uuid(&database.uuid) {
        query.push_str(&format!(" AND uuid = {}", literal(&database.uuid)));
    }
    done.before = rows_words(done.loss);
    done.after = "gone".to_owned();
    done.promise = Some((query, 0));
    Ok(done)
}

fn truncate(target: &mut TargetWorld, at: usize, (database, name): &(String, String), if_exists: bool) -> Result<Simulated, Impossible> {
    let Some(host) = target.hosts.get(at) else { return Ok(Simulated::default()) };
    let Some(table) = host.table(database, name).cloned() else {
        missing(host, database, name, if_exists)?;
        return Ok(Simulated { before: "missing".to_owned(), after: "missing".to_owned(), ..Simulated::default() });
    };
    let mut done = Simulated::default();
    empty_everywhere(target, at, &table, &mut done);
    done.before = rows_words(done.loss);
    done.after = "0 rows".to_owned();
    if table.holds_rows() {
        done.promise = Some((format!("SELECT count() FROM {}", qualified(database, name)), 0));
    }
    Ok(done)
}

fn truncate_database(target: &mut TargetWorld, at: usize, name: &str, if_exists: bool) -> Result<Simulated, Impossible> {
    let Some(host) = target.hosts.get(at) else { return Ok(Simulated::default()) };
    if !host.databases.contains_key(name) {
        missing_database(name, if_exists)?;
    }
    let tables: Vec<Table> = host.tables_of(name).cloned().collect();
    let mut done = Simulated::default();
    for table in &tables {
        empty_everywhere(target, at, table, &mut done);
    }
    done.before = rows_words(done.loss);
    done.after = "at most the same tables, without rows".to_owned();
    Ok(done)
}

/// Empties a table (and what a materialized view keeps) on this host, and on every replica that shares its Keeper
/// path: a TRUNCATE of a replicated table reaches all of them.
fn empty_everywhere(target: &mut TargetWorld, at: usize, table: &Table, done: &mut Simulated) {
    let Some(host) = target.hosts.get(at) else { return };
    let affected: Vec<(String, String, Option<String>)> = with_inner(host, table)
        .into_iter()
        .map(|one| (one.database.clone(), one.name.clone(), one.zookeeper_path.clone()))
        .collect();
    for (place, other) in target.hosts.iter_mut().enumerate() {
        for victim in &mut other.tables {
            let hit = affected.iter().any(|(database, name, path)| match path {
                Some(path) => victim.zookeeper_path.as_ref() == Some(path),
                None => place == at && victim.database == *database && victim.name == *name,
            });
            if hit && victim.holds_rows() {
                done.charge(victim);
                victim.rows = Some(0);
                victim.bytes = Some(0);
            }
        }
    }
}

fn at_most(target: &TargetWorld, at: usize, (database, name): &(String, String), counted: &mut Vec<String>) -> Simulated {
    let mut done = Simulated { at_most: true, ..Simulated::default() };
    let table = target.hosts.get(at).and_then(|host| host.table(database, name).map(|table| (host, table)));
    let Some((host, table)) = table else {
        return Simulated { before: "missing".to_owned(), ..Simulated::default() };
    };
    match &table.zookeeper_path {
        Some(path) if counted.contains(path) => {}
        Some(path) => {
            counted.push(path.clone());
            let replicas = target.hosts.iter().flat_map(|host| &host.tables);
            for replica in replicas.filter(|replica| replica.zookeeper_path.as_ref() == Some(path)) {
                done.charge(replica);
            }
        }
        None => with_inner(host, table).into_iter().for_each(|one| done.charge(&one)),
    }
    done.before = format!("at most {}", rows_words(done.loss));
    done
}

fn create_database(host: &mut HostWorld, name: &str, if_not_exists: bool, engine: &str) -> Result<Simulated, Impossible> {
    let query = format!("SELECT count() FROM system.databases WHERE name = {}", literal(name));
    let exists = host.databases.contains_key(name);
    if exists && !if_not_exists {
        return Err(Impossible {
            what: format!("the database `{name}` exists already"),
            expected: "no database of that name".to_owned(),
            found: format!("one with engine {}", host.databases.get(name).map_or("", |found| found.engine.as_str())),
            evidence: query,
            action: "remove the statement, or write CREATE DATABASE IF NOT EXISTS".to_owned(),
        });
    }
    if !exists {
        host.databases.insert(name.to_owned(), Database { engine: engine.to_owned(), uuid: String::new() });
    }
    let before = if exists { "exists" } else { "missing" }.to_owned();
    Ok(Simulated { before, after: "exists".to_owned(), promise: Some((query, 1)), ..Simulated::default() })
}

fn create_table(host: &mut HostWorld, (database, name): &(String, String), if_not_exists: bool, engine: &str, filled: bool, text: &str) -> Result<Simulated, Impossible> {
    let query = format!("SELECT count() FROM system.tables WHERE database = {} AND name = {}", literal(database), literal(name));
    let found = host.table(database, name).map(|table| table.engine.clone());
    if let (Some(found), false) = (&found, if_not_exists) {
        return Err(Impossible {
            what: format!("`{database}.{name}` exists already"),
            expected: "nothing of that name".to_owned(),
            found: format!("a table with engine {found}"),
            evidence: query,
            action: "remove the statement, or write IF NOT EXISTS".to_owned(),
        });
    }
    if !host.databases.contains_key(database) && database != "system" {
        return Err(Impossible {
            what: format!("the database `{database}` of `{name}` does not exist"),
            expected: format!("a database `{database}` at this step"),
            found: "none, neither now nor from an earlier step".to_owned(),
            evidence: "SELECT name FROM system.databases".to_owned(),
            action: "create the database in an earlier step".to_owned(),
        });
    }
    if found.is_none() {
        host.tables.push(Table {
            database: database.clone(),
            name: name.clone(),
            engine: engine.to_owned(),
            create_query: text.to_owned(),
            rows: (!filled).then_some(0),
            ..Table::default()
        });
        host.tables.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
    }
    let before = if found.is_some() { "exists" } else { "missing" }.to_owned();
    let promise = (!filled).then_some((query, 1));
    Ok(Simulated { before, after: "exists".to_owned(), promise, ..Simulated::default() })
}

impl Simulated {
    fn charge(&mut self, table: &Table) {
        if !table.holds_rows() {
            return;
        }
        let rows = table.rows.unwrap_or(0);
        self.loss = self.loss.plus(Loss {
            tables: u64::from(rows > 0 || table.rows.is_none()),
            rows,
            bytes: table.bytes.unwrap_or(0),
            keeper_nodes: 0,
        });
        if is_uuid(&table.uuid) {
            self.facts.push((
                format!("rows of {} that are taken away", table.full_name()),
                format!("{rows} rows, uuid {}", table.uuid),
                format!("SELECT total_rows, uuid FROM system.tables WHERE database = {} AND name = {}", literal(&table.database), literal(&table.name)),
            ));
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
    let evidence = format!("SELECT engine FROM system.tables WHERE database = {} AND name = {}", literal(database), literal(name));
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
        (rows, 1) => format!("{rows} rows"),
        (rows, copies) => format!("{rows} rows in {copies} tables or copies"),
    }
}
