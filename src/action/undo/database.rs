//! Drops a database that a run created and that is empty, and gives one that was set aside its name again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Data, NAME};
use crate::action::gate::{cannot_read, first_of, same_server, still_running, unproved, unread};
use crate::action::recreate_database::seen::tables;
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::engine::undo::{Kept, UndoContext};
use crate::model::ids::{HostName, StepId};
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::sql::{identifier, literal};
use crate::plan::statement::Statement;

/// What happens to a database of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseData {
    /// Its name now.
    pub database: String,
    /// Its UUID.
    pub uuid: String,
    /// What becomes of it.
    pub becomes: Becomes,
    /// Its tables by name with their UUID; others must not be there.
    pub tables: BTreeMap<String, String>,
}

/// What becomes of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Becomes {
    /// It is dropped.
    Dropped,
    /// It gets its former name again.
    Called(String),
}

/// The operation that drops an empty database which the run created.
#[must_use]
pub fn drop_created(context: &UndoContext<'_>, database: &str, uuid: &str) -> Operation {
    let data = DatabaseData {
        database: database.to_owned(),
        uuid: uuid.to_owned(),
        becomes: Becomes::Dropped,
        tables: BTreeMap::new(),
    };
    context
        .reverse(NAME, "drop_database", Effect::Destroy)
        .statement(Statement::exact(format!("DROP DATABASE {} SYNC", identifier(database))))
        .promises(
            format!("as the run created it: UUID {uuid}, no tables"),
            "gone",
            "no database of that UUID, none of its tables in system.dropped_tables",
        )
        .with_data(&Data::Database(data))
}

/// The operation that gives a database its former name again.
#[must_use]
pub fn call_again(
    context: &UndoContext<'_>,
    aside: &str,
    former: &str,
    uuid: &str,
    tables: BTreeMap<String, String>,
) -> Operation {
    let count = tables.len();
    let data = DatabaseData {
        database: aside.to_owned(),
        uuid: uuid.to_owned(),
        becomes: Becomes::Called(former.to_owned()),
        tables,
    };
    context
        .reverse(NAME, "rename_back", Effect::Write)
        .statement(Statement::exact(format!("RENAME DATABASE {} TO {}", identifier(aside), identifier(former))))
        .promises(
            format!("called `{aside}`, UUID {uuid}, with its {count} tables"),
            format!("called `{former}` again"),
            "the very database (by its UUID) has its former name, and every table",
        )
        .with_data(&Data::Database(data))
}

/// The operation that drops a database which a run set aside.
#[must_use]
pub fn purge(kept: &Kept, loss: Loss) -> Operation {
    let data = DatabaseData {
        database: kept.aside.clone(),
        uuid: kept.uuid.clone(),
        becomes: Becomes::Dropped,
        tables: kept.tables.clone(),
    };
    let object = format!("database {}", identifier(&kept.aside));
    let step = StepId(format!("purge-{}", kept.past.run));
    let mut operation = Operation::new(&step, NAME, "purge", object, Effect::Destroy)
        .on(&kept.target, &kept.host)
        .statement(Statement::exact(format!("DROP DATABASE {} SYNC", identifier(&kept.aside))))
        .loses(loss)
        .promises(
            format!("set aside by run {}, UUID {}, kept until {}", kept.past.run, kept.uuid, kept.until),
            "gone, and with it the way back",
            "no database of that UUID, none of its tables in system.dropped_tables",
        )
        .with_data(&Data::Database(data));
    operation.past = Some(Box::new(kept.past.clone()));
    operation
}

/// Name that the very database has now; `None` where it is gone.
async fn name_now(context: &RunContext<'_>, host: &HostName, data: &DatabaseData) -> Result<Option<String>, SqlError> {
    Ok(context.read(host, query(data)).await?.text(0, "name"))
}

fn query(data: &DatabaseData) -> String {
    format!("SELECT name, engine FROM system.databases WHERE toString(uuid) = {}", literal(&data.uuid))
}

