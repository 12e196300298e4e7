//! Gate, probe and proof of the creation.

use serde_json::{Value, json};

use super::CreateData;
use super::seen::{database_query, seen, tables};
use crate::action::gate::{cannot_tell, field, same_server, still_running, unanswered, unproved, unread};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::engine::undo::SET_ASIDE;
use crate::model::words::count_of;

pub async fn prepare(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let found = seen(context, host, &data.database)
        .await
        .map_err(|error| unread(context, "looking whether the name is free", &error))?;
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
            .filter(|other| {
                other.step == operation.step
                    && other.host == operation.host
                    && matches!(other.kind.as_str(), "drop_database" | SET_ASIDE)
            })
            .find_map(|other| field(context.outcomes.get(&other.id)?.as_ref(), "uuid").map(str::to_owned))
    })
}

pub async fn probe(context: &RunContext<'_>, data: &CreateData) -> Probe {
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
        Ok(Some(found)) if field(context.intent, "former") == Some(found.uuid.as_str()) => {
            Probe::Unknown(Box::new(context.refusal(
                "the database that was dropped is there again",
                "no database, or one with a new UUID",
                format!("UUID {}", found.uuid),
                format!("on {host}: {}", database_query(&data.database)),
                "find out who attached it again; plan again from the world as it is",
            )))
        }
        Ok(Some(_)) => Probe::Done,
        Err(error) => unanswered(context, &error),
    }
}

pub async fn prove(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    let unproved = |error: SqlError| unproved(context, "looking at the new database", &error);
    let found = seen(context, host, &data.database).await.map_err(unproved)?;
    let count = tables(context, host, &data.database).await.map_err(unproved)?.len();
    let former = former(context, data);
    let wrong = match &found {
        None => Some("none of that name".to_owned()),
        Some(found) if found.engine != "Atomic" => Some(format!("engine {}", found.engine)),
        Some(found) if former.as_deref() == Some(found.uuid.as_str()) => {
            Some(format!("the former UUID {}", found.uuid))
        }
        Some(_) if count > 0 => Some(format!("{} in it", count_of(count, "table"))),
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

/// Later steps fill the database, so only its UUID lasts.
pub async fn still_holds(context: &RunContext<'_>, data: &CreateData, outcome: &Value) -> Holds {
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
