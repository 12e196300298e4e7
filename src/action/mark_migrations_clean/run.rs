//! Gate, insert, probe and proof.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Data, Row, last_row, last_row_query};
use crate::action::gate::{PAUSE, cannot_tell, pause, same_server, since, still_running, unanswered, unproved, unread};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::operation::Effect;

/// What stood in the history right before the insert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    last: Option<Row>,
    /// Highest sequence; 0 in an empty table.
    highest: u64,
    rows: u64,
    was_clean: bool,
}

async fn read_last(context: &RunContext<'_>, host: &HostName, data: &Data) -> Result<Option<Row>, SqlError> {
    Ok(last_row(&context.read(host, last_row_query(&data.table)).await?))
}

pub async fn prepare(context: &RunContext<'_>, data: &Data) -> Result<Value, RunError> {
    if context.operation.effect == Effect::Read {
        return Ok(Value::Null);
    }
    let host = context.host()?;
    same_server(context, host).await?;
    let explain = |error: SqlError| unread(context, "reading the history", &error);
    let last = read_last(context, host, data).await.map_err(explain)?;
    let query = format!("SELECT count() AS row_count, max(sequence) AS highest FROM {}", data.table);
    let counted = context.read(host, query).await.map_err(explain)?;
    let before = Before {
        was_clean: last.as_ref().is_some_and(|row| row.is_clean(data.version)),
        last,
        highest: counted.number(0, "highest").unwrap_or(0),
        rows: counted.number(0, "row_count").unwrap_or(0),
    };
    Ok(json!(before))
}

/// The insert is sent only where the last row is another one; the outcome tells.
pub async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    let is_read = context.operation.effect == Effect::Read;
    if is_read || context.intent_data::<Before>().is_some_and(|before| before.was_clean) {
        return Ok(());
    }
    context.execute(0).await.map(|_| ())
}

pub async fn probe(context: &RunContext<'_>, data: &Data) -> Probe {
    if context.operation.effect == Effect::Read {
        return Probe::NotDone;
    }
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Probe::Unknown(Box::new(error.refusal)),
    };
    let Some(before) = context.intent_data::<Before>() else {
        return Probe::Unknown(Box::new(context.refusal(
            "the journal does not tell what stood in the history before",
            "the last row and the highest sequence",
            "neither",
            format!("on {host}: {}", last_row_query(&data.table)),
            "read the last row; where it is the clean one: clickferry resolve RUN OPERATION --done",
        )));
    };
    match still_running(context, host).await {
        Ok(true) => return Probe::Running,
        Ok(false) => {}
        Err(error) => return unanswered(context, &error),
    }
    match read_last(context, host, data).await {
        Ok(now) => verdict(context, host, data, &before, now),
        Err(error) => unanswered(context, &error),
    }
}

fn verdict(context: &RunContext<'_>, host: &HostName, data: &Data, before: &Before, now: Option<Row>) -> Probe {
    match &now {
        Some(row) if row.is_clean(data.version) && (row.sequence > before.highest || before.was_clean) => Probe::Done,
        _ if now == before.last => Probe::NotDone,
        _ => Probe::Unknown(Box::new(context.refusal(
            "somebody else writes into the history",
            format!("{}, or version {} clean", Row::words(before.last.as_ref()), data.version),
            Row::words(now.as_ref()),
            format!("on {host}: {}", last_row_query(&data.table)),
            "stop every migrator that uses this database, decide whether the step is done, then clickferry resolve RUN OPERATION --done or --not-done",
        ))),
    }
}

pub async fn prove(context: &RunContext<'_>, data: &Data) -> Result<Value, RunError> {
    let start = context.ports.clock.ticks();
    let mut last = None;
    for (at, host) in data.hosts.iter().enumerate() {
        // On the host that was written to, the row is there at once; the others fetch it.
        last = loop {
            let found = read_last(context, host, data)
                .await
                .map_err(|error| unproved(context, "reading the last row", &error))?;
            if found.as_ref().is_some_and(|row| row.is_clean(data.version)) {
                break found;
            }
            if at == 0 || since(context, start) > context.timeout {
                return Err(differs(context, host, data, found.as_ref()));
            }
            context.progress.progress(
                &context.operation.id,
                at as u64,
                Some(data.hosts.len() as u64),
                &format!("waiting for the row to arrive on {host}"),
            );
            pause(context, PAUSE).await?;
        };
    }
    let was_clean = context.intent_data::<Before>().is_none_or(|before| before.was_clean);
    Ok(json!({ "version": data.version, "sequence": last.map(|row| row.sequence), "was_clean": was_clean }))
}

fn differs(context: &RunContext<'_>, host: &HostName, data: &Data, found: Option<&Row>) -> RunError {
    let kind = if context.operation.effect == Effect::Read { RunErrorKind::Differs } else { RunErrorKind::Broken };
    context.fail(
        kind,
        format!("the history on {host} is not clean"),
        format!("version {}, clean", data.version),
        Row::words(found),
        format!("on {host}: {}", last_row_query(&data.table)),
        "stop every migrator that uses this database; where the table is replicated, look at system.replication_queue; then `clickferry resume`",
    )
}

pub async fn still_holds(context: &RunContext<'_>, data: &Data) -> Holds {
    for host in &data.hosts {
        match read_last(context, host, data).await {
            Ok(Some(row)) if row.is_clean(data.version) => {}
            Ok(found) => return Holds::No(Box::new(differs(context, host, data, found.as_ref()).refusal)),
            Err(error) => return cannot_tell(context, &error),
        }
    }
    Holds::Yes
}
