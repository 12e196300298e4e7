//! Planning: one operation per path, and everything that speaks against it.

use std::collections::BTreeMap;

use foldhash::HashSet;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::observe::{LiveTable, Observed, Subtree, expanded, is_at_or_below, sharing};
use super::planned::known;
use super::still::Still;
use super::{Arguments, Data};
use crate::action::facts::ABSENT;
use crate::action::gate::first_of;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::{HostName, StepId};
use crate::model::words::count;
use crate::plan::SHARE;
use crate::plan::fact::Fact;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::sql::literal;
use crate::plan::statement::Statement;

const NAME: &str = "clear_keeper";

pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: Arguments = context.arguments()?;
    let role = arguments.on.as_str();
    let target = context.target(role)?.clone();
    if !target.keeper {
        return Err(vec![context.refuse(
            format!("the Keeper of `{role}` is not known"),
            "`keeper:` under the target in the environment",
            "none",
            "add `keeper: { hosts: [\"host:port\"] }` to the target",
        )]);
    }
    let observed = Observed::deserialize(context.observed).unwrap_or_default();
    let before: Vec<LiveTable<'_>> = sharing(context.seen, context.environment, role).collect();
    let paths = expanded(&arguments, &target);
    for (path, subtree) in paths.keys().filter_map(|path| Some((path, observed.paths.get(path)?))) {
        context.facts.extend(facts(role, path, subtree));
    }
    let mut problems = Vec::new();
    for (path, hosts) in &paths {
        if let Some(at) = path.find('{') {
            let rest = &path[at..];
            let name = rest.find('}').map_or(rest, |end| &rest[..=end]);
            let mut refusal = context.refuse(
                format!("the path {path} holds a macro that the servers do not have"),
                format!("a macro {name} on {}", hosts.join(", ")),
                "none",
                "correct the path, or write the value itself",
            );
            refusal.evidence = format!("on {}: SELECT * FROM system.macros", hosts.join(", "));
            problems.push(refusal);
        }
        problems.extend(in_use(context, role, path, observed.paths.get(path), &before));
    }
    // Promised also where the step is refused: later steps need not complain about the same once more.
    let cleared: Vec<&String> = paths.keys().collect();
    context.promises.insert(context.step.clone(), json!({ "keeper_cleared": { "target": role, "paths": cleared } }));
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut operations = Vec::new();
    for path in paths.keys() {
        let nothing = Subtree::default();
        let subtree = observed.paths.get(path).unwrap_or(&nothing);
        operations.push(operation(context, role, path, subtree, &before));
    }
    Ok(operations)
}

/// Whether an earlier step clears a Keeper path of a target.
#[must_use]
pub fn is_cleared(promises: &BTreeMap<StepId, Value>, role: &str, path: &str) -> bool {
    promises.values().filter_map(|promise| promise.get("keeper_cleared")).any(|cleared| {
        cleared.get("target").and_then(Value::as_str) == Some(role)
            && cleared
                .get("paths")
                .and_then(Value::as_array)
                .is_some_and(|paths| paths.iter().filter_map(Value::as_str).any(|above| is_at_or_below(path, above)))
    })
}

