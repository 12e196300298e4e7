//! What a backup takes of a source: its tables, the facts the plan rests on, and what BACKUP leaves out.

use serde::{Deserialize, Serialize};

use crate::action::facts;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::engine::manifest::{inner_engine_of, is_refreshable};
use crate::model::formats::parse_table;
use crate::model::observed::{HostWorld, Table};
use crate::plan::fact::Fact;
use crate::plan::sql::{identifier, literal, qualified};

use super::BackupArguments;

/// One table as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PlannedTable {
    /// Database.
    pub(crate) database: String,
    /// Name.
    pub(crate) table: String,
    /// Engine.
    pub(crate) engine: String,
}

/// Whether BACKUP writes the rows of an engine. Seen with 26.7: parts, the Log family and Memory are written; of
/// Join, Set, Buffer and EmbeddedRocksDB only the definition is.
pub(crate) fn takes_rows(engine: &str) -> bool {
    engine.ends_with("MergeTree") || matches!(engine, "Log" | "TinyLog" | "StripeLog" | "Memory")
}

/// Whether a backup of this table holds rows: its own, or those of its hidden table.
pub(crate) fn has_rows(engine: &str, create_query: &str) -> bool {
    takes_rows(engine)
        || (!is_refreshable(create_query) && inner_engine_of(create_query).is_some_and(|inner| takes_rows(&inner)))
}

/// What is asked for on one host.
pub(crate) struct Selection<'a> {
    /// Tables, views and dictionaries, sorted; hidden tables of views are part of their views.
    pub(crate) tables: Vec<&'a Table>,
    /// The elements of the statement.
    pub(crate) elements: String,
}

/// Finds the tables of the step on one host.
pub(crate) fn select<'a>(
    context: &PlanContext<'_>,
    arguments: &'a BackupArguments,
    host: &'a HostWorld,
) -> Result<Selection<'a>, Vec<Refusal>> {
    let mut problems = Vec::new();
    let excepted: Vec<(String, String)> =
        arguments.except_tables.iter().filter_map(|name| parse_table(name.as_str()).ok()).collect();
    let mut tables: Vec<&Table> = Vec::new();
    let mut databases: Vec<(&str, Vec<&str>)> = Vec::new();
    for database in &arguments.databases {
        let database = database.as_str();
        if !host.databases.contains_key(database) {
            problems.push(missing(
                context,
                host,
                &format!("the database {}", identifier(database)),
                "SELECT name FROM system.databases",
            ));
            continue;
        }
        let except: Vec<&str> =
            excepted.iter().filter(|(of, _)| of == database).map(|(_, name)| name.as_str()).collect();
        tables.extend(
            host.tables_of(database).filter(|table| !table.is_inner() && !except.contains(&table.name.as_str())),
        );
        databases.push((database, except));
    }
    let mut single: Vec<(String, String)> = Vec::new();
    for name in &arguments.tables {
        let Ok((database, table)) = parse_table(name.as_str()) else { continue };
        match host.table(&database, &table) {
            Some(found) if !found.is_inner() => {
                tables.push(found);
                single.push((database, table));
            }
            _ => problems.push(missing(
                context,
                host,
                &format!("the table {}", qualified(&database, &table)),
                "SELECT database, name FROM system.tables",
            )),
        }
    }
    tables.sort_by(|a, b| (&a.database, &a.name).cmp(&(&b.database, &b.name)));
    tables.dedup_by(|a, b| a.database == b.database && a.name == b.name);
    if tables.is_empty() && problems.is_empty() {
        problems.push(
            context
                .refuse(
                    "there is nothing to back up",
                    "at least one table",
                    format!("none in what is selected on {}", host.name),
                    "correct `databases`, `tables` or `except_tables`",
                )
                .shown_by(format!("on {}: SELECT database, name FROM system.tables", host.name)),
        );
    }
    problems.extend(tables.iter().filter_map(|table| unusable(context, host, table)));
    if !problems.is_empty() {
        return Err(problems);
    }
    let elements = elements(&databases, &single, host);
    Ok(Selection { tables, elements })
}

