//! The gate of every operation: no row may come twice. RESTORE's own guard looks at the local replica only, so the
//! table is looked at on all replicas, when nothing is under way between them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::action::backup::not_sent;
use crate::action::gate::same_server;
use crate::action::undo::table::Left;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::journal::{Entry, OutcomeKind, read_journal};
use crate::model::ids::HostName;
use crate::plan::sql::{literal, qualified};

use super::data::{Before, Gate, RestoreData, kind};
use super::rows::{Seen, evidence, see, see_until, words};
use super::undo::tables_left;

/// How long replicas may take to come to rest.
const REST: Duration = Duration::from_secs(60);

/// The gate.
pub(crate) async fn prepare(context: &RunContext<'_>) -> Result<Gate, RunError> {
    let data: RestoreData = context.data()?;
    no_other_restore(context, &data).await?;
    match context.operation.kind.as_str() {
        kind::DEFINITION => {
            let seen = look(context, &data.copies, &data, &data.table, |_| true).await?;
            if seen.iter().any(Seen::exists) {
                return Err(closed(context, &data, "it is there already", "not there", words(&data.copies, &seen)));
            }
            Ok(Gate::default())
        }
        kind::UNSTAGE => still_staged(context, &data).await,
        kind::STAGE => {
            creation(context, &data, &data.copies[..data.copies.len().min(1)], data.filled(kind::STAGE)).await
        }
        kind::TABLE if data.creates => creation(context, &data, &data.copies, &data.table).await,
        other => filling(context, &data, other).await,
    }
}

/// Looks at the table on the hosts until they are at rest.
async fn look(
    context: &RunContext<'_>,
    hosts: &[HostName],
    data: &RestoreData,
    table: &str,
    enough: impl Fn(&[Seen]) -> bool,
) -> Result<Vec<Seen>, RunError> {
    see_until(context, hosts, (&data.database, table), REST, enough).await.map_err(|error| not_sent(context, &error))
}

fn closed(context: &RunContext<'_>, data: &RestoreData, what: &str, expected: &str, found: String) -> RunError {
    let table = data.filled(&context.operation.kind);
    context.fail(
        RunErrorKind::NotSent,
        what,
        expected,
        found,
        evidence(&data.copies, &data.database, table),
        "nothing was sent; find out who made it so, then plan again",
    )
}

/// An operation that creates its table: it is not there, or it is what an earlier attempt of this operation left.
async fn creation(
    context: &RunContext<'_>,
    data: &RestoreData,
    hosts: &[HostName],
    table: &str,
) -> Result<Gate, RunError> {
    let rows = rows_of_backup(context, data).map_err(|error| *error)?;
    let seen = look(context, hosts, data, table, |_| true).await?;
    let is_there = seen.iter().any(Seen::exists);
    // Only what nobody else can have written to is removed: the staging table, or a table without a row.
    let is_harmless = context.operation.kind == kind::STAGE || seen.iter().all(Seen::is_empty);
    let clears = is_there && is_harmless && is_own_remainder(context, hosts, &seen).await;
    if is_there && !clears {
        return Err(closed(context, data, "it is there already", "not there", words(hosts, &seen)));
    }
    let hosts = hosts.iter().map(|host| (host.clone(), Before::default())).collect();
    Ok(Gate { hosts, rows, clears })
}

/// The table beside that is dropped is the very one that this step made.
async fn still_staged(context: &RunContext<'_>, data: &RestoreData) -> Result<Gate, RunError> {
    let (host, staging) = (context.host()?, data.filled(kind::STAGE));
    same_server(context, host).await?;
    let made = context.plan.operations_of(&context.operation.step).find_map(|other| {
        let of: RestoreData = other.data.read().ok()?;
        let is_same = (&of.database, &of.table, &of.shard) == (&data.database, &data.table, &data.shard);
        let outcome = context.outcomes.get(&other.id).filter(|_| other.kind == kind::STAGE && is_same)?;
        outcome.get("uuid")?.get(host.as_str())?.as_str().map(str::to_owned)
    });
    let seen = see(context, host, &data.database, staging).await.map_err(|error| not_sent(context, &error))?;
    match &made {
        Some(made) if !seen.exists() || seen.uuid == *made => Ok(Gate::default()),
        _ => Err(context.fail(
            RunErrorKind::NotSent,
            format!("{} is not the table that this step made", qualified(&data.database, staging)),
            made.map_or_else(|| "a table that the journal tells of".to_owned(), |made| format!("UUID {made}")),
            if seen.exists() { format!("UUID {}", seen.uuid) } else { "no such table".to_owned() },
            format!(
                "on {host}: SELECT uuid FROM system.tables WHERE database = {} AND name = {}",
                literal(&data.database),
                literal(staging)
            ),
            "nothing was dropped; find out who made it, move it away, then `clickferry resume`",
        )),
    }
}

