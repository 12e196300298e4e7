//! Gates, probes and proofs of the two operations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{CreateData, DropData};
use crate::action::gate::{PAUSE, cannot_tell, field, pause, same_server, since, still_running, unanswered, unproved, unread};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// A database as a server shows it.
struct Seen {
    engine: String,
    uuid: String,
}

fn database_query(database: &str) -> String {
    format!("SELECT engine, toString(uuid) AS uuid FROM system.databases WHERE name = {}", literal(database))
}

async fn seen(context: &RunContext<'_>, host: &HostName, database: &str) -> Result<Option<Seen>, SqlError> {
    let answer = context.read(host, database_query(database)).await?;
    Ok(answer.text(0, "uuid").map(|uuid| Seen { engine: answer.text(0, "engine").unwrap_or_default(), uuid }))
}

/// Names and rows of a database's tables, as the observation counts them.
async fn tables(context: &RunContext<'_>, host: &HostName, database: &str) -> Result<BTreeMap<String, (String, Option<u64>)>, SqlError> {
    let name = literal(database);
    let all = context
        .read(host, format!("SELECT name, engine, toString(uuid) AS uuid, total_rows FROM system.tables WHERE database = {name} AND NOT is_temporary"))
        .await?;
    let parts = context
        .read(host, format!("SELECT table, sum(rows) AS rows FROM system.parts WHERE active AND database = {name} GROUP BY table"))
        .await?;
    let counted: BTreeMap<String, u64> = (0..parts.rows.len())
        .filter_map(|row| Some((parts.text(row, "table")?, parts.number(row, "rows")?)))
        .collect();
    let mut tables = BTreeMap::new();
    for row in 0..all.rows.len() {
        let text = |column: &str| all.text(row, column).unwrap_or_default();
        let rows = if text("engine").ends_with("MergeTree") {
            Some(counted.get(&text("name")).copied().unwrap_or(0))
        } else {
            all.number(row, "total_rows")
        };
        tables.insert(text("name"), (text("uuid"), rows));
    }
    Ok(tables)
}

