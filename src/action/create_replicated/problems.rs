//! Everything that speaks against creating the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::Arguments;
use super::gather::Observed;
use super::plan::Object;
use crate::action::clear_keeper::is_cleared;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::convert::{ObjectKind, Reason, differences};
use crate::plan::sql::{identifier, literal};

/// Databases that are missing, and macros that do not make one path per shard and one name per replica.
pub fn of_hosts(context: &PlanContext<'_>, arguments: &Arguments, target: &TargetWorld) -> Vec<Refusal> {
    let database = arguments.database.as_str();
    let mut problems = Vec::new();
    for host in &target.hosts {
        let engine = host.databases.get(database).map(|found| found.engine.as_str());
        if !matches!(engine, Some("Atomic" | "Ordinary")) {
            let mut refusal = context.refuse(
                format!("the database {} will not be there on {}", identifier(database), host.name),
                "a database with engine Atomic (or Ordinary)",
                engine.map_or_else(|| "none of that name".to_owned(), |engine| format!("engine {engine}")),
                "create it in an earlier step (`recreate_database`)",
            );
            refusal.evidence = format!("on {}: SELECT name, engine FROM system.databases", host.name);
            problems.push(refusal);
        }
    }
    let places: Vec<(&HostWorld, String, String)> =
        target.hosts.iter().map(|host| (host, host.expand_macros(arguments.path.as_str()), host.expand_macros(&arguments.replica))).collect();
    for (host, path, replica) in &places {
        let missing = missing_macros(&format!("{path} {replica}"));
        if !missing.is_empty() {
            let mut refusal = context.refuse(
                format!("{} lacks macros that `path` or `replica` use", host.name),
                missing.join(", "),
                format!("its macros are {}", host.identity.macros.keys().cloned().collect::<Vec<_>>().join(", ")),
                "define them in the server's configuration, or use others",
            );
            refusal.evidence = format!("on {}: SELECT * FROM system.macros", host.name);
            problems.push(refusal);
        }
    }
    for (at, (one, one_path, one_name)) in places.iter().enumerate() {
        for (two, two_path, two_name) in &places[at + 1..] {
            let found = format!("{}: {one_path} as {one_name}; {}: {two_path} as {two_name}", one.name, two.name);
            let what = if one_path == two_path && one_name == two_name {
                "two servers would be one replica (error 224 or 253 later)"
            } else if one.shard == two.shard && one_path != two_path {
                "two replicas of one shard would not replicate with each other"
            } else if one.shard != two.shard && one_path == two_path {
                "two shards would have one path"
            } else {
                continue;
            };
            let mut refusal = context.refuse(
                what,
                "one path for every shard, one name for every replica",
                found,
                "correct the macros `shard` and `replica` of the servers, or `path` and `replica` of the step",
            );
            refusal.evidence = "on each host: SELECT * FROM system.macros".to_owned();
            problems.push(refusal);
        }
    }
    problems
}

/// `{name}` that is still there and is not filled in later.
fn missing_macros(text: &str) -> Vec<String> {
    let mut missing = BTreeSet::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        let Some(end) = rest.find('}') else { break };
        let name = &rest[..=end];
        if !matches!(name, "{database}" | "{table}") {
            missing.insert(name.to_owned());
        }
        rest = &rest[end..];
    }
    missing.into_iter().collect()
}

/// Statements that have no form for the target, one refusal for each reason.
pub fn of_statements(context: &PlanContext<'_>, source: &HostWorld, database: &str, refused: &BTreeMap<Reason, Vec<(String, String)>>) -> Vec<Refusal> {
    refused
        .iter()
        .map(|(reason, tables)| {
            let (what, expected, instead) = match reason {
                Reason::Local => ("tables whose rows would stay on one replica", "engines of the MergeTree family", "change their engine on the source"),
                Reason::Queue => ("tables that would take rows out of their queue as soon as they exist", "no consumers before the data is moved", "create them by hand after the move"),
                Reason::Secret => ("statements that hold a password, or hide it", "statements that a plan may hold", "use named collections on the source"),
                Reason::OldSyntax => ("tables in the old syntax of MergeTree, which has no ORDER BY", "ENGINE = MergeTree ... ORDER BY", "create them by hand with ORDER BY"),
                Reason::Refreshable => ("materialized views that refresh themselves", "views that ClickHouse allows over replicated tables", "create them by hand after the data is there"),
                Reason::Unknown => ("statements that are not understood", "tables, views and dictionaries of known engines", "create them by hand"),
            };
            let names: Vec<&str> = tables.iter().map(|(name, _)| name.as_str()).collect();
            let found: Vec<String> = tables.iter().map(|(name, found)| format!("{database}.{name}: {found}")).collect();
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let mut refusal = context.refuse(
                format!("{} {what}", tables.len()),
                expected,
                found.join("\n"),
                format!("leave them out with `except_tables: [{}]`, or {instead}", quoted.join(", ")),
            );
            refusal.evidence = format!("on {}: SELECT name, create_table_query FROM system.tables WHERE database = {}", source.name, literal(database));
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
                crate::model::schema_check::did_you_mean(arguments.bare(entry), &known).unwrap_or_else(|| "none of that name".to_owned()),
                "correct the name",
            );
            refusal.evidence = format!("on {}: SHOW TABLES FROM {}", source.name, identifier(database));
            refusal
        })
        .collect()
}