/// Tables and sessions that use a path when the step begins.
fn in_use(
    context: &PlanContext<'_>,
    role: &str,
    path: &str,
    subtree: Option<&Subtree>,
    before: &[LiveTable<'_>],
) -> Vec<Refusal> {
    let touches = |used: &str| is_at_or_below(used, path) || is_at_or_below(path, used);
    let mut users = Vec::new();
    for (other, target) in &context.world.targets {
        if !context.environment.may_share_keeper(role, other) {
            continue;
        }
        for host in &target.hosts {
            for table in host.tables.iter().filter(|table| table.zookeeper_path.as_deref().is_some_and(touches)) {
                users.push(format!("{} on {}", table.full_name(), host.name));
            }
        }
    }
    let mut problems = Vec::new();
    if !users.is_empty() {
        let mut refusal = context.refuse(
            format!("the Keeper path {path} is in use"),
            "no table uses it when the step begins",
            first_of(&users, 5, ", "),
            "drop these tables in an earlier step (`recreate_database`), or leave the path out",
        );
        refusal.evidence = "on each host: SELECT database, table, zookeeper_path FROM system.replicas".to_owned();
        problems.push(refusal);
    }
    let mut strangers: Vec<String> = Vec::new();
    let tables = subtree.iter().flat_map(|subtree| &subtree.tables);
    // Mostly there are none, and the replicas of thousands of tables need not be put together.
    let known = if tables.clone().next().is_some() { replicas(before) } else { HashSet::default() };
    for (table, seen) in tables {
        for (replica, state) in seen.replicas.iter().filter(|(_, state)| state.is_active) {
            if !known.contains(&(table.as_str(), replica.as_str())) {
                strangers.push(format!("{table}/replicas/{replica} ({})", state.host));
            }
        }
    }
    strangers.extend(subtree.iter().flat_map(|subtree| subtree.sessions.clone()));
    if !strangers.is_empty() {
        let mut refusal = context.refuse(
            format!("a server uses the Keeper path {path}, and no host of the environment has a table there"),
            "no live session but those of tables that earlier steps drop",
            first_of(&strangers, 5, "\n"),
            "a server that was killed just now holds its session for up to 30 seconds more: plan again then; else find \
             these servers, and name them in the environment or stop using the path there",
        );
        refusal.evidence = format!("SELECT name, value FROM system.zookeeper WHERE path = {}", literal(path));
        problems.push(refusal);
    }
    problems
}

fn operation(
    context: &PlanContext<'_>,
    role: &str,
    path: &str,
    subtree: &Subtree,
    before: &[LiveTable<'_>],
) -> Operation {
    // Tables that stand there now and not any longer when the step begins: earlier steps drop them.
    let is_dropped = |table: &&LiveTable<'_>| is_at_or_below(table.path, path);
    let dropped: Vec<LiveTable<'_>> = before.iter().filter(is_dropped).copied().collect();
    let left = subtree.nodes.saturating_sub(dropped_nodes(subtree, &dropped));
    let only_look = subtree.nodes == 0 && dropped.is_empty();
    let (effect, before, after) = if only_look {
        (Effect::Read, "nothing is there".to_owned(), "nothing is there")
    } else {
        let effect = if subtree.nodes > 0 { Effect::Destroy } else { Effect::Write };
        let nodes = count(left, "node");
        let words = match dropped.len() {
            0 => nodes,
            number => format!("{nodes} besides the tables that earlier steps drop ({number} on all hosts)"),
        };
        (effect, words, "gone, with everything below; exported before")
    };
    let planned = (!only_look).then(|| known(subtree, &dropped));
    let mut operation = Operation::new(
        context.step,
        NAME,
        if only_look { "look_at" } else { "clear" },
        format!("Keeper path {path}"),
        effect,
    )
    .statement(Statement::exact(format!("{} {path}", if only_look { "ls" } else { "rmr" })))
    .loses(Loss { keeper_nodes: if effect == Effect::Destroy { left } else { 0 }, ..Loss::default() })
    .promises(before, after, "the path does not exist")
    .with_data(&Data { path: path.to_owned(), only_look, planned });
    operation.target = Some(role.to_owned());
    "keeper".clone_into(&mut operation.lane);
    operation
}

/// Paths and replicas of tables.
fn replicas<'w>(tables: &[LiveTable<'w>]) -> HashSet<(&'w str, &'w str)> {
    tables.iter().map(|table| (table.path, table.replica)).collect()
}

/// Nodes that go with the tables that earlier steps drop: the whole table with its last replica, else the replica.
/// These change by themselves while a table lives (its log, its blocks), so they are not part of the loss.
fn dropped_nodes(subtree: &Subtree, dropped: &[LiveTable<'_>]) -> u64 {
    let known = replicas(dropped);
    let mut nodes = 0;
    for (path, table) in &subtree.tables {
        let gone = |replica: &str| known.contains(&(path.as_str(), replica));
        let all_gone = table.names().next().is_some() && table.names().all(gone);
        nodes += if all_gone {
            table.nodes
        } else {
            table.replicas.iter().filter(|(name, _)| gone(name)).map(|(_, replica)| replica.nodes).sum()
        };
    }
    for alike in &subtree.alike {
        let all_gone =
            |path: &&String| alike.replicas.iter().all(|name| known.contains(&(path.as_str(), name.as_str())));
        nodes += alike.nodes * alike.paths.iter().filter(all_gone).count() as u64;
    }
    nodes
}

fn facts(role: &str, path: &str, subtree: &Subtree) -> Vec<Fact> {
    let nowhere = HostName::default();
    let query =
        |columns: &str, path: &str| format!("SELECT {columns} FROM system.zookeeper WHERE path = {}", literal(path));
    let state = if subtree.nodes == 0 { ABSENT } else { "there" };
    let mut facts = vec![Fact::new(&nowhere, format!("Keeper path {path} of {role}"), state, query("name", path))];
    let of_replicas = |table: &str, names: &str| {
        let subject = format!("replicas in Keeper at {table} of {role}");
        Fact::new(&nowhere, subject, names, query("name", &format!("{table}/replicas")))
    };
    let of_still = |above: &str, seen: &str| {
        Fact::new(&nowhere, format!("Keeper nodes below {above} of {role}"), seen, query("name, value", above))
    };
    let words = |still: &Still| format!("{} ({})", still.names, still.digest);
    for (table, seen) in &subtree.tables {
        facts.push(of_replicas(table, &seen.names().collect::<Vec<_>>().join(", ")));
    }
    facts.extend(subtree.still.iter().map(|(above, still)| of_still(above, &words(still))));
    for alike in &subtree.alike {
        let (names, still) = (alike.replicas.join(", "), words(&alike.still));
        let each = alike.paths.par_iter().with_min_len(SHARE);
        facts.par_extend(each.flat_map_iter(|table| [of_replicas(table, &names), of_still(table, &still)]));
    }
    facts
}
