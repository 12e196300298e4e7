//! Whether the hosts agree which table stands behind a name: by its path in Keeper, the same on all replicas of a shard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Data;
use super::run::is_passed_on;
use super::swap::{Named, Standing, names_query, of_each, standing, words};
use crate::action::gate::{cannot_tell, same_server, unread};
use crate::engine::action::{Holds, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompareData {
    /// The names.
    pub names: [Named; 2],
    /// The hosts, with their shards and with what the plan knows of the names on them.
    pub hosts: Vec<Planned>,
    /// Whether it is compared after the exchange.
    pub is_after: bool,
}

/// A host, and the UUIDs that the plan knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Host.
    pub host: HostName,
    /// Shard.
    pub shard: String,
    /// UUIDs before the exchange.
    pub uuids: Standing,
}

/// Paths behind two names; `None` where the table is not replicated.
pub type Paths = [Option<String>; 2];

/// The question for the paths.
pub fn paths_query(names: &[Named; 2]) -> String {
    let [one, other] = names
        .each_ref()
        .map(|named| format!("(database = {} AND table = {})", literal(&named.database), literal(&named.name)));
    format!("SELECT database, table, zookeeper_path FROM system.replicas WHERE {one} OR {other}")
}

async fn paths(context: &RunContext<'_>, host: &HostName, names: &[Named; 2]) -> Result<Paths, SqlError> {
    let answer = context.read(host, paths_query(names)).await?;
    Ok(of_each(&answer, names, "table", "zookeeper_path"))
}

/// Where replicas of one shard do not agree on a path: one text per shard and name, with what each host says. `asked`
/// tells which of the two names are compared.
pub fn disagreements(names: &[Named; 2], found: &[(HostName, String, Paths)], asked: [bool; 2]) -> Vec<String> {
    let mut shards: BTreeMap<&str, Vec<(&HostName, &Paths)>> = BTreeMap::new();
    for (host, shard, paths) in found {
        shards.entry(shard).or_default().push((host, paths));
    }
    let mut texts = Vec::new();
    for hosts in shards.values() {
        for at in [0, 1].into_iter().filter(|at| asked[*at]) {
            let path = |paths: &Paths| paths[at].clone().unwrap_or_else(|| "no path in Keeper".to_owned());
            if hosts.iter().any(|(_, paths)| paths[at] != hosts[0].1[at]) {
                let told: Vec<String> =
                    hosts.iter().map(|(host, paths)| format!("{} on {host}", path(paths))).collect();
                texts.push(format!("{} is {}", names[at].sql(), told.join(", ")));
            }
        }
    }
    texts
}

fn evidence(data: &CompareData) -> String {
    let query = paths_query(&data.names);
    data.hosts.iter().map(|planned| format!("on {}: {query}", planned.host)).collect::<Vec<_>>().join("\n")
}

/// The servers are those of the plan.
pub async fn prepare(context: &RunContext<'_>, data: &CompareData) -> Result<Value, RunError> {
    for planned in &data.hosts {
        same_server(context, &planned.host).await?;
    }
    Ok(Value::Null)
}

async fn found(context: &RunContext<'_>, data: &CompareData) -> Result<Vec<(HostName, String, Paths)>, SqlError> {
    let mut found = Vec::new();
    for planned in &data.hosts {
        found.push((planned.host.clone(), planned.shard.clone(), paths(context, &planned.host, &data.names).await?));
    }
    Ok(found)
}

