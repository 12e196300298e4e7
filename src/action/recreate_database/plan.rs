//! Planning: what is dropped on each host, and what that takes away.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::keeping::{cannot_be_kept, keep, set_aside_operation};
use super::{Arguments, CreateData, Data, DropData, PlannedTable};
use crate::action::facts::{self, Definitions};
use crate::action::gate::first_of;
use crate::diag::{Refusal, grouped};
use crate::engine::context::PlanContext;
use crate::model::observed::{Database, HostWorld};
use crate::model::words::count_of;
use crate::plan::SHARE;
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::sql::{TokenKind, identifier, literal, tokenize};
use crate::plan::statement::Statement;

pub const NAME: &str = "recreate_database";

pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: Arguments = context.arguments()?;
    let (role, database) = (arguments.on.as_str(), arguments.database.as_str());
    let target = context.target(role)?.clone();
    context.facts.extend(facts(&target.hosts, database));
    let mut problems: Vec<Refusal> = target.hosts.iter().flat_map(|host| problems(context, host, database)).collect();
    if arguments.keep_old.is_none() {
        problems.extend(target.hosts.iter().filter_map(|host| too_large(context, host, database)));
    }
    if arguments.keep_old.is_some() {
        problems.extend(target.hosts.iter().filter_map(|host| cannot_be_kept(context, host, database)));
    }
    if !problems.is_empty() {
        // Later steps are checked against the world as it would be.
        forget(context, role, database);
        return Err(problems);
    }
    let planning = &*context;
    let of_host = |host: &HostWorld| {
        let former = host.databases.get(database);
        let (mut notes, mut operations) = (notes(host, database), Vec::new());
        if arguments.keep_old.is_none() {
            let tables = || host.tables_of(database);
            notes.extend(tables().filter_map(|table| facts::untold(&host.name, table)));
            notes.extend(tables().filter_map(|table| facts::left_over(host, table)));
        }
        if let (Some(former), Some(keep)) = (former, &arguments.keep_old) {
            let dropped = drop_operation(planning, role, host, database, former);
            operations.push(set_aside_operation(planning, dropped, database, keep));
        } else if let Some(former) = former {
            operations.push(drop_operation(planning, role, host, database, former));
        }
        operations.push(create_operation(planning, role, host, database, former));
        (notes, operations)
    };
    let planned: Vec<(Vec<String>, Vec<Operation>)> = target.hosts.par_iter().map(of_host).collect();
    let (notes, operations): (Vec<Vec<String>>, Vec<Vec<Operation>>) = planned.into_iter().unzip();
    context.notes.extend(notes.into_iter().flatten());
    if arguments.keep_old.is_some() {
        keep(context, role, database);
    }
    forget(context, role, database);
    Ok(operations.into_iter().flatten().collect())
}

fn problems(context: &PlanContext<'_>, host: &HostWorld, database: &str) -> Vec<Refusal> {
    let mut problems = Vec::new();
    if let Some(found) = host.databases.get(database)
        && !matches!(found.engine.as_str(), "Atomic" | "Ordinary")
    {
        let mut refusal = context.refuse(
            format!("the database {} on {} cannot be recreated", identifier(database), host.name),
            "engine Atomic (or Ordinary)",
            format!("engine {}", found.engine),
            "drop such a database by hand: what else its engine reaches (other servers, Keeper, a whole \
             replicated database) is not known to this step",
        );
        refusal.evidence = format!("on {}: SELECT name, engine, uuid FROM system.databases", host.name);
        problems.push(refusal);
    }
    if !host.running_backups.is_empty() {
        let mut refusal = context.refuse(
            format!("backups or restores run on {}", host.name),
            "none while a database is dropped",
            host.running_backups.join(", "),
            "wait for their end, then plan again",
        );
        refusal.evidence = format!("on {}: SELECT id, name, status FROM system.backups", host.name);
        problems.push(refusal);
    }
    problems
}

/// DROP DATABASE takes its tables one after the other: where the server refuses one, others are gone already.
fn too_large(context: &PlanContext<'_>, host: &HostWorld, database: &str) -> Option<Refusal> {
    let limit = host.tables_of(database).find_map(|table| facts::too_large(host, table))?;
    let larger = host.tables_of(database).filter(|table| facts::too_large(host, table).is_some());
    let names: Vec<String> =
        larger.map(|table| format!("{} ({} bytes)", table.full_name(), grouped(table.bytes.unwrap_or(0)))).collect();
    let mut refusal = context.refuse(
        format!("{} does not let anybody drop {} (359)", host.name, count_of(names.len(), "table")),
        format!("tables of at most {} bytes (`max_table_size_to_drop`)", grouped(limit)),
        first_of(&names, 5, ", "),
        "if this loss is meant, raise `max_table_size_to_drop` on this server for the time of the migration, then plan \
         again",
    );
    refusal.evidence = format!("on {}: {}", host.name, facts::SIZE_LIMIT_QUERY);
    Some(refusal)
}