/// `DATABASE a, TABLE b.c, ...`. The list behind EXCEPT TABLES swallows whatever follows a comma (62 SYNTAX_ERROR,
/// seen with 26.7), so one element at most can have it, and it stands last; other databases with exceptions become
/// lists of their tables.
fn elements(databases: &[(&str, Vec<&str>)], single: &[(String, String)], host: &HostWorld) -> String {
    let mut out = Vec::new();
    let mut last = None;
    for (database, except) in databases {
        if except.is_empty() {
            out.push(format!("DATABASE {}", identifier(database)));
            continue;
        }
        let list: Vec<String> = except.iter().map(|table| qualified(database, table)).collect();
        let before = last.replace((
            *database,
            except,
            format!("DATABASE {} EXCEPT TABLES {}", identifier(database), list.join(", ")),
        ));
        if let Some((database, except, _)) = before {
            let tables =
                host.tables_of(database).filter(|table| !table.is_inner() && !except.contains(&table.name.as_str()));
            out.extend(tables.map(|table| format!("TABLE {}", qualified(database, &table.name))));
        }
    }
    out.extend(single.iter().map(|(database, table)| format!("TABLE {}", qualified(database, table))));
    out.extend(last.map(|(_, _, element)| element));
    out.join(", ")
}

fn missing(context: &PlanContext<'_>, host: &HostWorld, what: &str, query: &str) -> Refusal {
    let mut refusal = context.refuse(
        format!("{what} does not exist on {}", host.name),
        "it is there when the backup starts",
        "it is not",
        "correct the name in the runbook, or use the environment meant for it",
    );
    refusal.evidence = format!("on {}: {query}", host.name);
    refusal
}

fn unusable(context: &PlanContext<'_>, host: &HostWorld, table: &Table) -> Option<Refusal> {
    if table.name.contains("${") {
        return Some(context.refuse(
            format!("the name of the table {} cannot be told from a late value", table.full_name()),
            "names without `${`",
            table.name.clone(),
            "leave the table out with `except_tables`, or rename it",
        ));
    }
    table.is_readonly.then(|| {
        let mut refusal = context.refuse(
            format!("the table {} is read-only on {}", table.full_name(), host.name),
            "a replica that has its Keeper and all of its parts",
            "is_readonly = 1",
            "repair the replica first; its copy may be behind the others",
        );
        refusal.evidence = format!(
            "on {}: SELECT is_readonly, zookeeper_exception FROM system.replicas WHERE database = {} AND table = {}",
            host.name,
            literal(&table.database),
            literal(&table.name)
        );
        refusal
    })
}

/// Facts: which tables there are and how they are defined. Not their rows: a source may be written to.
pub(crate) fn facts(arguments: &BackupArguments, host: &HostWorld) -> Vec<Fact> {
    let mut facts = Vec::new();
    for database in arguments.databases.iter().map(|database| database.as_str()) {
        facts.extend(facts::tables_of(host, database));
        let is_excepted = |table: &Table| {
            arguments
                .except_tables
                .iter()
                .filter_map(|name| parse_table(name.as_str()).ok())
                .any(|(of, name)| of == table.database && name == table.name)
        };
        let tables = host.tables_of(database).filter(|table| !table.is_inner() && !is_excepted(table));
        facts.extend(facts::definitions(host, database, tables.map(|table| table.name.as_str())));
    }
    for name in &arguments.tables {
        let Ok((database, table)) = parse_table(name.as_str()) else { continue };
        facts.extend(facts::definition(host, &database, &table));
    }
    facts
}

/// What a reviewer should know: rows that stay behind.
pub(crate) fn notes(
    context: &PlanContext<'_>,
    host: &HostWorld,
    replicas: usize,
    selection: &Selection<'_>,
) -> Vec<String> {
    let names = |wanted: &dyn Fn(&Table) -> bool| -> Vec<String> {
        selection
            .tables
            .iter()
            .filter(|table| wanted(table))
            .map(|table| format!("{} ({})", table.full_name(), table.engine))
            .collect()
    };
    let mut notes = Vec::new();
    let left = names(&|table| (table.holds_rows() || table.engine == "Buffer") && !takes_rows(&table.engine));
    if !left.is_empty() {
        notes.push(format!(
            "step `{}`: BACKUP takes the definition and not the rows of {} on {}",
            context.step,
            left.join(", "),
            host.name
        ));
    }
    let refreshed = names(&|table| is_refreshable(&table.create_query));
    if !refreshed.is_empty() {
        notes.push(format!(
            "step `{}`: the rows of refreshable views are not taken: {} on {}; refresh them after the restore",
            context.step,
            refreshed.join(", "),
            host.name
        ));
    }
    let own = names(&|table| replicas > 1 && takes_rows(&table.engine) && !table.engine.starts_with("Replicated"));
    if !own.is_empty() {
        notes.push(format!(
            "step `{}`: not replicated, so only the copy on {} is taken: {}",
            context.step,
            host.name,
            own.join(", ")
        ));
    }
    notes
}