/// Objects that need one which will not be there. Plain views are created all the same, with a note.
pub fn of_needs(context: &mut PlanContext<'_>, target: &TargetWorld, database: &str, objects: &BTreeMap<String, Object>) -> Vec<Refusal> {
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    for (name, object) in objects {
        let missing: Vec<String> = object
            .dependencies
            .needed
            .iter()
            .filter(|(home, needed)| !(home == database && objects.contains_key(needed)))
            .filter(|(home, needed)| target.hosts.iter().any(|host| host.table(home, needed).is_none()))
            .map(|(home, needed)| format!("{home}.{needed}"))
            .collect();
        if missing.is_empty() {
            continue;
        }
        if object.created.kind == ObjectKind::View {
            notes.push(format!("{database}.{name} reads {}, which is not there on every new server", missing.join(", ")));
            continue;
        }
        problems.push(context.refuse(
            format!("{database}.{name} needs what will not be there"),
            format!("{} on every host", missing.join(", ")),
            "left out, or in a database that no earlier step creates",
            format!("leave \"{name}\" out too (`except_tables`), or create what it needs first"),
        ));
    }
    context.notes.extend(notes);
    problems
}

/// Objects of the same name that are something else.
pub fn of_existing(context: &PlanContext<'_>, host: &HostWorld, database: &str, objects: &BTreeMap<String, Object>) -> Vec<Refusal> {
    objects
        .iter()
        .filter_map(|(name, object)| Some((name, object, host.table(database, name)?)))
        .filter_map(|(name, object, found)| {
            let differences = differences(&object.created.text, &found.create_query, &host.identity.macros);
            if differences.is_empty() {
                return None;
            }
            let mut refusal = context.refuse(
                format!("{database}.{name} will be there on {} with another definition", host.name),
                "no object of that name, or one with the definition to be created",
                differences.join("\n"),
                "drop it in an earlier step, or leave it out with `except_tables`",
            );
            refusal.evidence = format!("on {}: SHOW CREATE TABLE {}", host.name, crate::plan::sql::qualified(database, name));
            Some(refusal)
        })
        .collect()
}

/// What is left at the paths in Keeper when the step begins.
pub fn of_keeper(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    target: &TargetWorld,
    observed: &Observed,
    objects: &BTreeMap<String, Object>,
) -> Vec<Refusal> {
    let role = arguments.on.as_str();
    let database = arguments.database.as_str();
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (host, name, object) in target.hosts.iter().flat_map(|host| objects.iter().map(move |(name, object)| (host, name, object))) {
        let Some((template, _)) = &object.created.replicated else { continue };
        let path = host.expand_macros(template);
        if path.contains('{') || !seen.insert(path.clone()) {
            continue;
        }
        // Tables that will stand at the path, besides the one that exists already under this name.
        let others: Vec<String> = target
            .hosts
            .iter()
            .flat_map(|host| host.tables.iter().map(move |table| (host, table)))
            .filter(|(_, table)| table.zookeeper_path.as_deref() == Some(path.as_str()))
            .filter(|(_, table)| !(table.database == database && (table.name == *name || table.is_inner())))
            .map(|(host, table)| format!("{} on {}", table.full_name(), host.name))
            .collect();
        if !others.is_empty() {
            problems.push(context.refuse(format!("the Keeper path {path} of {database}.{name} is in use"), "no other table at it", others.join(", "), "choose another `path`, or drop these tables first"));
        }
        let Some(replicas) = observed.keeper.as_ref().and_then(|paths| paths.get(&path)) else { continue };
        if is_cleared(context.promises, role, &path) {
            continue;
        }
        // A drop with SYNC takes its replica out of Keeper, and the path with the last one.
        let leaves = |replica: &String| {
            observed.tables.iter().any(|used| used.path == path && used.replica == *replica)
        };
        let stale: Vec<&str> = replicas.iter().filter(|replica| !leaves(replica)).map(String::as_str).collect();
        if replicas.is_empty() || !stale.is_empty() {
            let mut refusal = context.refuse(
                format!("metadata of an earlier table is left in Keeper at {path}"),
                "nothing at the path, or only replicas of tables that earlier steps drop",
                if stale.is_empty() { "a path without replicas".to_owned() } else { format!("replicas {}", stale.join(", ")) },
                "put a `clear_keeper` step for it before this one",
            );
            refusal.evidence = format!("SELECT name, ctime FROM system.zookeeper WHERE path = {}", literal(&format!("{path}/replicas")));
            problems.push(refusal);
        }
    }
    problems
}
