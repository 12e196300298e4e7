//! What became of an operation whose outcome was lost, from the server's list and from the rows themselves.

use std::time::Duration;

use crate::action::backup::server::{self, Stage};
use crate::engine::action::{Probe, RunError};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::model::words::count;
use crate::plan::sql::literal;

use super::data::{Gate, RestoreData, kind};
use super::rows::{Seen, evidence, is_settled, see, see_until, words};

/// How long an answer may be under way between replicas. An INSERT that was answered with 999 "Session expired" had
/// its rows in the table a moment later (seen with 26.7).
const REST: Duration = Duration::from_secs(60);

/// Asks.
pub(crate) async fn probe(context: &RunContext<'_>) -> Probe {
    let asked = async {
        let data: RestoreData = context.data()?;
        let gate: Gate = context.intent_data().unwrap_or_default();
        Ok::<_, RunError>(ask(context, &data, &gate).await.unwrap_or_else(|error| {
            let host = context.operation.host.as_ref().map_or_else(String::new, |host| format!("on {host}: "));
            Probe::Unknown(Box::new(context.refusal(
                "what became of it cannot be told, because a host does not answer",
                "an answer of every host that holds the table",
                error.to_string(),
                format!("{host}SELECT status, error FROM system.backups WHERE id = {}", literal(&context.query_id())),
                "bring the host back, then `clickferry resume`",
            )))
        }))
    };
    asked.await.unwrap_or_else(|error| Probe::Unknown(Box::new(error.refusal)))
}

/// What a stopped attempt left in its table, for people.
pub(crate) async fn leftovers(context: &RunContext<'_>) -> Result<String, RunError> {
    let data: RestoreData = context.data()?;
    let gate: Gate = context.intent_data().unwrap_or_default();
    let hosts: Vec<HostName> = gate.hosts.keys().cloned().collect();
    let table = data.filled(&context.operation.kind);
    let found = match see_until(context, &hosts, (&data.database, table), REST, is_settled).await {
        Ok(seen) => words(&hosts, &seen),
        Err(error) => error.to_string(),
    };
    Ok(format!("the restore of {}.{table} was stopped; there now: {found}", data.database))
}

async fn ask(context: &RunContext<'_>, data: &RestoreData, gate: &Gate) -> Result<Probe, SqlError> {
    let Some(host) = &context.operation.host else { return Ok(Probe::NotDone) };
    let this = context.operation.kind.as_str();
    let id = context.query_id();
    let mut is_known = true;
    if !matches!(this, kind::INSERT | kind::UNSTAGE) {
        match server::look(context, host, &id).await?.map(|task| task.stage) {
            Some(Stage::Running) => return Ok(Probe::Running),
            Some(Stage::Done) => return Ok(Probe::Done),
            Some(Stage::Failed(_)) => {}
            None => is_known = false,
        }
    }
    // The second statement of an attempt has an id of its own.
    for id in [id.clone(), format!("{id}-1")] {
        if server::is_in_progress(context, host, &id).await? {
            return Ok(Probe::Running);
        }
    }
    match this {
        kind::DEFINITION => {
            let there = see_one(context, host, data, &data.table).await?.exists();
            Ok(if there { Probe::Done } else { Probe::NotDone })
        }
        kind::UNSTAGE => {
            let there = see_one(context, host, data, data.filled(kind::STAGE)).await?.exists();
            Ok(if there { Probe::NotDone } else { Probe::Done })
        }
        _ => match by_rows(context, data, gate).await? {
            Probe::Done if !is_known && is_up_since_the_intent(context, host).await? => {
                Ok(Probe::Unknown(Box::new(context.refusal(
                    "as many rows are there as the backup holds, and the server knows no such restore",
                    format!("the restore {id} in system.backups of a server that has been up since it was sent"),
                    "none: the rows came in another way",
                    format!("on {host}: SELECT id, status, start_time FROM system.backups"),
                    "look whose rows these are. If they are not those of the backup, move them away and empty the table, then `clickferry resume`; if they are, `clickferry resolve RUN OPERATION --done --reason ...`",
                ))))
            }
            probe => Ok(probe),
        },
    }
}

/// Whether the server has been up since before the attempt began: then its list holds every restore that was sent. Where
/// the clocks differ, a person is asked who need not be, and nothing else.
async fn is_up_since_the_intent(context: &RunContext<'_>, host: &HostName) -> Result<bool, SqlError> {
    let query = "SELECT toUInt64(toUnixTimestamp(now()) - uptime()) AS began";
    let began = context.read(host, query).await?.number(0, "began").unwrap_or(u64::MAX);
    Ok(i64::try_from(began).is_ok_and(|began| began < context.intended_at.as_second()))
}

async fn see_one(context: &RunContext<'_>, host: &HostName, data: &RestoreData, table: &str) -> Result<Seen, SqlError> {
    see(context, host, &data.database, table).await
}

async fn by_rows(context: &RunContext<'_>, data: &RestoreData, gate: &Gate) -> Result<Probe, SqlError> {
    let hosts: Vec<HostName> = gate.hosts.keys().cloned().collect();
    let table = data.filled(&context.operation.kind);
    let seen = see_until(context, &hosts, (&data.database, table), REST, is_settled).await?;
    let is_settled = is_settled(&seen);
    let is_staging = context.operation.kind == kind::STAGE;
    let creates = data.creates || is_staging;
    let verdict =
        if is_settled { judge(gate, &hosts, &seen, creates, is_staging, data.appends) } else { Verdict::Unclear };
    Ok(match verdict {
        Verdict::Done => Probe::Done,
        Verdict::NotDone => Probe::NotDone,
        Verdict::Unclear => Probe::Unknown(Box::new(context.refusal(
            if is_settled { "its rows are neither what was before nor what was promised" } else { "its replicas do not come to rest" },
            format!("{} before, and {} more when done", before_words(gate), gate.rows.map_or("some".to_owned(), |rows| count(rows, "row"))),
            words(&hosts, &seen),
            evidence(&hosts, &data.database, table),
            "look whose rows these are: clickferry never empties a table that others may have written to. If they are the restore's own, empty the table (TRUNCATE TABLE on one replica), then `clickferry resume`",
        ))),
    })
}

