//! What speaks against an exchange: tables, databases, columns, and replicas that do not agree.

use std::collections::BTreeMap;

use super::compare::{disagreements, paths_query};
use super::swap::Named;
use crate::action::gate::first_of;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::count;
use crate::plan::convert::{Ddl, column_differences, columns};
use crate::plan::sql::{identifier, literal};

fn with_evidence(mut refusal: Refusal, host: &HostName, query: &str) -> Refusal {
    refusal.evidence = format!("on {host}: {query}");
    refusal
}

/// Backups and restores go by names while they run.
pub fn of_hosts(context: &PlanContext<'_>, target: &TargetWorld) -> Vec<Refusal> {
    let busy = target.hosts.iter().filter(|host| !host.running_backups.is_empty());
    busy.map(|host| {
        let refusal = context.refuse(
            format!("backups or restores run on {}", host.name),
            "none while tables get other names",
            host.running_backups.join(", "),
            "wait for their end, then plan again",
        );
        with_evidence(refusal, &host.name, "SELECT id, name, status FROM system.backups")
    })
    .collect()
}

/// Everything that speaks against one pair.
pub fn of_pair(context: &PlanContext<'_>, target: &TargetWorld, names: &[Named; 2], any_columns: bool) -> Vec<Refusal> {
    let mut problems = Vec::new();
    for (host, named) in target.hosts.iter().flat_map(|host| names.iter().map(move |named| (host, named))) {
        problems.extend(of_table(context, host, named));
    }
    if !problems.is_empty() {
        return problems;
    }
    // Where they do not agree, how many replicas a path has says nothing more.
    match of_replicas(context, target, names) {
        Some(refusal) => problems.push(refusal),
        None => problems.extend(names.iter().flat_map(|named| of_strangers(context, target, named))),
    }
    if !any_columns {
        problems.extend(of_columns(context, target, names));
    }
    problems
}

fn of_table(context: &PlanContext<'_>, host: &HostWorld, named: &Named) -> Option<Refusal> {
    let Named { database, name } = named;
    let engine = host.databases.get(database).map(|found| found.engine.as_str());
    if engine != Some("Atomic") {
        return Some(of_database(context, host, database, engine));
    }
    let sql = named.sql();
    let query = format!(
        "SELECT engine, create_table_query FROM system.tables WHERE database = {} AND name = {}",
        literal(database),
        literal(name)
    );
    let Some(table) = host.table(database, name) else {
        let refusal = context.refuse(
            format!("the table {sql} will not be there on {}", host.name),
            "both tables exist on every replica, or an earlier step creates them",
            "no table of that name",
            "correct `pairs`, or create the table on every replica first",
        );
        return Some(with_evidence(refusal, &host.name, &query));
    };
    let (what, expected, found, action) = if is_no_table(table) {
        (
            format!("{sql} on {} is no table", host.name),
            "a table",
            format!("engine {}", table.engine),
            "exchange the tables behind it; create a view or dictionary anew with `sql` (CREATE OR REPLACE)",
        )
    } else if let Some(step) = &table.promised_by {
        (
            format!("{sql} on {} is promised by the step `{step}` of this plan", host.name),
            "tables that no step before promises anything of: a resume and an undo ask for it by its name",
            format!("the step `{step}` creates it, fills it or marks it"),
            "exchange the tables in a runbook of its own, after this one is done",
        )
    } else if has_name_macros(table) {
        (
            format!("{sql} on {} cannot be renamed (error 48)", host.name),
            "a path in Keeper that is written out",
            "{database} or {table} in the path, which would be another one under another name".to_owned(),
            "create a table with a written path, move the rows there, and exchange that one",
        )
    } else {
        return None;
    };
    Some(with_evidence(context.refuse(what, expected, found, action), &host.name, &query))
}

fn of_database(context: &PlanContext<'_>, host: &HostWorld, database: &str, engine: Option<&str>) -> Refusal {
    let (found, action) = match engine {
        None => ("no such database".to_owned(), "correct the database, or create it first"),
        Some("Replicated") => (
            "engine Replicated: it carries one statement to all of its replicas, so one for each of them would exchange \
             the tables again and again"
                .to_owned(),
            "send EXCHANGE TABLES once, with `sql` and `every: shard`, and give it a `probe`",
        ),
        Some(engine) => (
            format!("engine {engine}"),
            "move the tables into an Atomic database; RENAME is no way out, for between its steps the name stands for nothing",
        ),
    };
    let refusal = context.refuse(
        format!("tables of the database {} on {} cannot be exchanged", identifier(database), host.name),
        "engine Atomic, the only one with EXCHANGE TABLES host by host",
        found,
        action,
    );
    let query = format!("SELECT name, engine FROM system.databases WHERE name = {}", literal(database));
    with_evidence(refusal, &host.name, &query)
}

