//! What CREATE adds.

use super::{Impossible, Simulated};
use crate::model::observed::{Database, HostWorld, Table};
use crate::plan::sql::literal;

pub(super) fn create_database(
    host: &mut HostWorld,
    name: &str,
    if_not_exists: bool,
    engine: &str,
) -> Result<Simulated, Impossible> {
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

pub(super) fn create_table(
    host: &mut HostWorld,
    (database, name): &(String, String),
    if_not_exists: bool,
    engine: &str,
    filled: bool,
    text: &str,
) -> Result<Simulated, Impossible> {
    let query = format!(
        "SELECT count() FROM system.tables WHERE database = {} AND name = {}",
        literal(database),
        literal(name)
    );
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
        host.tables.add([Table {
            database: database.clone(),
            name: name.clone(),
            engine: engine.to_owned(),
            create_query: text.into(),
            rows: (!filled).then_some(0),
            ..Table::default()
        }]);
    }
    let before = if found.is_some() { "exists" } else { "missing" }.to_owned();
    let promise = (!filled).then_some((query, 1));
    Ok(Simulated { before, after: "exists".to_owned(), promise, ..Simulated::default() })
}
