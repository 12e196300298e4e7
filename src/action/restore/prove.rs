//! Proves a restore: the rows of the manifest on every replica, nothing under way, no part put aside.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::engine::action::{Holds, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::model::ids::HostName;
use crate::model::words::count;

use super::data::{Gate, RestoreData, Rule, kind};
use super::rows::{Seen, evidence, is_settled, see, see_all, see_until, words};

/// Longest time that replication may take.
const REPLICATION: Duration = Duration::from_secs(600);

/// Proves the post-condition.
pub(crate) async fn prove(context: &RunContext<'_>) -> Result<Value, RunError> {
    let data: RestoreData = context.data()?;
    match context.operation.kind.as_str() {
        kind::DEFINITION => there(context, &data).await,
        kind::UNSTAGE => gone(context, &data).await,
        _ => rows(context, &data).await,
    }
}

fn unseen(context: &RunContext<'_>, error: &crate::engine::ports::SqlError) -> RunError {
    RunError::from_sql(format!("{} {}: looking at the result", context.operation.id, context.operation.object), error)
}

async fn rows(context: &RunContext<'_>, data: &RestoreData) -> Result<Value, RunError> {
    let gate: Gate = context.intent_data().unwrap_or_default();
    let hosts: Vec<HostName> = gate.hosts.keys().cloned().collect();
    let this = context.operation.kind.as_str();
    let table = data.filled(this);
    // What lies beside the real table is as it was in the backup, whatever the real table does with its rows.
    let rule = if this == kind::STAGE { Rule::Equal } else { data.rule };
    let enough =
        |seen: &[Seen]| verdict(&gate, &hosts, seen, rule) == Verdict::Proved || is_beyond(&gate, &hosts, seen);
    let limit = context.timeout.min(REPLICATION);
    let seen = see_until(context, &hosts, (&data.database, table), limit, enough)
        .await
        .map_err(|error| unseen(context, &error))?;
    if let Verdict::Failed(what) = verdict(&gate, &hosts, &seen, rule) {
        let expected: Vec<String> = hosts
            .iter()
            .map(|host| {
                format!("{} on {host}", gate.expected(host).map_or("some rows".to_owned(), |rows| count(rows, "row")))
            })
            .collect();
        let detached: Vec<String> = hosts
            .iter()
            .zip(&seen)
            .filter(|(host, seen)| more_detached(&gate, host, seen))
            .map(|(host, seen)| format!("{} on {host}", count(seen.detached, "detached part")))
            .collect();
        let more = if detached.is_empty() { String::new() } else { format!("; {}", detached.join(", ")) };
        return Err(context.fail(
            RunErrorKind::Broken,
            what,
            expected.join(", "),
            format!("{}{more}", words(&hosts, &seen)),
            evidence(&hosts, &data.database, table),
            "the server said that it is done, and it is not what was promised: look at the table before anything else is done with it",
        ));
    }
    let by_host = |value: &dyn Fn(&Seen) -> Value| -> BTreeMap<String, Value> {
        hosts.iter().map(|host| host.0.clone()).zip(seen.iter().map(value)).collect()
    };
    Ok(json!({
        "database": data.database,
        "table": table,
        "shard": data.shard,
        "manifest_rows": gate.rows,
        "rows_before": gate.hosts.iter().map(|(host, before)| (host.0.clone(), json!(before.rows))).collect::<BTreeMap<String, Value>>(),
        "rows": by_host(&|seen| json!(seen.rows)),
        "uuid": by_host(&|seen| json!(seen.uuid)),
        "rule": rule,
        "blocks": by_host(&|seen| json!(seen.blocks)),
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Proved,
    Failed(&'static str),
}

fn more_detached(gate: &Gate, host: &HostName, seen: &Seen) -> bool {
    seen.detached > gate.hosts.get(host).map_or(0, |before| before.detached)
}

/// Rows will only become fewer: no use waiting.
fn is_beyond(gate: &Gate, hosts: &[HostName], seen: &[Seen]) -> bool {
    hosts
        .iter()
        .zip(seen)
        .any(|(host, seen)| !seen.exists() || gate.expected(host).is_some_and(|expected| seen.rows > expected))
}

fn verdict(gate: &Gate, hosts: &[HostName], seen: &[Seen], rule: Rule) -> Verdict {
    if seen.iter().any(|seen| !seen.exists()) {
        return Verdict::Failed("the table is not on every replica");
    }
    if !is_settled(seen) {
        return Verdict::Failed("its replicas do not come to rest");
    }
    if hosts.iter().zip(seen).any(|(host, seen)| more_detached(gate, host, seen)) {
        return Verdict::Failed("parts were detached");
    }
    let fits =
        |(host, seen): (&HostName, &Seen)| gate.expected(host).is_none_or(|expected| rule.allows(seen.rows, expected));
    if !hosts.iter().zip(seen).all(fits) {
        return Verdict::Failed("its rows are not those of the backup");
    }
    // With merges still to come, replicas may differ for a while where merging takes rows away.
    let differ =
        seen.windows(2).any(|pair| pair[0].rows != pair[1].rows) && gate.hosts.values().all(|before| before.rows == 0);
    if differ && seen.iter().all(|seen| seen.queue == 0) {
        return Verdict::Failed("its replicas hold different numbers of rows");
    }
    Verdict::Proved
}

async fn there(context: &RunContext<'_>, data: &RestoreData) -> Result<Value, RunError> {
    let seen =
        see_all(context, &data.copies, &data.database, &data.table).await.map_err(|error| unseen(context, &error))?;
    if seen.iter().any(|seen| !seen.exists()) {
        return Err(context.fail(
            RunErrorKind::Broken,
            "it is not there",
            "its definition as in the backup",
            words(&data.copies, &seen),
            evidence(&data.copies, &data.database, &data.table),
            "look at the server's log, then plan again",
        ));
    }
    let uuid: BTreeMap<String, &str> =
        data.copies.iter().map(|host| host.0.clone()).zip(seen.iter().map(|seen| seen.uuid.as_str())).collect();
    Ok(json!({ "database": data.database, "table": data.table, "shard": data.shard, "uuid": uuid }))
}

async fn gone(context: &RunContext<'_>, data: &RestoreData) -> Result<Value, RunError> {
    let (host, table) = (context.host()?, data.filled(kind::STAGE));
    let seen = see(context, host, &data.database, table).await.map_err(|error| unseen(context, &error))?;
    if seen.exists() {
        return Err(context.fail(
            RunErrorKind::Broken,
            "it is still there",
            "gone",
            count(seen.rows, "row"),
            evidence(std::slice::from_ref(host), &data.database, table),
            "drop it",
        ));
    }
    Ok(json!({ "database": data.database, "table": table, "shard": data.shard }))
}

/// The table is still the one that was filled, and no row of it is missing.
pub(crate) async fn still_holds(context: &RunContext<'_>, outcome: &Value) -> Holds {
    let data: RestoreData = match context.data() {
        Ok(data) => data,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    // What lies beside is made and dropped by the same step.
    if matches!(context.operation.kind.as_str(), kind::STAGE | kind::UNSTAGE) {
        return Holds::Yes;
    }
    for host in &data.copies {
        let seen = match see(context, host, &data.database, &data.table).await {
            Ok(seen) => seen,
            Err(error) => return Holds::CannotTell(Box::new(unseen(context, &error).refusal)),
        };
        let proved = |key: &str| outcome.get(key).and_then(|hosts| hosts.get(host.as_str()));
        let rows = proved("rows").and_then(Value::as_u64).unwrap_or(0);
        let same_table = proved("uuid").and_then(Value::as_str) == Some(seen.uuid.as_str());
        let same_rows = match data.rule {
            Rule::Equal => seen.rows >= rows,
            Rule::AtMost => seen.rows > 0 || rows == 0,
            Rule::AtMostOrNone => true,
        };
        if !(seen.exists() && same_table && same_rows) {
            return Holds::No(Box::new(context.refusal(
                "what was restored is not there any longer",
                format!(
                    "the table with uuid {} and at least {} on {host}",
                    proved("uuid").and_then(Value::as_str).unwrap_or("-"),
                    count(rows, "row")
                ),
                if seen.exists() {
                    format!("uuid {}, {}", seen.uuid, count(seen.rows, "row"))
                } else {
                    "no such table".to_owned()
                },
                evidence(std::slice::from_ref(host), &data.database, &data.table),
                "find out who changed it; plan again for what is left to do",
            )));
        }
    }
    Holds::Yes
}

#[cfg(test)]
mod tests {
    use super::super::data::Before;
    use super::*;

    fn case(rows: &[(u64, u64)], promised: u64, rule: Rule) -> Verdict {
        let hosts: Vec<HostName> = (1..=rows.len()).map(|n| HostName(format!("r{n}"))).collect();
        let gate = Gate {
            hosts: hosts.iter().cloned().map(|host| (host, Before::default())).collect(),
            rows: Some(promised),
            clears: false,
        };
        let seen: Vec<Seen> = rows
            .iter()
            .map(|(rows, queue)| Seen { engine: "MergeTree".to_owned(), rows: *rows, queue: *queue, ..Seen::default() })
            .collect();
        verdict(&gate, &hosts, &seen, rule)
    }

    #[test]
    fn every_replica_has_the_rows() {
        assert_eq!(case(&[(9, 0), (9, 3)], 9, Rule::Equal), Verdict::Proved);
        assert!(matches!(case(&[(9, 0), (8, 0)], 9, Rule::Equal), Verdict::Failed(_)));
        assert!(matches!(case(&[(18, 0), (18, 0)], 9, Rule::Equal), Verdict::Failed(_)));
        assert_eq!(case(&[(5, 0), (5, 0)], 9, Rule::AtMost), Verdict::Proved);
        assert_eq!(case(&[(9, 0), (5, 1)], 9, Rule::AtMost), Verdict::Proved);
        assert!(matches!(case(&[(9, 0), (5, 0)], 9, Rule::AtMost), Verdict::Failed(_)));
        assert!(matches!(case(&[(0, 0), (0, 0)], 9, Rule::AtMost), Verdict::Failed(_)));
    }

    #[test]
    fn a_part_put_aside_is_a_failure() {
        let hosts = [HostName::from("r1")];
        let gate =
            Gate { hosts: BTreeMap::from([(hosts[0].clone(), Before::default())]), rows: Some(1), clears: false };
        let seen = [Seen { engine: "MergeTree".to_owned(), rows: 1, detached: 1, ..Seen::default() }];
        assert_eq!(verdict(&gate, &hosts, &seen, Rule::Equal), Verdict::Failed("parts were detached"));
    }
}
