//! Gate, probe and proof of the rename.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::SetAsideData;
use super::seen::{database_query, seen, tables};
use crate::action::gate::{cannot_tell, field, still_running, unanswered, unproved, unread};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// As before a drop; and nothing has the other name yet.
pub async fn prepare(context: &RunContext<'_>, data: &SetAsideData) -> Result<Value, RunError> {
    let before = super::dropping::prepare(context, &data.former).await?;
    let host = context.host()?;
    let aside = context.fill_path(&data.aside)?;
    let found = seen(context, host, &aside).await.map_err(|error| unread(context, "looking at the names", &error))?;
    if let Some(found) = found {
        return Err(context.fail(
            RunErrorKind::NotSent,
            format!("a database called `{aside}` is there"),
            "none",
            format!("UUID {}", found.uuid),
            format!("on {host}: {}", database_query(&aside)),
            "find out who made it, then plan again",
        ));
    }
    Ok(before)
}

/// Name that the database of the intent has now.
async fn name_now(context: &RunContext<'_>, host: &HostName, uuid: &str) -> Result<Option<String>, SqlError> {
    let query = format!("SELECT name FROM system.databases WHERE toString(uuid) = {}", literal(uuid));
    Ok(context.read(host, query).await?.text(0, "name"))
}

pub async fn probe(context: &RunContext<'_>, data: &SetAsideData) -> Probe {
    let (host, aside) = match (context.host(), context.fill_path(&data.aside)) {
        (Ok(host), Ok(aside)) => (host, aside),
        (Err(error), _) | (_, Err(error)) => return Probe::Unknown(Box::new(error.refusal)),
    };
    match still_running(context, host).await {
        Ok(true) => return Probe::Running,
        Ok(false) => {}
        Err(error) => return unanswered(context, &error),
    }
    let uuid = field(context.intent, "uuid").unwrap_or_default();
    match name_now(context, host, uuid).await {
        Ok(Some(name)) if name == aside => Probe::Done,
        Ok(Some(name)) if name == data.former.database => Probe::NotDone,
        Ok(found) => Probe::Unknown(Box::new(context.refusal(
            "the database is neither where it was nor where it should be",
            format!("UUID {uuid} called `{}` or `{aside}`", data.former.database),
            found.unwrap_or_else(|| "no database of that UUID".to_owned()),
            format!("on {host}: {}", database_query(&aside)),
            "find out who renamed or dropped it; plan again from the world as it is",
        ))),
        Err(error) => unanswered(context, &error),
    }
}

pub async fn prove(context: &RunContext<'_>, data: &SetAsideData) -> Result<Value, RunError> {
    let host = context.host()?;
    let aside = context.fill_path(&data.aside)?;
    let uuid = field(context.intent, "uuid").unwrap_or_default().to_owned();
    let explain = |error: SqlError| unproved(context, "looking at the renamed database", &error);
    let name = name_now(context, host, &uuid).await.map_err(explain)?;
    let there = tables(context, host, &aside).await.map_err(explain)?;
    let missing: Vec<&str> = data
        .former
        .tables
        .iter()
        .filter(|table| there.get(&table.name).is_none_or(|(uuid, _)| *uuid != table.uuid))
        .map(|table| table.name.as_str())
        .collect();
    if name.as_deref() != Some(aside.as_str()) || !missing.is_empty() {
        let name = name.unwrap_or_else(|| "no database of that UUID".to_owned());
        return Err(context.fail(
            RunErrorKind::Broken,
            "the server said the database was renamed, and it is not so",
            format!("UUID {uuid} called `{aside}`, with its {} tables", data.former.tables.len()),
            format!("{name}, without {}", if missing.is_empty() { "none".to_owned() } else { missing.join(", ") }),
            format!("on {host}: {}", database_query(&aside)),
            "look at the server's log, then `clickferry resume`",
        ));
    }
    let uuids: BTreeMap<&String, &String> = there.iter().map(|(name, (uuid, _))| (name, uuid)).collect();
    let until = context.ports.clock.now().saturating_add(SignedDuration::from_secs(data.keep_seconds));
    let until = until.unwrap_or(jiff::Timestamp::MAX).to_string();
    Ok(json!({ "database": data.former.database, "aside": aside, "uuid": uuid, "tables": uuids, "until": until }))
}

/// The former database is still kept.
pub async fn still_holds(context: &RunContext<'_>, outcome: &Value) -> Holds {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    let text = |name: &str| field(outcome, name).unwrap_or_default();
    match name_now(context, host, text("uuid")).await {
        Ok(Some(name)) if name == text("aside") => Holds::Yes,
        Ok(found) => Holds::No(Box::new(context.refusal(
            "the database that was set aside is not there any longer",
            format!("UUID {} called `{}`", text("uuid"), text("aside")),
            found.unwrap_or_else(|| "no database of that UUID".to_owned()),
            format!("on {host}: {}", database_query(text("aside"))),
            "it was purged, renamed or dropped, so there is no way back to it",
        ))),
        Err(error) => cannot_tell(context, &error),
    }
}
