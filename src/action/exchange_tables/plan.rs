//! Planning: pair by pair a look at all hosts, the exchange on each of them, and a look again.

use super::compare::{CompareData, Planned, paths_query};
use super::pairs::pairs;
use super::swap::{Named, Swap, names_query};
use super::{Arguments, Data, NAME, notes, problems, world};
use crate::action::facts;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::words::count_of;
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: Arguments = context.arguments()?;
    let role = arguments.on.as_str();
    let pairs = pairs(&arguments).map_err(|errors| -> Vec<Refusal> {
        let refuse = |message: String| context.refuse(message, "", "", "correct `pairs`");
        errors.into_iter().map(|error| refuse(error.message)).collect()
    })?;
    let target = context.target(role)?.clone();
    for (host, named) in target.hosts.iter().flat_map(|host| pairs.iter().flatten().map(move |named| (host, named))) {
        context.facts.extend(facts::database(host, &named.database));
        context.facts.extend(facts::definition(host, &named.database, &named.name));
        let table = host.table(&named.database, &named.name);
        context.facts.extend(table.and_then(|table| facts::replicas(&host.name, table)));
    }
    let mut found = problems::of_hosts(context, &target);
    for pair in &pairs {
        found.extend(problems::of_pair(context, &target, pair, arguments.allow_different_columns));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut operations = Vec::new();
    for (turn, pair) in pairs.iter().enumerate() {
        context.notes.extend(notes::of_pair(context, &target, pair));
        let wave = u32::try_from(turn).unwrap_or(u32::MAX).saturating_mul(3);
        let compares = target.hosts.len() > 1;
        operations.extend(compares.then(|| compare(context, role, &target, pair, false).in_wave(wave)));
        for host in &target.hosts {
            operations.push(exchange(context, role, host, pair, arguments.allow_different_columns).in_wave(wave + 1));
        }
        operations.extend(compares.then(|| compare(context, role, &target, pair, true).in_wave(wave + 2)));
        world::exchange(context, role, pair);
    }
    Ok(operations)
}

fn uuid_of(host: &HostWorld, named: &Named) -> Option<String> {
    let table = host.table(&named.database, &named.name)?;
    (!table.uuid.is_empty()).then(|| table.uuid.clone())
}

fn exchange(
    context: &PlanContext<'_>,
    role: &str,
    host: &HostWorld,
    names: &[Named; 2],
    any_columns: bool,
) -> Operation {
    let swap = Swap { names: names.clone(), uuids: names.each_ref().map(|named| uuid_of(host, named)), any_columns };
    let [one, other] = names.each_ref().map(|named| place(host, named));
    let [first, second] = names.each_ref().map(Named::sql);
    let object = format!("table {first} with {second}");
    Operation::new(context.step, NAME, "exchange", object, Effect::Write)
        .on(role, &host.name)
        .statement(Statement::exact(swap.statement()))
        .promises(
            format!("{first} is one table{one}, {second} another{other}"),
            format!("{first} is what {second} was{other}, {second} is what {first} was{one}"),
            "each name stands for the very table (by its UUID) that the other one stood for",
        )
        .with_data(&Data::Exchange(swap))
}

/// Where a table is in Keeper, by which people tell it apart; UUIDs stand among the facts.
fn place(host: &HostWorld, named: &Named) -> String {
    let path = host.table(&named.database, &named.name).and_then(|table| table.zookeeper_path.as_ref());
    path.map(|path| format!(" (at {path} in Keeper)")).unwrap_or_default()
}

/// One look at all hosts. It reads, so that nothing is exchanged on one host while another one is not as planned.
fn compare(
    context: &PlanContext<'_>,
    role: &str,
    target: &TargetWorld,
    names: &[Named; 2],
    is_after: bool,
) -> Operation {
    let planned = |host: &HostWorld| Planned {
        host: host.name.clone(),
        shard: host.shard.clone(),
        uuids: names.each_ref().map(|named| uuid_of(host, named)),
    };
    let data = CompareData { names: names.clone(), hosts: target.hosts.iter().map(planned).collect(), is_after };
    let first = target.hosts.first().map(|host| host.name.clone()).unwrap_or_default();
    let is_replicated = |table: &Table| table.zookeeper_path.is_some();
    let any_replicated = names.iter().any(|named| {
        target.hosts.iter().any(|host| host.table(&named.database, &named.name).is_some_and(is_replicated))
    });
    let [one, other] = names.each_ref().map(Named::sql);
    let hosts = count_of(target.hosts.len(), "host");
    let (kind, goal) = match (is_after, any_replicated) {
        (false, _) => ("look_at", format!("the tables of the plan, alike on {hosts}")),
        (true, true) => {
            ("compare", format!("the other table each, at one path in Keeper on all replicas of a shard ({hosts})"))
        }
        (true, false) => ("compare", format!("the other table each, on {hosts}")),
    };
    let mut queries = vec![paths_query(names)];
    if !is_after {
        queries.insert(0, names_query(names));
    }
    let asked = target.hosts.iter().flat_map(|host| queries.iter().map(move |query| (&host.name, query)));
    let statements: Vec<Statement> = asked
        .map(|(host, query)| {
            let statement = Statement::exact(query.as_str());
            if *host == first { statement } else { statement.at(host) }
        })
        .collect();
    Operation::new(context.step, NAME, kind, format!("{one} and {other}"), Effect::Read)
        .on(role, &first)
        .statements(statements)
        .promises("", goal, "no replica has another path in Keeper behind a name than the others of its shard")
        .with_data(&Data::Compare(data))
}
