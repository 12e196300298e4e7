//! Everything in the definitions, on the hosts and in Keeper that speaks against creating the tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Arguments;
use super::gather::Known;
use super::plan::Object;
use crate::action::clear_keeper::is_cleared;
use crate::action::gate::first_of;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::count_of;
use crate::plan::convert::{ObjectKind, Reason, differences};
use crate::plan::sql::{identifier, literal};

/// Shows the definitions of a database.
pub fn definitions_query(host: &HostWorld, database: &str) -> String {
    format!(
        "on {}: SELECT name, create_table_query FROM system.tables WHERE database = {}",
        host.name,
        literal(database)
    )
}

/// Statements that have no form for the target, one refusal for each reason.
pub fn of_statements(
    context: &PlanContext<'_>,
    source: &HostWorld,
    database: &str,
    refused: &BTreeMap<Reason, Vec<(String, String)>>,
) -> Vec<Refusal> {
    refused
        .iter()
        .map(|(reason, tables)| {
            let (noun, what, expected, instead) = match reason {
                Reason::Local => (
                    "table",
                    "whose rows would stay on one replica",
                    "engines of the MergeTree family",
                    "change their engine on the source",
                ),
                Reason::Queue => (
                    "table",
                    "that would take rows out of a queue as soon as it exists",
                    "no consumers before the data is moved",
                    "create them by hand after the move",
                ),
                Reason::Secret => (
                    "statement",
                    "with a password or key, shown or hidden",
                    "statements without secrets: a plan is read by people, and the new servers would need the secret in it",
                    "put the secret into a named collection of every server and name that in the definition on the source",
                ),
                Reason::Machine => (
                    "dictionary",
                    "filled from a file or program of the source's machine",
                    "sources that every new server reaches",
                    "copy the file or program to every new server and create them by hand",
                ),
                Reason::ArrayJoin => (
                    "materialized view",
                    "with the name of an arrayJoin among what it puts out, and no column for it",
                    "a query whose columns are those of the view (newer servers answer error 8, THERE_IS_NO_COLUMN)",
                    "change their query on the source into the form with ARRAY JOIN that stands behind each",
                ),
                Reason::OldSyntax => (
                    "table",
                    "in the old syntax of MergeTree, which has no ORDER BY",
                    "ENGINE = MergeTree ... ORDER BY",
                    "create them by hand with ORDER BY",
                ),
                Reason::Refreshable => (
                    "materialized view",
                    "with a refresh of its own",
                    "views that ClickHouse allows over replicated tables",
                    "create them by hand after the data is there",
                ),
                Reason::Unknown => (
                    "statement",
                    "not understood",
                    "tables, views and dictionaries of known engines",
                    "create them by hand",
                ),
            };
            let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
            let found: Vec<String> = tables.iter().map(|(name, found)| format!("{database}.{name}: {found}")).collect();
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let mut refusal = context.refuse(
                format!("{} {what}", count_of(tables.len(), noun)),
                expected,
                found.join("\n"),
                format!("leave them out with `except_tables: [{}]`, or {instead}", quoted.join(", ")),
            );
            refusal.evidence = definitions_query(source, database);
            refusal
        })
        .collect()
}

/// Names in `except_tables` that the source does not have.
pub fn of_exceptions(context: &PlanContext<'_>, arguments: &Arguments, source: &HostWorld) -> Vec<Refusal> {
    let database = arguments.database.as_str();
    let known: Vec<String> = source.tables_of(database).map(|table| table.name.clone()).collect();
    arguments
        .except_tables
        .iter()
        .filter(|entry| !known.iter().any(|name| name == arguments.bare(entry)))
        .map(|entry| {
            let mut refusal = context.refuse(
                format!("`except_tables` names `{entry}`"),
                format!("a table of {database} on {}", source.name),
                crate::model::schema_check::did_you_mean(arguments.bare(entry), &known)
                    .unwrap_or_else(|| "none of that name".to_owned()),
                "correct the name",
            );
            refusal.evidence = format!("on {}: SHOW TABLES FROM {}", source.name, identifier(database));
            refusal
        })
        .collect()
}

/// Objects that need one which will not be there. Plain views are created all the same, with a note, and so is what
/// only looks there when it is used.
pub fn of_needs(
    context: &mut PlanContext<'_>,
    target: &TargetWorld,
    database: &str,
    objects: &BTreeMap<String, Object>,
) -> Vec<Refusal> {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let missing = |pairs: &BTreeSet<(String, String)>| -> Vec<String> {
        pairs
            .iter()
            .filter(|(home, needed)| !(home == database && objects.contains_key(needed)))
            .filter(|(home, needed)| target.hosts.iter().any(|host| host.table(home, needed).is_none()))
            .map(|(home, needed)| format!("{home}.{needed}"))
            .collect()
    };
    for (name, object) in objects {
        let needed = missing(&object.dependencies.needed);
        let filled_from = missing(&object.dependencies.filled_from);
        let wished: Vec<String> = missing(&object.dependencies.wished)
            .into_iter()
            .filter(|wish| !needed.contains(wish) && !filled_from.contains(wish))
            .collect();
        if !wished.is_empty() {
            notes
                .push(format!("{database}.{name} names {}, which is not there on every new server", wished.join(", ")));
        }
        if !needed.is_empty() && object.created.kind == ObjectKind::View {
            notes
                .push(format!("{database}.{name} reads {}, which is not there on every new server", needed.join(", ")));
        } else if !needed.is_empty() || !filled_from.is_empty() {
            let missing = [needed, filled_from].concat();
            let mut refusal = context.refuse(
                format!("{database}.{name} needs what will not be there"),
                format!("{} on every host", missing.join(", ")),
                "left out, or in a database that no earlier step creates, or not on the source either",
                format!("leave \"{name}\" out too (`except_tables`), or create what it needs first"),
            );
            refusal.evidence = "on each host: SELECT database, name, engine FROM system.tables".to_owned();
            problems.push(refusal);
        }
    }
    context.notes.extend(notes);
    problems
}