fn drop_operation(
    context: &PlanContext<'_>,
    role: &str,
    host: &HostWorld,
    database: &str,
    former: &Database,
) -> Operation {
    let mut loss = Loss::default();
    let mut tables = Vec::new();
    for table in host.tables_of(database) {
        let rows = table.holds_data().then_some(table.rows).flatten();
        if table.holds_data() {
            loss.tables += 1;
            loss.rows += rows.unwrap_or(0);
            loss.bytes += table.bytes.unwrap_or(0);
        }
        tables.push(PlannedTable {
            name: table.name.clone(),
            uuid: table.uuid.clone(),
            rows,
            untold: table.holds_data() && table.rows.is_none(),
        });
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let is_seen = !former.uuid.is_empty() && tables.iter().all(|table| !table.uuid.is_empty());
    let before = if is_seen {
        format!("{}, database UUID {}", contents(&loss, tables.len() as u64 - loss.tables), former.uuid)
    } else {
        format!("what earlier steps put there: {}", count_of(tables.len(), "table"))
    };
    let data = DropData { database: database.to_owned(), uuid: is_seen.then(|| former.uuid.clone()), tables };
    Operation::new(context.step, NAME, "drop_database", format!("database {}", identifier(database)), Effect::Destroy)
        .on(role, &host.name)
        .statement(Statement::exact(format!("DROP DATABASE {} SYNC", identifier(database))))
        .in_wave(0)
        .loses(loss)
        .promises(
            before,
            "gone, with the data of its tables and their replicas in Keeper",
            "not in system.databases, none of its tables in system.dropped_tables",
        )
        .with_data(&Data::Drop(data))
}

/// What is in a database; `others` are views and dictionaries, which the loss does not count.
fn contents(loss: &Loss, others: u64) -> String {
    let counted = |value: u64, one: &str| format!("{} {one}{}", grouped(value), if value == 1 { "" } else { "s" });
    let mut words = vec![counted(loss.tables, "table"), counted(loss.rows, "row")];
    match others {
        0 => {}
        1 => words.push("1 other without rows of its own".to_owned()),
        _ => words.push(format!("{} others without rows of their own", grouped(others))),
    }
    words.join(", ")
}

fn create_operation(
    context: &PlanContext<'_>,
    role: &str,
    host: &HostWorld,
    database: &str,
    former: Option<&Database>,
) -> Operation {
    let data = CreateData {
        database: database.to_owned(),
        former: former.map(|former| former.uuid.clone()).filter(|uuid| !uuid.is_empty()),
    };
    Operation::new(context.step, NAME, "create_database", format!("database {}", identifier(database)), Effect::Write)
        .on(role, &host.name)
        .statement(Statement::exact(format!("CREATE DATABASE {} ENGINE = Atomic", identifier(database))))
        .in_wave(1)
        .promises("not there", "empty, engine Atomic", "engine Atomic, a new UUID, no tables")
        .with_data(&Data::Create(data))
}

/// What is dropped must be what the plan says: the database, its tables, their definitions, rows and replicas.
fn facts(hosts: &[HostWorld], database: &str) -> Vec<Fact> {
    let (mut facts, hosts): (Vec<Fact>, Vec<&HostWorld>) =
        hosts.iter().filter_map(|host| Some((facts::database(host, database)?, host))).unzip();
    let names: BTreeSet<&str> =
        hosts.iter().flat_map(|host| host.tables_of(database)).map(|table| table.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let of_table = |name: &&str| {
        let mut told = Definitions::default();
        let found = hosts.iter().filter_map(|host| Some((&host.name, host.table(database, name)?)));
        found
            .flat_map(|(host, table)| [told.of_loss(host, table, "dropped"), told.of_replicas(host, table)])
            .flatten()
            .collect::<Vec<_>>()
    };
    facts.par_extend(names.par_iter().with_min_len(SHARE).flat_map_iter(of_table));
    facts
}

fn notes(host: &HostWorld, database: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut users: Vec<String> = host
        .tables
        .iter()
        .filter(|table| table.database != database && names_database(&table.create_query, database))
        .map(|table| table.full_name())
        .collect();
    users.sort();
    if !users.is_empty() {
        notes.push(format!(
            "{}: {} name the database `{database}` and find nothing in it until its tables are there again",
            host.name,
            users.join(", ")
        ));
    }
    let prefix = format!("{database}.");
    let pending = host.pending_drops.iter().filter(|name| name.starts_with(&prefix)).count();
    if pending > 0 {
        notes.push(format!(
            "{}: {} of `{database}` {} dropped before without SYNC; the step waits up to 8 minutes until nothing is left",
            host.name,
            count_of(pending, "table"),
            if pending == 1 { "was" } else { "were" }
        ));
    }
    notes
}

/// Whether a definition names a table of the database: `db.` as a name, or `'db'` as a text.
fn names_database(definition: &str, database: &str) -> bool {
    let Ok(tokens) = tokenize(definition) else { return false };
    let text = literal(database);
    tokens.iter().enumerate().any(|(at, token)| match token.kind {
        TokenKind::Text => token.text == text,
        _ => token.name().as_deref() == Some(database) && tokens.get(at + 1).is_some_and(|next| next.is_symbol(".")),
    })
}

/// The world afterwards: the database is there and empty on every host.
fn forget(context: &mut PlanContext<'_>, role: &str, database: &str) {
    let Some(target) = context.world.targets.get_mut(role) else { return };
    let prefix = format!("{database}.");
    for host in &mut target.hosts {
        host.tables.retain(|table| table.database != database);
        host.pending_drops.retain(|name| !name.starts_with(&prefix));
        host.mutations.retain(|name| !name.starts_with(&prefix));
        for numbers in [&mut host.detached_parts, &mut host.waiting_files, &mut host.waiting_rows] {
            numbers.retain(|name, _| !name.starts_with(&prefix));
        }
        host.databases.insert(database.to_owned(), Database { engine: "Atomic".to_owned(), uuid: String::new() });
    }
}
