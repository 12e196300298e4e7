//! Tables, views and dictionaries of one host.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{definition_change, has_ttl, writes_elsewhere};
use super::{Change, HostDiff, ObjectDiff, ObjectKind, Sides, Untold};
use crate::model::observed::{HostWorld, Table};

pub(super) fn tables(now: &HostWorld, after: &HostWorld, untold: &Untold, diff: &mut HostDiff) {
    let (is, will) = (folded(now), folded(after));
    let names: BTreeSet<&(String, String)> = is.keys().chain(will.keys()).collect();
    for key in names {
        let changed = match (is.get(key), will.get(key)) {
            (Some(is), Some(will)) => {
                let is_untold = untold.rows.contains(key);
                match compared(is, will, now, is_untold) {
                    Compared::Same { rows_untold } => {
                        diff.same += 1;
                        if will.uuid.is_empty() && !is.uuid.is_empty() {
                            diff.made_anew.push(is.full_name());
                        }
                        if rows_untold {
                            diff.rows_untold.push(is.full_name());
                        }
                        continue;
                    }
                    Compared::Differs(changed) => *changed,
                }
            }
            (is, will) => {
                let is_unknown = will.is_some_and(|table| holds_rows(table) && rows_of(table).is_none());
                if is_unknown || (will.is_some() && untold.rows.contains(key)) {
                    diff.rows_untold.push(format!("{}.{}", key.0, key.1));
                }
                one_sided(is, will)
            }
        };
        diff.changes.push(changed);
    }
}

/// Tables by database and name. The hidden table of a view is told as the view's own rows and Keeper path, since its
/// name holds a UUID that the plan cannot know.
fn folded(host: &HostWorld) -> BTreeMap<(String, String), Table> {
    let mut all: BTreeMap<(String, String), Table> =
        host.tables.iter().map(|table| ((table.database.clone(), table.name.clone()), Table::clone(table))).collect();
    for view in host.tables.iter().filter(|table| table.engine == "MaterializedView") {
        for hidden in [format!(".inner.{}", view.name), format!(".inner_id.{}", view.uuid)] {
            let Some(hidden) = all.remove(&(view.database.clone(), hidden)) else { continue };
            if let Some(view) = all.get_mut(&(view.database.clone(), view.name.clone())) {
                view.rows = view.rows.max(hidden.rows);
                view.zookeeper_path = hidden.zookeeper_path;
            }
        }
    }
    all
}

enum Compared {
    Same { rows_untold: bool },
    Differs(Box<ObjectDiff>),
}

fn compared(is: &Table, will: &Table, host: &HostWorld, is_untold: bool) -> Compared {
    if is == will {
        return Compared::Same { rows_untold: is_untold && is.rows.is_some() };
    }
    // An engine that a statement leaves to the server is not known before.
    let engine = if will.engine.is_empty() { None } else { Some(will.engine.clone()) };
    let engine = engine.and_then(|engine| Sides::differing(Some(is.engine.clone()), Some(engine)));
    let definition = definition_change(&is.create_query, &will.create_query, &host.identity.macros);
    let keeper_path = match &will.zookeeper_path {
        // The place of a table that a statement of the user creates is not worked out.
        None if will.engine.starts_with("Replicated") => None,
        _ => Sides::differing(is.zookeeper_path.clone(), will.zookeeper_path.clone()),
    };
    let (rows, rows_untold) = rows_change(is, will, is_untold);
    if engine.is_none() && definition.is_empty() && keeper_path.is_none() && rows.is_none() {
        return Compared::Same { rows_untold };
    }
    Compared::Differs(Box::new(ObjectDiff {
        object: kind_of(will),
        database: will.database.clone(),
        name: Some(will.name.clone()),
        change: Change::Changed,
        engine,
        rows,
        keeper_path,
        definition,
    }))
}

/// Rows that differ, and whether equal ones could not be told.
fn rows_change(is: &Table, will: &Table, is_untold: bool) -> (Option<Sides<u64>>, bool) {
    let (Some(now), Some(expected)) = (rows_of(is), rows_of(will)) else {
        return (None, is_untold || (rows_of(is).is_some() && holds_rows(will)));
    };
    let differ = Some(Sides { now: Some(now), expected: Some(expected) });
    if now == expected {
        return (None, is_untold);
    }
    // Merges and TTL change numbers, but neither makes rows out of none.
    if (is_untold || changes_by_itself(will)) && now > 0 && expected > 0 {
        return (None, true);
    }
    (differ, false)
}

fn one_sided(is: Option<&Table>, will: Option<&Table>) -> ObjectDiff {
    let table = will.or(is).cloned().unwrap_or_default();
    let engine = |table: &Table| table.engine.clone();
    ObjectDiff {
        object: kind_of(&table),
        database: table.database.clone(),
        name: Some(table.name.clone()),
        change: if will.is_some() { Change::Created } else { Change::Dropped },
        engine: Sides::new(is.map(engine), will.map(engine)),
        rows: Sides::new(is.and_then(rows_of), will.and_then(rows_of)),
        keeper_path: Sides::new(
            is.and_then(|table| table.zookeeper_path.clone()),
            will.and_then(|table| table.zookeeper_path.clone()),
        ),
        definition: Vec::new(),
    }
}

fn kind_of(table: &Table) -> ObjectKind {
    match table.engine.as_str() {
        "Dictionary" => ObjectKind::Dictionary,
        engine if engine.ends_with("View") => ObjectKind::View,
        _ => ObjectKind::Table,
    }
}

/// Rows of its own; those of a view are its hidden table's.
fn rows_of(table: &Table) -> Option<u64> {
    table.rows.filter(|_| holds_rows(table))
}

fn holds_rows(table: &Table) -> bool {
    table.holds_rows() || (table.engine == "MaterializedView" && !writes_elsewhere(&table.create_query))
}

/// Whether merges or time take rows away.
fn changes_by_itself(table: &Table) -> bool {
    let merging = ["Replacing", "Collapsing", "Summing", "Aggregating", "Graphite"];
    let engine: &str = if table.engine == "MaterializedView" { &table.create_query } else { &table.engine };
    merging.iter().any(|word| engine.contains(word)) || has_ttl(&table.create_query)
}
