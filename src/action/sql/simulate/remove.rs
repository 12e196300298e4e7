//! What DROP, TRUNCATE and the like take away.

use super::super::charged::Whole;
use super::{Impossible, Simulated, inner_names, is_uuid, missing, missing_database, rows_words, with_inner};
use crate::action::facts;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::count;
use crate::plan::sql::{literal, qualified};

pub(super) fn drop_tables(
    host: &mut HostWorld,
    names: &[(String, String)],
    if_exists: bool,
    (keeps_rows, sets_limit): (bool, bool),
) -> Result<Simulated, Impossible> {
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
                if !sets_limit {
                    check_size(host, &lost)?;
                }
                done.charge(&host.name, &lost);
                done.notes.extend(facts::left_over(host, &lost));
            }
        }
        let inner = inner_names(&table);
        host.tables.retain(|other| {
            other.database != table.database || (other.name != table.name && !inner.contains(&other.name))
        });
    }
    done.before = if conditions.is_empty() { "missing".to_owned() } else { rows_words(done.loss) };
    done.after = "gone".to_owned();
    if !conditions.is_empty() {
        done.promise = Some((format!("SELECT count() FROM system.tables WHERE {}", conditions.join(" OR ")), 0));
    }
    Ok(done)
}

pub(super) fn drop_database(host: &mut HostWorld, name: &str, if_exists: bool) -> Result<Simulated, Impossible> {
    let whole = Whole::of(host, name);
    for table in host.tables_of(name) {
        check_size(host, table)?;
    }
    let Some(database) = host.databases.remove(name) else {
        missing_database(name, if_exists)?;
        return Ok(Simulated { before: "missing".to_owned(), after: "gone".to_owned(), ..Simulated::default() });
    };
    let mut done = Simulated { whole, ..Simulated::default() };
    for table in host.tables_of(name) {
        done.charge(&host.name, table);
        done.notes.extend(facts::left_over(host, table));
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

pub(super) fn truncate(
    target: &mut TargetWorld,
    at: usize,
    (database, name): &(String, String),
    (if_exists, sets_limit): (bool, bool),
) -> Result<Simulated, Impossible> {
    let Some(host) = target.hosts.get(at) else { return Ok(Simulated::default()) };
    let Some(table) = host.table(database, name).cloned() else {
        missing(host, database, name, if_exists)?;
        return Ok(Simulated { before: "missing".to_owned(), after: "missing".to_owned(), ..Simulated::default() });
    };
    if !sets_limit {
        for lost in with_inner(host, &table) {
            check_size(host, &lost)?;
        }
    }
    let mut done = Simulated::default();
    empty_everywhere(target, at, &table, &mut done);
    done.before = rows_words(done.loss);
    done.after = "0 rows".to_owned();
    if table.holds_rows() {
        done.promise = Some((format!("SELECT count() FROM {}", qualified(database, name)), 0));
    }
    Ok(done)
}

pub(super) fn truncate_database(
    target: &mut TargetWorld,
    at: usize,
    name: &str,
    if_exists: bool,
) -> Result<Simulated, Impossible> {
    let Some(host) = target.hosts.get(at) else { return Ok(Simulated::default()) };
    if !host.databases.contains_key(name) {
        missing_database(name, if_exists)?;
    }
    let tables: Vec<Table> = host.tables_of(name).cloned().collect();
    let mut done = Simulated { whole: Whole::of(host, name), ..Simulated::default() };
    for table in &tables {
        check_size(host, table)?;
    }
    for table in &tables {
        empty_everywhere(target, at, table, &mut done);
    }
    done.before = rows_words(done.loss);
    done.after = "at most the same tables, without rows".to_owned();
    Ok(done)
}

/// Empties a table (and what a materialized view keeps) on this host, and on every replica that shares its Keeper
/// path: a TRUNCATE of a replicated table reaches all of them.
pub(super) fn empty_everywhere(target: &mut TargetWorld, at: usize, table: &Table, done: &mut Simulated) {
    let Some(host) = target.hosts.get(at) else { return };
    let affected: Vec<(String, String, Option<String>)> = with_inner(host, table)
        .into_iter()
        .map(|one| (one.database.clone(), one.name.clone(), one.zookeeper_path.clone()))
        .collect();
    for (place, other) in target.hosts.iter_mut().enumerate() {
        let hit = |victim: &Table| {
            affected.iter().any(|(database, name, path)| match path {
                Some(path) => victim.zookeeper_path.as_ref() == Some(path),
                None => place == at && victim.database == *database && victim.name == *name,
            })
        };
        let name = other.name.clone();
        other.tables.change_all(
            |victim| victim.loses_when_emptied() && hit(victim),
            |victim| {
                done.charge_emptied(&name, victim);
                victim.rows = Some(0);
                victim.bytes = Some(0);
                victim.content = None;
            },
        );
    }
}

pub(super) fn at_most(
    target: &TargetWorld,
    at: usize,
    (database, name): &(String, String),
    counted: &mut Vec<String>,
) -> Simulated {
    let mut done = Simulated { at_most: true, ..Simulated::default() };
    let table = target.hosts.get(at).and_then(|host| host.table(database, name).map(|table| (host, table)));
    let Some((host, table)) = table else {
        return Simulated { before: "missing".to_owned(), ..Simulated::default() };
    };
    match &table.zookeeper_path {
        Some(path) if counted.contains(path) => {}
        Some(path) => {
            counted.push(path.clone());
            let replicas = target.hosts.iter().flat_map(|host| host.tables.iter().map(move |table| (host, table)));
            for (host, replica) in replicas.filter(|(_, replica)| replica.zookeeper_path.as_ref() == Some(path)) {
                done.charge_emptied(&host.name, replica);
            }
        }
        None => with_inner(host, table).into_iter().for_each(|one| done.charge_emptied(&host.name, &one)),
    }
    done.before = format!("at most {}", rows_words(done.loss));
    done
}

/// A server has a limit of its own, and what a statement on several tables did before it met it stays done.
fn check_size(host: &HostWorld, table: &Table) -> Result<(), Impossible> {
    let Some(limit) = facts::too_large(host, table) else { return Ok(()) };
    Err(Impossible {
        what: format!("`{}` is larger than the server lets anybody drop or empty (359)", table.full_name()),
        expected: format!("at most {} (`max_table_size_to_drop`)", count(limit, "byte")),
        found: count(table.bytes.unwrap_or(0), "byte"),
        evidence: facts::SIZE_LIMIT_QUERY.to_owned(),
        action: "if this loss is meant, raise `max_table_size_to_drop` on this server for the time of the migration, \
                 then plan again"
            .to_owned(),
    })
}