fn before_words(gate: &Gate) -> String {
    gate.hosts
        .iter()
        .map(|(host, before)| format!("{} on {host}", count(before.rows, "row")))
        .collect::<Vec<_>>()
        .join(", ")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    NotDone,
    Unclear,
}

/// Judges by rows alone, for an operation of which nothing runs any more.
fn judge(gate: &Gate, hosts: &[HostName], seen: &[Seen], creates: bool, is_staging: bool, appends: bool) -> Verdict {
    let both = || hosts.iter().zip(seen);
    let before = |host: &HostName| gate.hosts.get(host).map_or(0, |before| before.rows);
    if creates && seen.iter().all(|seen| !seen.exists()) {
        return Verdict::NotDone;
    }
    if !creates && seen.iter().any(|seen| !seen.exists()) {
        return Verdict::Unclear;
    }
    if both().all(|(host, seen)| seen.rows == before(host)) {
        return Verdict::NotDone;
    }
    // Merges only take rows away, so all of them means that all came. Files of the Log family are written one by
    // one: the number of rows may be there before all columns are.
    if both().all(|(host, seen)| seen.in_parts && gate.expected(host) == Some(seen.rows)) {
        return Verdict::Done;
    }
    // Rows in between: nothing proves that all of them are the restore's, so no table that anybody else can know of
    // is ever emptied. The staging table is this run's own, and the next attempt makes it anew.
    let is_own =
        is_staging && gate.was_empty() && both().all(|(_, seen)| gate.rows.is_none_or(|rows| seen.rows <= rows));
    if is_own && !appends { Verdict::NotDone } else { Verdict::Unclear }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::data::Before;
    use super::*;

    fn verdict(before: &[u64], promised: Option<u64>, now: &[Option<u64>], creates: bool, appends: bool) -> Verdict {
        verdict_for(true, before, promised, now, (creates, false), appends)
    }

    fn verdict_for(
        in_parts: bool,
        before: &[u64],
        promised: Option<u64>,
        now: &[Option<u64>],
        (creates, is_staging): (bool, bool),
        appends: bool,
    ) -> Verdict {
        let hosts: Vec<HostName> = (1..=before.len()).map(|n| HostName(format!("r{n}"))).collect();
        let gate = Gate {
            hosts: hosts
                .iter()
                .cloned()
                .zip(before.iter().map(|rows| Before { rows: *rows, detached: 0 }))
                .collect::<BTreeMap<_, _>>(),
            rows: promised,
            clears: false,
        };
        let seen: Vec<Seen> = now
            .iter()
            .map(|rows| Seen {
                engine: rows.map_or_else(String::new, |_| "MergeTree".to_owned()),
                rows: rows.unwrap_or(0),
                in_parts,
                ..Seen::default()
            })
            .collect();
        judge(&gate, &hosts, &seen, creates, is_staging, appends)
    }

    #[test]
    fn rows_tell_what_became_of_a_restore() {
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(0), Some(0)], false, false), Verdict::NotDone);
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(9), Some(9)], false, false), Verdict::Done);
        // Partial: they may be somebody else's, so a person decides.
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(4), Some(4)], false, false), Verdict::Unclear);
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(9), Some(0)], false, false), Verdict::Unclear);
        // More than the backup has: somebody else writes here.
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(10), Some(10)], false, false), Verdict::Unclear);
    }

    #[test]
    fn rows_beside_others_are_never_taken_for_its_own() {
        assert_eq!(verdict(&[5], Some(9), &[Some(5)], false, true), Verdict::NotDone);
        assert_eq!(verdict(&[5], Some(9), &[Some(14)], false, true), Verdict::Done);
        assert_eq!(verdict(&[5], Some(9), &[Some(9)], false, true), Verdict::Unclear);
        assert_eq!(verdict(&[0], Some(9), &[Some(4)], false, true), Verdict::Unclear);
    }

    #[test]
    fn the_rows_of_a_log_do_not_prove_its_columns() {
        assert_eq!(verdict_for(false, &[0], Some(9), &[Some(9)], (true, true), false), Verdict::NotDone);
        assert_eq!(verdict_for(false, &[0], Some(9), &[Some(9)], (false, false), false), Verdict::Unclear);
        assert_eq!(verdict_for(false, &[1], Some(9), &[Some(10)], (false, false), true), Verdict::Unclear);
    }

    #[test]
    fn tables_that_come_and_go() {
        assert_eq!(verdict(&[0], Some(9), &[None], true, false), Verdict::NotDone);
        // A crash in the middle of a RESTORE leaves an empty table that looks healthy.
        assert_eq!(verdict(&[0], Some(9), &[Some(0)], true, false), Verdict::NotDone);
        assert_eq!(verdict(&[0], Some(9), &[Some(3)], true, false), Verdict::Unclear);
        assert_eq!(verdict_for(true, &[0], Some(9), &[Some(3)], (true, true), false), Verdict::NotDone);
        assert_eq!(verdict(&[0, 0], Some(9), &[Some(9), None], false, false), Verdict::Unclear);
        assert_eq!(verdict(&[0], None, &[Some(3)], false, false), Verdict::Unclear);
    }
}