/// Objects of the same name that are something else.
pub fn of_existing(
    context: &PlanContext<'_>,
    host: &HostWorld,
    database: &str,
    objects: &BTreeMap<String, Object>,
) -> Option<Refusal> {
    let mut found = Vec::new();
    for (name, object) in objects {
        let Some(existing) = host.table(database, name) else { continue };
        let differences = differences(&object.created.text, &existing.create_query, &host.identity.macros);
        if let Some(first) = differences.first() {
            found.push(format!("{database}.{name}: {first}"));
        }
    }
    if found.is_empty() {
        return None;
    }
    let mut refusal = context.refuse(
        format!("{} will be there on {} with another definition", count_of(found.len(), "object"), host.name),
        "no object of that name, or one with the definition to be created",
        first_of(&found, 10, "\n"),
        "drop them in an earlier step (`recreate_database`), or leave them out with `except_tables`",
    );
    refusal.evidence = definitions_query(host, database);
    Some(refusal)
}

/// What is left at the paths in Keeper when the step begins.
pub fn of_keeper(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    target: &TargetWorld,
    observed: &Known<'_>,
    objects: &BTreeMap<String, Object>,
) -> Vec<Refusal> {
    let role = arguments.on.as_str();
    let database = arguments.database.as_str();
    let (mut used, mut left) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let (standing, before) = (by_path(target), context.seen.targets.get(role).map(by_path).unwrap_or_default());
    for (host, name, object) in
        target.hosts.iter().flat_map(|host| objects.iter().map(move |(name, object)| (host, name, object)))
    {
        let Some((template, _)) = &object.created.replicated else { continue };
        let path = host.expand_macros(template);
        if path.contains('{') || !seen.insert(path.clone()) {
            continue;
        }
        // Tables that will stand at the path, besides the one that exists already under this name.
        let others: Vec<String> = at(&standing, &path)
            .iter()
            .filter(|(_, table)| !(table.database == database && (table.name == *name || table.is_inner())))
            .map(|(host, table)| format!("{} on {}", table.full_name(), host.name))
            .collect();
        if !others.is_empty() {
            used.push(format!("{path}: {}", others.join(", ")));
        }
        let Some(replicas) = observed.keeper.as_ref().and_then(|paths| paths.get(path.as_str())) else { continue };
        if is_cleared(context.promises, role, &path) {
            continue;
        }
        // A drop with SYNC takes its replica out of Keeper, and the path with the last one.
        let leaving = at(&before, &path);
        let leaves = |replica: &str| leaving.iter().any(|(_, table)| table.replica_name.as_deref() == Some(replica));
        let stale: Vec<&str> = replicas.iter().copied().filter(|replica| !leaves(replica)).collect();
        if !stale.is_empty() {
            left.push(format!("{path}: replicas {}", stale.join(", ")));
        } else if replicas.is_empty() {
            left.push(format!("{path}: no replicas"));
        }
    }
    let mut problems = Vec::new();
    if !used.is_empty() {
        let mut refusal = context.refuse(
            format!("{} Keeper paths are in use by other tables", used.len()),
            "no other table at the paths of the new ones",
            first_of(&used, 5, "\n"),
            "choose another `path`, or drop these tables first",
        );
        refusal.evidence = "on each host: SELECT database, table, zookeeper_path FROM system.replicas".to_owned();
        problems.push(refusal);
    }
    if let Some(first) = left.first() {
        let mut refusal = context.refuse(
            format!("metadata of earlier tables is left in Keeper at {} paths", left.len()),
            "nothing at the paths, or only replicas of tables that earlier steps drop",
            first_of(&left, 5, "\n"),
            "put a `clear_keeper` step for them before this one",
        );
        let path = first.split(": ").next().unwrap_or_default();
        refusal.evidence =
            format!("SELECT name, ctime FROM system.zookeeper WHERE path = {}", literal(&format!("{path}/replicas")));
        problems.push(refusal);
    }
    problems
}

/// Replicated tables by their Keeper path.
type ByPath<'w> = HashMap<&'w str, Vec<(&'w HostWorld, &'w Table)>>;

fn at<'t, 'w>(tables: &'t ByPath<'w>, path: &str) -> &'t [(&'w HostWorld, &'w Table)] {
    tables.get(path).map(Vec::as_slice).unwrap_or_default()
}

fn by_path(target: &TargetWorld) -> ByPath<'_> {
    let mut tables = ByPath::new();
    for host in &target.hosts {
        for table in &host.tables {
            if let Some(path) = &table.zookeeper_path {
                tables.entry(path).or_default().push((host, table));
            }
        }
    }
    tables
}
