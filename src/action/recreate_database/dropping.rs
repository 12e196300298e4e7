//! Gate, probe and proof of the drop.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::DropData;
use super::seen::{database_query, seen, tables};
use crate::action::gate::{
    PAUSE, cannot_tell, field, pause, same_server, since, still_running, unanswered, unproved, unread,
};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::plan::sql::literal;

pub async fn prepare(context: &RunContext<'_>, data: &DropData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let unread = |error: SqlError| unread(context, "looking at what would be dropped", &error);
    let evidence = format!("on {host}: {}", database_query(&data.database));
    let stale = |what: &str, expected: String, found: String, evidence: String| {
        context.fail(
            RunErrorKind::NotSent,
            what,
            expected,
            found,
            evidence,
            "nothing was dropped; plan again and read what differs",
        )
    };
    let Some(database) = seen(context, host, &data.database).await.map_err(unread)? else {
        return Err(stale(
            "the database is not there",
            "the database of the plan".to_owned(),
            "none of that name".to_owned(),
            evidence,
        ));
    };
    if let Some(planned) = &data.uuid
        && *planned != database.uuid
    {
        return Err(stale(
            "the database is not the one of the plan",
            format!("UUID {planned}"),
            format!("UUID {}", database.uuid),
            evidence,
        ));
    }
    let backups = context
        .read(host, "SELECT toString(id) AS id FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') ORDER BY id")
        .await
        .map_err(unread)?;
    if let Some(id) = backups.text(0, "id") {
        return Err(stale(
            "a backup or restore runs on the server",
            "none".to_owned(),
            id,
            format!("on {host}: SELECT id, name, status FROM system.backups"),
        ));
    }
    let now = tables(context, host, &data.database).await.map_err(unread)?;
    if data.uuid.is_some() {
        let differences = table_differences(data, &now, context.attempt > 1);
        if !differences.is_empty() {
            return Err(stale(
                "the tables are not those of the plan",
                format!("{} tables with the rows the plan says at most", data.tables.len()),
                differences.join("; "),
                format!(
                    "on {host}: SELECT name, uuid, total_rows FROM system.tables WHERE database = {}",
                    literal(&data.database)
                ),
            ));
        }
    }
    Ok(json!({ "uuid": database.uuid, "tables": now.keys().collect::<Vec<_>>() }))
}

/// In what the tables differ from the plan. Rows may become fewer by themselves (merges of a ReplacingMergeTree, TTL),
/// but more rows were never consented to. After a drop that stopped halfway, tables may be missing.
fn table_differences(data: &DropData, now: &BTreeMap<String, (String, Option<u64>)>, may_miss: bool) -> Vec<String> {
    let mut differences = Vec::new();
    for planned in &data.tables {
        match now.get(&planned.name) {
            None if may_miss => {}
            None => differences.push(format!("`{}` is gone", planned.name)),
            Some((uuid, _)) if *uuid != planned.uuid => {
                differences.push(format!("`{}` has UUID {uuid} instead of {}", planned.name, planned.uuid))
            }
            Some((_, rows)) => {
                if let (Some(most), Some(rows)) = (planned.rows, rows)
                    && *rows > most
                {
                    differences.push(format!("`{}` has {rows} rows instead of {most}", planned.name));
                }
            }
        }
    }
    for name in now.keys().filter(|name| !data.tables.iter().any(|planned| planned.name == **name)) {
        differences.push(format!("`{name}` is new"));
    }
    differences
}

pub async fn probe(context: &RunContext<'_>, data: &DropData) -> Probe {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Probe::Unknown(Box::new(error.refusal)),
    };
    // A drop takes the database's name away first and the data of its tables later, so running comes first.
    match still_running(context, host).await {
        Ok(true) => return Probe::Running,
        Ok(false) => {}
        Err(error) => return unanswered(context, &error),
    }
    match seen(context, host, &data.database).await {
        Ok(None) => Probe::Done,
        Ok(Some(found)) if field(context.intent, "uuid").is_some_and(|before| before != found.uuid) => Probe::Done,
        // A drop that stopped halfway drops what is left when it is sent again.
        Ok(Some(_)) => Probe::NotDone,
        Err(error) => unanswered(context, &error),
    }
}

pub async fn prove(context: &RunContext<'_>, data: &DropData) -> Result<Value, RunError> {
    let host = context.host()?;
    let before = field(context.intent, "uuid").unwrap_or_default();
    let unproved = |error: SqlError| unproved(context, "looking whether the database is gone", &error);
    if let Some(found) = seen(context, host, &data.database).await.map_err(unproved)?
        && found.uuid == before
    {
        return Err(context.fail(
            RunErrorKind::Broken,
            "the server said the database was dropped, and it is there",
            "no database of that name",
            format!("UUID {}", found.uuid),
            format!("on {host}: {}", database_query(&data.database)),
            "look at the server's log, then `clickferry resume`",
        ));
    }
    let query =
        format!("SELECT table FROM system.dropped_tables WHERE database = {} ORDER BY table", literal(&data.database));
    let start = context.ports.clock.ticks();
    let total = data.tables.len() as u64;
    loop {
        let left = match context.read(host, query.clone()).await {
            // Older than 23.3: nobody can ask; SYNC has waited for the tables it dropped itself.
            Err(error) if matches!(error.code(), Some(60)) => break,
            other => other.map_err(unproved)?,
        };
        if left.rows.is_empty() {
            break;
        }
        let count = left.rows.len() as u64;
        context.progress.progress(
            &context.operation.id,
            total.saturating_sub(count),
            Some(total),
            &format!("waiting for the data of {count} dropped tables to be removed"),
        );
        if since(context, start) > context.timeout {
            return Err(context.fail(
                RunErrorKind::Broken,
                "the data of dropped tables is still there",
                "none of its tables in system.dropped_tables",
                format!("{count} tables, first `{}`", left.text(0, "table").unwrap_or_default()),
                format!("on {host}: {query}"),
                "wait until they are gone (480 seconds after a DROP without SYNC), then `clickferry resume`",
            ));
        }
        pause(context, PAUSE).await?;
    }
    Ok(json!({ "uuid": before, "tables": total }))
}

/// The dropped database must not come back; what has its name now is the new one.
pub async fn still_holds(context: &RunContext<'_>, data: &DropData, outcome: &Value) -> Holds {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    match seen(context, host, &data.database).await {
        Ok(Some(found)) if field(outcome, "uuid") == Some(found.uuid.as_str()) => Holds::No(Box::new(context.refusal(
            "the dropped database is there again",
            "not there",
            format!("UUID {}", found.uuid),
            format!("on {host}: {}", database_query(&data.database)),
            "find out who attached or restored it, then plan again",
        ))),
        Ok(_) => Holds::Yes,
        Err(error) => cannot_tell(context, &error),
    }
}