/// An operation that fills a table which is there.
async fn filling(context: &RunContext<'_>, data: &RestoreData, kind: &str) -> Result<Gate, RunError> {
    let rows = if kind == kind::INSERT {
        staged_rows(context, data).await?
    } else {
        rows_of_backup(context, data).map_err(|error| *error)?
    };
    // A queue of merges alone would do no harm, but a table that is just made has none.
    let at_rest = |seen: &[Seen]| {
        seen.iter().all(|seen| seen.exists() && seen.pending.is_empty() && (data.appends || seen.queue == 0))
    };
    let seen = look(context, &data.copies, data, &data.table, at_rest).await?;
    let found = words(&data.copies, &seen);
    if seen.iter().any(|seen| !seen.exists()) {
        return Err(closed(context, data, "it is not on every replica", "the table on every replica", found));
    }
    if !data.seen && data.copies.len() > 1 && seen.iter().any(|seen| !seen.replicated) {
        return Err(closed(
            context,
            data,
            "it does not replicate, so restoring it on one replica would leave the others without its rows",
            "a replicated table",
            format!("engine {}", seen[0].engine),
        ));
    }
    if !at_rest(&seen) {
        return Err(closed(
            context,
            data,
            "its replicas do not come to rest",
            "nothing to fetch, no unread log, empty queues",
            found,
        ));
    }
    let is_empty = seen.iter().all(Seen::is_empty);
    if !is_empty && !data.appends {
        return Err(closed(
            context,
            data,
            "it holds rows already, and restoring would double some",
            "no rows on any replica",
            found,
        ));
    }
    let before = |seen: &Seen| Before { rows: seen.rows, detached: seen.detached };
    let hosts: BTreeMap<HostName, Before> = data.copies.iter().cloned().zip(seen.iter().map(before)).collect();
    Ok(Gate { hosts, rows, clears: false })
}

/// Rows that the backup holds of the table; `None` where it does not tell.
pub(crate) fn rows_of_backup(context: &RunContext<'_>, data: &RestoreData) -> Result<Option<u64>, Box<RunError>> {
    let Some(step) = &data.origin.step else { return Ok(data.rows) };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let outcomes = context.outcomes_of(step);
    let outcome = outcomes.iter().find(|outcome| text(outcome, "shard").as_deref() == Some(data.origin.shard.as_str()));
    let tables = outcome.and_then(|outcome| outcome.get("tables")).and_then(Value::as_array);
    let entry = tables.into_iter().flatten().find(|table| {
        text(table, "database").as_deref() == Some(data.database.as_str())
            && text(table, "table").as_deref() == Some(data.table.as_str())
    });
    match entry {
        Some(entry) => Ok(entry.get("rows").and_then(Value::as_u64)),
        None => Err(Box::new(context.fail(
            RunErrorKind::NotSent,
            format!("the backup of step `{step}` does not have the table"),
            format!("{} in it", qualified(&data.database, &data.table)),
            "no such table in what the step proved",
            "clickferry status RUN; what the step proved stands in the run's journal.jsonl",
            "plan again",
        ))),
    }
}

async fn staged_rows(context: &RunContext<'_>, data: &RestoreData) -> Result<Option<u64>, RunError> {
    let staging = data.filled(kind::STAGE);
    let host = context.host()?;
    let seen = see(context, host, &data.database, staging).await.map_err(|error| not_sent(context, &error))?;
    if !seen.exists() {
        return Err(context.fail(
            RunErrorKind::NotSent,
            "the table beside it is gone",
            qualified(&data.database, staging),
            "it is not there",
            evidence(std::slice::from_ref(host), &data.database, staging),
            "find out who dropped it; plan again for what is left",
        ));
    }
    Ok(Some(seen.counted))
}