pub async fn prove(context: &RunContext<'_>, data: &CompareData) -> Result<Value, RunError> {
    let explain = |error: SqlError| unread(context, "comparing the names", &error);
    if !data.is_after {
        as_planned(context, data, false).await?;
    }
    let found = found(context, data).await.map_err(explain)?;
    let differences = disagreements(&data.names, &found, [true, true]);
    if differences.is_empty() {
        let told: BTreeMap<&str, &Paths> = found.iter().map(|(host, _, paths)| (host.as_str(), paths)).collect();
        return Ok(json!({ "names": data.names, "paths": told }));
    }
    let action = if data.is_after {
        "stop whoever writes to these tables, for replicas would mix their rows; find out who else exchanged them and \
         where, then `clickferry resume`, or `clickferry undo`"
    } else {
        "nothing was sent; stop whoever writes to these tables, find out where they were exchanged, and bring both names \
         back to one table on all replicas; then `clickferry resume`"
    };
    let what = "the replicas do not agree which table stands behind a name";
    Err(context.fail(
        RunErrorKind::Differs,
        what,
        "the same path in Keeper on every replica of a shard",
        differences.join("\n"),
        evidence(data),
        action,
    ))
}

/// No host has other tables than the plan: else one host would be exchanged, and the gate of the next would refuse.
/// Once some are exchanged, the names may stand for each other's tables.
async fn as_planned(context: &RunContext<'_>, data: &CompareData, may_be_swapped: bool) -> Result<(), RunError> {
    let (mut expected, mut others, mut queries) = (Vec::new(), Vec::new(), Vec::new());
    for planned in &data.hosts {
        let now = standing(context, &planned.host, &data.names)
            .await
            .map_err(|error| unread(context, "looking at the names", &error))?;
        let is =
            |at: usize, of: usize| now[at].is_some() && (planned.uuids[of].is_none() || planned.uuids[of] == now[at]);
        let is_known = is(0, 0) && is(1, 1) || may_be_swapped && is(0, 1) && is(1, 0);
        if !is_known {
            expected.push(format!("on {}: {}", planned.host, words(&data.names, &planned.uuids)));
            others.push(format!("on {}: {}", planned.host, words(&data.names, &now)));
            queries.push(format!("on {}: {}", planned.host, names_query(&data.names)));
        }
    }
    if others.is_empty() {
        return Ok(());
    }
    Err(context.fail(
        RunErrorKind::Differs,
        "other tables stand under these names than at planning",
        expected.join("\n"),
        others.join("\n"),
        queries.join("\n"),
        "nothing was sent; find out who renamed, dropped or made them; where the former tables are back, `clickferry resume`, \
         else plan again",
    ))
}

/// Whether the exchange has come to its end on all hosts.
fn is_done(context: &RunContext<'_>, data: &CompareData) -> bool {
    let of_step = context.plan.operations_of(&context.operation.step);
    of_step
        .filter(|other| matches!(other.data.read(), Ok(Data::Exchange(swap)) if swap.names == data.names))
        .all(|other| context.outcomes.get(&other.id).is_some())
}

/// After the exchange, the first name is the same table everywhere; the other one may be dropped since, host by host.
/// Before its end, nobody else may have touched the names: a resume would exchange the hosts that are left.
pub async fn still_holds(context: &RunContext<'_>, data: &CompareData) -> Holds {
    if !data.is_after && !is_done(context, data) {
        return match as_planned(context, data, true).await {
            Ok(()) => Holds::Yes,
            Err(RunError { kind: RunErrorKind::Differs, refusal, .. }) => Holds::No(Box::new(refusal)),
            Err(RunError { refusal, .. }) => Holds::CannotTell(Box::new(refusal)),
        };
    }
    if !data.is_after || data.hosts.iter().any(|planned| is_passed_on(context, &planned.host, &data.names)) {
        return Holds::Yes;
    }
    let found = match found(context, data).await {
        Ok(found) => found,
        Err(error) => return cannot_tell(context, &error),
    };
    let differences = disagreements(&data.names, &found, [true, false]);
    if differences.is_empty() {
        return Holds::Yes;
    }
    Holds::No(Box::new(context.refusal(
        "the replicas do not agree any longer which table stands behind a name",
        "the same path in Keeper on every replica of a shard",
        differences.join("\n"),
        evidence(data),
        "stop whoever writes to these tables, for replicas would mix their rows, and find out who exchanged them",
    )))
}
