//! Planning: one insert per history, or a look at one that is clean.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Arguments, Data, Row, Seen, last_row_query, table_sql};
use crate::action::facts;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Table};
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

const NAME: &str = "mark_migrations_clean";

/// Hosts that share one history, the one that is written to first.
struct History<'w> {
    hosts: Vec<(&'w HostWorld, &'w Table)>,
}

pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: Arguments = context.arguments()?;
    let role = arguments.on.as_str();
    let (database, name, sql) =
        table_sql(&arguments.table).map_err(|error| vec![context.refuse(error, "", "", "correct `table`")])?;
    let target = context.target(role)?.clone();
    let seen: BTreeMap<String, Seen> = BTreeMap::deserialize(context.observed).unwrap_or_default();
    let mut problems = Vec::new();
    let mut histories: BTreeMap<String, History<'_>> = BTreeMap::new();
    for host in &target.hosts {
        context.facts.extend(facts::definition(host, &database, &name));
        match host.table(&database, &name) {
            Some(table) => {
                let key = table
                    .zookeeper_path
                    .as_ref()
                    .map_or_else(|| format!("host {}", host.name), |path| format!("path {path}"));
                histories.entry(key).or_insert_with(|| History { hosts: Vec::new() }).hosts.push((host, table));
            }
            None => {
                let mut refusal = context.refuse(
                    format!("the table {sql} will not be there on {}", host.name),
                    "an earlier step creates or restores it, or it exists",
                    "neither",
                    "correct `table`, or create the table on every replica first (`create_replicated`)",
                );
                refusal.evidence =
                    format!("on {}: SHOW TABLES FROM {}", host.name, crate::plan::sql::identifier(&database));
                problems.push(refusal);
            }
        }
    }
    // The history of a server that is only read says which version is to be marked.
    for (host, history) in seen.iter().filter(|(host, _)| target.hosts.iter().all(|own| own.name.0 != **host)) {
        context.facts.push(last_row_fact(&HostName::from(host.as_str()), history, &sql));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for (host, history) in seen.iter().filter(|(host, _)| target.hosts.iter().all(|own| own.name.0 != **host)) {
        if let Some(row) = history.last.as_ref().filter(|row| row.version != arguments.version) {
            context.notes.push(format!(
                "step `{}` marks version {}, while {sql} on {host} ends with {}",
                context.step,
                arguments.version,
                Row::words(Some(row))
            ));
        }
    }
    let mut planned = Vec::new();
    for history in histories.values() {
        planned.push(operation(context, role, &sql, arguments.version, history, &seen));
    }
    // In the order of the hosts, whatever the histories are called.
    let order =
        |operation: &Operation| target.hosts.iter().position(|host| Some(&host.name) == operation.host.as_ref());
    planned.sort_by_key(order);
    let step = context.step;
    for host in context.world.targets.get_mut(role).iter_mut().flat_map(|target| &mut target.hosts) {
        host.tables.change(&database, &name, |table| table.promised_by = Some(step.clone()));
    }
    Ok(planned)
}

fn last_row_fact(host: &HostName, seen: &Seen, sql: &str) -> Fact {
    let value = match &seen.last {
        Some(row) => format!("{}, sequence {}", Row::words(Some(row)), row.sequence),
        None => Row::words(None),
    };
    Fact::new(host, format!("last row of {sql}"), value, last_row_query(sql))
}

fn operation(
    context: &mut PlanContext<'_>,
    role: &str,
    sql: &str,
    version: i64,
    history: &History<'_>,
    seen: &BTreeMap<String, Seen>,
) -> Operation {
    let query = last_row_query(sql);
    // Known before the run only where no earlier step touches the table on any of the hosts.
    let known: Vec<Option<&Seen>> = history
        .hosts
        .iter()
        .map(|(host, table)| {
            seen.get(host.name.as_str())
                .filter(|seen| !table.uuid.is_empty() && seen.uuid == table.uuid && seen.rows == table.rows)
        })
        .collect();
    for ((host, _), seen) in history.hosts.iter().zip(&known) {
        if let Some(seen) = seen {
            context.facts.push(last_row_fact(&host.name, seen, sql));
        }
    }
    let is_clean =
        known.iter().all(|seen| seen.is_some_and(|seen| seen.last.as_ref().is_some_and(|row| row.is_clean(version))));
    let hosts: Vec<HostName> = history.hosts.iter().map(|(host, _)| host.name.clone()).collect();
    let first = history.hosts.first().map(|(host, _)| host.name.clone()).unwrap_or_default();
    let engine = history.hosts.first().map(|(_, table)| table.engine.clone()).unwrap_or_default();
    let data = Data { table: sql.to_owned(), version, hosts, engine };
    let goal = format!("version {version}, clean");
    let check = match data.hosts.len() {
        1 => "the migrator's own query answers it".to_owned(),
        number => format!("the migrator's own query answers it on all {number} replicas"),
    };
    let object = format!("table {sql}");
    if is_clean {
        return Operation::new(context.step, NAME, "look_at", object, Effect::Read)
            .on(role, &first)
            .statements(data.hosts.iter().map(|host| asked(&query, host, &first)))
            .promises(goal.clone(), goal, check)
            .with_data(&data);
    }
    let before = match known.first().copied().flatten() {
        Some(seen) => Row::words(seen.last.as_ref()),
        None => "what earlier steps put there".to_owned(),
    };
    // The subquery is answered before the insert begins, so that a Log table is not read and written at once.
    let statement = format!(
        "INSERT INTO {sql} (version, dirty, sequence) SELECT {version}, 0, \
         greatest(toUInt64(toUnixTimestamp64Nano(now64(9))), ifNull((SELECT max(sequence) FROM {sql}), 0) + 1)"
    );
    Operation::new(context.step, NAME, "mark_clean", object, Effect::Write)
        .on(role, &first)
        .statement(Statement::exact(statement).only_if(format!("the last row is not version {version}, clean")))
        .promises(before, goal, check)
        .with_data(&data)
}

/// The migrator's own query, asked on every host of the history.
fn asked(query: &str, host: &HostName, first: &HostName) -> Statement {
    let statement = Statement::exact(query);
    if host == first { statement } else { statement.at(host).again("until the row has come there") }
}