fn is_no_table(table: &Table) -> bool {
    table.engine == "Dictionary" || table.engine.ends_with("View") || table.is_inner()
}

/// A server expands these when a table is created; only a definition that was attached still has them.
fn has_name_macros(table: &Table) -> bool {
    if !table.is_seen() {
        return false;
    }
    let engine = Ddl::parse(&table.create_query).ok().and_then(|ddl| ddl.engine());
    engine.is_some_and(|engine| {
        let path = engine.arguments.first().and_then(|range| table.create_query.get(range.clone()));
        engine.name.starts_with("Replicated")
            && path.is_some_and(|path| path.contains("{database}") || path.contains("{table}"))
    })
}

/// Replicas that have different tables under one name: somebody has exchanged them on some hosts only.
fn of_replicas(context: &PlanContext<'_>, target: &TargetWorld, names: &[Named; 2]) -> Option<Refusal> {
    let path = |host: &HostWorld, named: &Named| host.table(&named.database, &named.name)?.zookeeper_path.clone();
    let found: Vec<_> = target
        .hosts
        .iter()
        .map(|host| (host.name.clone(), host.shard.clone(), names.each_ref().map(|named| path(host, named))))
        .collect();
    let differences = disagreements(names, &found, [true, true]);
    if differences.is_empty() {
        return None;
    }
    let [one, other] = names.each_ref().map(Named::sql);
    let mut refusal = context.refuse(
        format!("the replicas do not agree which tables {one} and {other} are"),
        "each name has the same path in Keeper on every replica of a shard",
        differences.join("\n"),
        "stop whoever writes to these tables, for their rows mix; find out on which hosts they were exchanged already, \
         bring both names back to one table on all replicas, then plan again",
    );
    let query = paths_query(names);
    refusal.evidence = found.iter().map(|(host, ..)| format!("on {host}: {query}")).collect::<Vec<_>>().join("\n");
    Some(refusal)
}

/// A replica on a server that the environment does not name would keep the former name.
fn of_strangers(context: &PlanContext<'_>, target: &TargetWorld, named: &Named) -> Vec<Refusal> {
    let mut known: BTreeMap<&str, (u64, u64, &HostName)> = BTreeMap::new();
    for host in &target.hosts {
        let Some(table) = host.table(&named.database, &named.name) else { continue };
        if let (Some(path), Some(total)) = (&table.zookeeper_path, table.total_replicas) {
            known.entry(path).or_insert((0, total, &host.name)).0 += 1;
        }
    }
    let strangers = known.into_iter().filter(|(_, (own, total, _))| total > own);
    strangers
        .map(|(path, (own, total, host))| {
            let refusal = context.refuse(
                format!("{} has replicas that would keep the former name", named.sql()),
                format!("{} in Keeper at {path}, one for each host of the target", count(own, "replica")),
                count(total, "replica"),
                "name every server of the table in the environment; where one is gone for good, SYSTEM DROP REPLICA \
                 removes what it left; then plan again",
            );
            with_evidence(
                refusal,
                host,
                &format!("SELECT name FROM system.zookeeper WHERE path = {}", literal(&format!("{path}/replicas"))),
            )
        })
        .collect()
}

/// Columns that differ, as far as the servers have told them. The gate asks for the others.
fn of_columns(context: &PlanContext<'_>, target: &TargetWorld, names: &[Named; 2]) -> Vec<Refusal> {
    let [one, other] = names.each_ref().map(Named::sql);
    let mut found: BTreeMap<String, Vec<&HostName>> = BTreeMap::new();
    for host in &target.hosts {
        let seen = |named: &Named| host.table(&named.database, &named.name).filter(|table| !table.uuid.is_empty());
        let (Some(first), Some(second)) = (seen(&names[0]), seen(&names[1])) else { continue };
        let differences =
            column_differences([&one, &other], &columns(&first.create_query), &columns(&second.create_query));
        if !differences.is_empty() {
            found.entry(first_of(&differences, 10, "\n")).or_default().push(&host.name);
        }
    }
    found
        .into_iter()
        .map(|(differences, hosts)| {
            let on: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
            let refusal = context.refuse(
                format!("{one} and {other} have different columns on {}", on.join(", ")),
                "the same columns in the same order, for whoever reads or writes by the name",
                differences,
                "give both the same columns, or say `allow_different_columns: true` where the programs are ready for it",
            );
            let query = format!(
                "SELECT table, name, type, default_kind FROM system.columns WHERE database IN ({}, {}) AND table IN ({}, {})",
                literal(&names[0].database),
                literal(&names[1].database),
                literal(&names[0].name),
                literal(&names[1].name)
            );
            with_evidence(refusal, hosts[0], &query)
        })
        .collect()
}