/// Restores that are not of this run could fill the same table, which `system.backups` does not tell.
async fn no_other_restore(context: &RunContext<'_>, data: &RestoreData) -> Result<(), RunError> {
    let own_run = format!("clickferry-{}-", context.run.id);
    let id = context.query_id();
    let own_operation = id.rsplit_once('-').map_or(id.as_str(), |(head, _)| head).to_owned() + "-";
    for host in &data.copies {
        let query = "SELECT toString(id) AS id FROM system.backups WHERE status = 'RESTORING' ORDER BY id";
        let answer = context.read(host, query).await.map_err(|error| not_sent(context, &error))?;
        let running: Vec<String> = (0..answer.rows.len()).filter_map(|row| answer.text(row, "id")).collect();
        if let Some(other) = running.iter().find(|id| !id.starts_with(&own_run) || id.starts_with(&own_operation)) {
            return Err(context.fail(
                RunErrorKind::NotSent,
                format!("another restore is running on {host}"),
                "no restore but those of this run",
                format!("the restore {other}"),
                format!("on {host}: SELECT id, name, start_time FROM system.backups WHERE id = {}", literal(other)),
                "wait for its end, then `clickferry resume`",
            ));
        }
    }
    Ok(())
}

/// Whether what is there was left by an earlier attempt of this very operation: its gate saw nothing, it was begun, its
/// probe found that it did not come to its end, and this table was there then. The journal is the only witness that
/// counts.
async fn is_own_remainder(context: &RunContext<'_>, hosts: &[HostName], seen: &[Seen]) -> bool {
    if context.attempt < 2 {
        return false;
    }
    let Ok(bytes) = context.ports.state.get(&context.run.id, "journal.jsonl").await else { return false };
    let Ok(journal) = read_journal(&bytes, &context.ports.state.describe()) else { return false };
    let entries: Vec<&Entry> = journal.records.iter().map(|record| &record.entry).collect();
    let left = left_by(&entries, context.operation.id.as_str());
    let is_known = |host: &HostName, uuid: &str| {
        left.iter().any(|left| left.get(host).and_then(|left| left.uuid.as_deref()) == Some(uuid))
    };
    hosts.iter().zip(seen).all(|(host, seen)| !seen.exists() || is_known(host, &seen.uuid))
}

/// The tables that attempts which began with nothing there left behind, by host.
fn left_by(entries: &[&Entry], id: &str) -> Vec<BTreeMap<HostName, Left>> {
    let mut begun_empty: Option<u32> = None;
    let mut left = Vec::new();
    for entry in entries {
        match entry {
            Entry::Intent { operation, attempt, data, .. } if operation.as_str() == id => {
                let gate: Option<Gate> = serde_json::from_value(data.clone()).ok();
                begun_empty = gate.filter(Gate::was_empty).map(|_| *attempt);
            }
            Entry::Outcome { operation, attempt, kind: OutcomeKind::NotDone, data, .. }
                if operation.as_str() == id && begun_empty == Some(*attempt) =>
            {
                left.extend(Some(tables_left(data)).filter(|tables| !tables.is_empty()));
            }
            _ => {}
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ids::OperationId;

    fn intent(attempt: u32, rows: u64) -> Entry {
        let gate = Gate {
            hosts: BTreeMap::from([(HostName::from("r1"), Before { rows, detached: 0 })]),
            rows: Some(9),
            clears: false,
        };
        Entry::Intent {
            operation: OperationId::from("restore/1"),
            attempt,
            query_id: String::new(),
            statements: String::new(),
            data: serde_json::to_value(gate).expect("json"),
        }
    }

    fn not_done(attempt: u32, left: Value) -> Entry {
        let (operation, kind) = (OperationId::from("restore/1"), OutcomeKind::NotDone);
        Entry::Outcome { operation, attempt, kind, data: left.into(), error: None }
    }

    #[test]
    fn only_a_table_that_an_attempt_was_seen_to_leave_is_a_remainder() {
        let tells = |entries: &[Entry]| left_by(&entries.iter().collect::<Vec<_>>(), "restore/1").len();
        let table = || json!({ "r1": { "uuid": "u", "rows": 0, "blocks": null } });
        let found = left_by(&[&intent(1, 0), &not_done(1, table())], "restore/1");
        assert_eq!(found[0][&HostName::from("r1")].uuid.as_deref(), Some("u"));
        // Also where the second attempt came to nothing before it removed it.
        assert_eq!(tells(&[intent(1, 0), not_done(1, table()), intent(2, 0), not_done(2, Value::Null)]), 1);
        // Nothing was there then: what is there now is somebody else's.
        assert_eq!(tells(&[intent(1, 0), not_done(1, Value::Null)]), 0);
        assert_eq!(tells(&[intent(1, 0)]), 0);
        assert_eq!(tells(&[intent(1, 5), not_done(1, table())]), 0);
        assert_eq!(left_by(&[&intent(1, 0), &not_done(1, table())], "restore/2").len(), 0);
    }
}