pub async fn prepare(context: &RunContext<'_>, data: &DatabaseData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let explain = |error: SqlError| unread(context, "looking at the database", &error);
    let closed = |expected: String, found: String| {
        context.fail(
            RunErrorKind::NotSent,
            "the database is not as the run left it",
            expected,
            found,
            format!("on {host}: {}", query(data)),
            "nothing was changed; find out who changed it, then take it back by hand",
        )
    };
    let name = name_now(context, host, data).await.map_err(explain)?;
    if name.as_deref() != Some(data.database.as_str()) {
        let found = name.unwrap_or_else(|| "no database of that UUID".to_owned());
        return Err(closed(format!("`{}` with UUID {}", data.database, data.uuid), found));
    }
    if let Becomes::Called(name) = &data.becomes {
        let taken = format!("SELECT toString(uuid) AS uuid FROM system.databases WHERE name = {}", literal(name));
        if let Some(uuid) = context.read(host, taken).await.map_err(explain)?.text(0, "uuid") {
            return Err(closed(format!("no database called `{name}`"), format!("one with UUID {uuid}")));
        }
    }
    let there = tables(context, host, &data.database).await.map_err(explain)?;
    // A drop that stopped halfway has taken some already.
    let may_miss = context.attempt > 1 && data.becomes == Becomes::Dropped;
    let mut differences: Vec<String> = there
        .iter()
        .filter(|(name, (uuid, _))| data.tables.get(*name) != Some(uuid))
        .map(|(name, _)| format!("`{name}` is another table, or new"))
        .collect();
    if !may_miss {
        let missing = data.tables.keys().filter(|name| !there.contains_key(*name));
        differences.extend(missing.map(|name| format!("`{name}` is missing")));
    }
    if !differences.is_empty() {
        return Err(closed(format!("its {} tables and no other", data.tables.len()), first_of(&differences, 10, "; ")));
    }
    Ok(json!({ "uuid": data.uuid }))
}

pub async fn probe(context: &RunContext<'_>, data: &DatabaseData) -> Result<Probe, RunError> {
    let host = context.host()?;
    let unread = |error| cannot_read(context, &error);
    if still_running(context, host).await.map_err(unread)? {
        return Ok(Probe::Running);
    }
    let now = name_now(context, host, data).await.map_err(unread)?;
    Ok(match (&now, &data.becomes) {
        (None, Becomes::Dropped) => Probe::Done,
        (Some(now), Becomes::Called(name)) if now == name => Probe::Done,
        (Some(now), _) if *now == data.database => Probe::NotDone,
        _ => Probe::Unknown(Box::new(context.refusal(
            "the database is neither where it was nor where it should be",
            format!("UUID {} called `{}`", data.uuid, data.database),
            now.unwrap_or_else(|| "no database of that UUID".to_owned()),
            format!("on {host}: {}", query(data)),
            "find out who renamed or dropped it, then say how it ended: clickferry resolve RUN OPERATION",
        ))),
    })
}

pub async fn prove(context: &RunContext<'_>, data: &DatabaseData) -> Result<Value, RunError> {
    let host = context.host()?;
    let explain = |error: SqlError| unproved(context, "looking at the database", &error);
    let broken = |found: String| {
        context.fail(
            RunErrorKind::Broken,
            "the server said that it is done, and it is not",
            context.operation.after.clone(),
            found,
            format!("on {host}: {}", query(data)),
            "look at the server's log, then `clickferry resume`",
        )
    };
    let now = name_now(context, host, data).await.map_err(explain)?;
    match (&now, &data.becomes) {
        (None, Becomes::Dropped) => {
            let uuids: Vec<String> = data.tables.values().map(|uuid| literal(uuid)).collect();
            if !uuids.is_empty() {
                let waiting = format!(
                    "SELECT count() AS waiting FROM system.dropped_tables WHERE toString(uuid) IN ({})",
                    uuids.join(", ")
                );
                match context.read(host, waiting).await {
                    Ok(answer) if answer.number(0, "waiting").unwrap_or(0) > 0 => {
                        return Err(broken("data of its tables waits in system.dropped_tables".to_owned()));
                    }
                    // Before 23.3 there is no such table; SYNC has waited.
                    Err(error) if error.code() != Some(60) => return Err(explain(error)),
                    _ => {}
                }
            }
        }
        (Some(now), Becomes::Called(name)) if now == name => {
            let there = tables(context, host, name).await.map_err(explain)?;
            let missing: Vec<String> =
                data.tables.keys().filter(|table| !there.contains_key(*table)).cloned().collect();
            if !missing.is_empty() {
                return Err(broken(format!("without {}", first_of(&missing, 10, ", "))));
            }
        }
        (now, _) => return Err(broken(now.clone().unwrap_or_else(|| "no database of that UUID".to_owned()))),
    }
    Ok(json!({ "uuid": data.uuid, "name": now }))
}
