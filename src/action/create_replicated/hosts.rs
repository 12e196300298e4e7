//! Whether the hosts of the target can have the tables: the database, and macros that tell shards and replicas apart.

use std::collections::BTreeSet;

use super::Arguments;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::sql::identifier;

/// Databases that are missing, and macros that do not make one path per shard and one name per replica.
pub fn problems(context: &PlanContext<'_>, arguments: &Arguments, target: &TargetWorld) -> Vec<Refusal> {
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
    let places: Vec<(&HostWorld, String, String)> = target
        .hosts
        .iter()
        .map(|host| (host, host.expand_macros(arguments.path.as_str()), host.expand_macros(&arguments.replica)))
        .collect();
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