pub async fn prepare_drop(context: &RunContext<'_>, data: &DropData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let unread = |error: SqlError| unread(context, "looking at what would be dropped", &error);
    let evidence = format!("on {host}: {}", database_query(&data.database));
    let stale = |what: &str, expected: String, found: String, evidence: String| {
        context.fail(RunErrorKind::NotSent, what, expected, found, evidence, "nothing was dropped; plan again and read what differs")
    };
    let Some(database) = seen(context, host, &data.database).await.map_err(unread)? else {
        return Err(stale("the database is not there", "the database of the plan".to_owned(), "none of that name".to_owned(), evidence));
    };
    if let Some(planned) = &data.uuid
        && *planned != database.uuid
    {
        return Err(stale("the database is not the one of the plan", format!("UUID {planned}"), format!("UUID {}", database.uuid), evidence));
    }
    let backups = context
        .read(host, "SELECT toString(id) AS id FROM system.backups WHERE status IN ('CREATING_BACKUP', 'RESTORING') ORDER BY id")
        .await
        .map_err(unread)?;
    if let Some(id) = backups.text(0, "id") {
        return Err(stale("a backup or restore runs on the server", "none".to_owned(), id, format!("on {host}: SELECT id, name, status FROM system.backups")));
    }
    let now = tables(context, host, &data.database).await.map_err(unread)?;
    if data.uuid.is_some() {
        let differences = table_differences(data, &now, context.attempt > 1);
        if !differences.is_empty() {
            return Err(stale(
                "the tables are not those of the plan",
                format!("{} tables with the rows the plan says at most", data.tables.len()),
                differences.join("; "),
                format!("on {host}: SELECT name, uuid, total_rows FROM system.tables WHERE database = {}", literal(&data.database)),
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
            Some((uuid, _)) if *uuid != planned.uuid => differences.push(format!("`{}` has UUID {uuid} instead of {}", planned.name, planned.uuid)),
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

pub async fn probe_drop(context: &RunContext<'_>, data: &DropData) -> Probe {
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

pub async fn prove_drop(context: &RunContext<'_>, data: &DropData) -> Result<Value, RunError> {
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
    let query = format!("SELECT table FROM system.dropped_tables WHERE database = {} ORDER BY table", literal(&data.database));
    let start = context.ports.clock.now();
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
        context.progress.progress(&context.operation.id, total.saturating_sub(count), Some(total), &format!("waiting for the data of {count} dropped tables to be removed"));
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

pub async fn prepare_create(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let found = seen(context, host, &data.database).await.map_err(|error| unread(context, "looking whether the name is free", &error))?;
    if let Some(found) = found {
        return Err(context.fail(
            RunErrorKind::NotSent,
            "a database of that name is there",
            "none",
            format!("engine {}, UUID {}", found.engine, found.uuid),
            format!("on {host}: {}", database_query(&data.database)),
            "find out who created it, then plan again",
        ));
    }
    Ok(json!({ "former": former(context, data) }))
}

/// UUID of the database dropped before: from the plan, or from what the drop on this host recorded.
fn former(context: &RunContext<'_>, data: &CreateData) -> Option<String> {
    data.former.clone().or_else(|| {
        let operation = context.operation;
        context
            .plan
            .operations
            .iter()
            .filter(|other| other.step == operation.step && other.host == operation.host && other.kind == "drop_database")
            .find_map(|other| field(context.outcomes.get(&other.id)?, "uuid").map(str::to_owned))
    })
}

pub async fn probe_create(context: &RunContext<'_>, data: &CreateData) -> Probe {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Probe::Unknown(Box::new(error.refusal)),
    };
    match still_running(context, host).await {
        Ok(true) => return Probe::Running,
        Ok(false) => {}
        Err(error) => return unanswered(context, &error),
    }
    match seen(context, host, &data.database).await {
        Ok(None) => Probe::NotDone,
        Ok(Some(found)) if field(context.intent, "former") == Some(found.uuid.as_str()) => Probe::Unknown(Box::new(context.refusal(
            "the database that was dropped is there again",
            "no database, or one with a new UUID",
            format!("UUID {}", found.uuid),
            format!("on {host}: {}", database_query(&data.database)),
            "find out who attached it again; plan again from the world as it is",
        ))),
        Ok(Some(_)) => Probe::Done,
        Err(error) => unanswered(context, &error),
    }
}

pub async fn prove_create(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    let unproved = |error: SqlError| unproved(context, "looking at the new database", &error);
    let found = seen(context, host, &data.database).await.map_err(unproved)?;
    let count = tables(context, host, &data.database).await.map_err(unproved)?.len();
    let former = former(context, data);
    let wrong = match &found {
        None => Some("none of that name".to_owned()),
        Some(found) if found.engine != "Atomic" => Some(format!("engine {}", found.engine)),
        Some(found) if former.as_deref() == Some(found.uuid.as_str()) => Some(format!("the former UUID {}", found.uuid)),
        Some(_) if count > 0 => Some(format!("{count} tables in it")),
        Some(_) => None,
    };
    match (found, wrong) {
        (Some(found), None) => Ok(json!({ "uuid": found.uuid })),
        (_, wrong) => Err(context.fail(
            RunErrorKind::Broken,
            "the new database is not what was promised",
            "engine Atomic, a new UUID, no tables",
            wrong.unwrap_or_default(),
            format!("on {host}: {}", database_query(&data.database)),
            "look who else works on this server, then plan again",
        )),
    }
}

/// The dropped database must not come back; what has its name now is the new one.
pub async fn drop_holds(context: &RunContext<'_>, data: &DropData, outcome: &Value) -> Holds {
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

/// Later steps fill the database, so only its UUID lasts.
pub async fn create_holds(context: &RunContext<'_>, data: &CreateData, outcome: &Value) -> Holds {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    match seen(context, host, &data.database).await {
        Ok(Some(found)) if field(outcome, "uuid") == Some(found.uuid.as_str()) => Holds::Yes,
        Ok(found) => Holds::No(Box::new(context.refusal(
            "the database this run created is not there any longer",
            format!("UUID {}", field(outcome, "uuid").unwrap_or("recorded in the journal")),
            found.map_or_else(|| "none of that name".to_owned(), |found| format!("UUID {}", found.uuid)),
            format!("on {host}: {}", database_query(&data.database)),
            "find out who dropped it, then plan again",
        ))),
        Err(error) => cannot_tell(context, &error),
    }
}
