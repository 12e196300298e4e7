//! Gate, probe and proof of one object on one host, and the look at all of them at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::seen::{
    object, object_differences, replica_differences, replicas, replicas_query, table_query, uuids_query,
};
use super::{CheckData, CreateData, Place};
use crate::action::gate::{
    PAUSE, cannot_tell, explain_keeper, field, pause, same_server, since, still_running, unanswered, unproved, unread,
};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::engine::retry::class_of_keeper;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// How long a new replica may take to become writable, and to see the others. A server that could not reach Keeper when
/// the table was made tries again every `initialization_retry_period`, 60 s by default: two of them, and some.
pub(super) const SETTLE: Duration = Duration::from_secs(150);

pub async fn prepare(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    same_server(context, host).await?;
    let explain = |error: SqlError| unread(context, "looking whether the name is free", &error);
    if let Some(found) = object(context, host, data).await.map_err(explain)? {
        return Err(context.fail(
            RunErrorKind::NotSent,
            "an object of that name is there",
            "none",
            found.create_query,
            format!("on {host}: {}", table_query(&data.database, &data.name)),
            "nothing was created here; find out who created it, then plan again",
        ));
    }
    // What a failed attempt left in Keeper belongs to this server: it is used again, or named by error 253.
    if let (Some(place), 1) = (&data.place, context.attempt) {
        path_is_free(context, host, place).await?;
    }
    let query = format!("SELECT toString(uuid) AS uuid FROM system.databases WHERE name = {}", literal(&data.database));
    let database = context.read(host, query).await.map_err(explain)?;
    Ok(json!({ "database_uuid": database.text(0, "uuid") }))
}

/// In Keeper there may be the other replicas of this plan, and nobody else.
async fn path_is_free(context: &RunContext<'_>, host: &HostName, place: &Place) -> Result<(), RunError> {
    let Some(keeper) = context.operation.target.as_deref().and_then(|role| context.ports.keepers.get(role)) else {
        return Ok(());
    };
    let path = format!("{}/replicas", place.path);
    let found = keeper.children(&path).await.map_err(|error| RunError {
        kind: RunErrorKind::NotSent,
        class: class_of_keeper(&error),
        refusal: explain_keeper(format!("{}: looking at {path}", context.operation.id), &error),
    })?;
    let strange: Vec<String> = found
        .unwrap_or_default()
        .into_iter()
        .filter(|replica| *replica == place.replica || !place.replicas.contains(replica))
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(context.fail(
        RunErrorKind::NotSent,
        format!("metadata of an earlier table is left in Keeper at {}", place.path),
        format!("no replica {}, and none but {}", place.replica, place.replicas.join(", ")),
        format!("replicas {}", strange.join(", ")),
        format!("on {host}: SELECT name, ctime FROM system.zookeeper WHERE path = {}", literal(&path)),
        "nothing was created here; put a `clear_keeper` step for it before this one, and plan again",
    ))
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
    let found = match object(context, host, data).await {
        Ok(Some(found)) => found,
        Ok(None) => return Probe::NotDone,
        Err(error) => return unanswered(context, &error),
    };
    match object_differences(context, host, data, &found).await {
        Ok(differences) if differences.is_empty() => Probe::Done,
        Ok(differences) => Probe::Unknown(Box::new(context.refusal(
            "an object of that name is there with another definition",
            "none, or the one of the plan",
            differences.join("\n"),
            format!("on {host}: {}", table_query(&data.database, &data.name)),
            "find out who created it; where it is the one that is wanted: clickferry resolve RUN OPERATION --done",
        ))),
        Err(error) => unanswered(context, &error),
    }
}

pub async fn prove(context: &RunContext<'_>, data: &CreateData) -> Result<Value, RunError> {
    let host = context.host()?;
    let explain = |error: SqlError| unproved(context, "looking at what was created", &error);
    let broken = |found: String| {
        context.fail(
            RunErrorKind::Broken,
            "what was created is not what was promised",
            context.operation.after.clone(),
            found,
            format!("on {host}: {}", table_query(&data.database, &data.name)),
            "compare it with the plan; drop it by hand if it is wrong, then plan again",
        )
    };
    let Some(found) = object(context, host, data).await.map_err(explain)? else {
        return Err(broken("no object of that name".to_owned()));
    };
    let differences = object_differences(context, host, data, &found).await.map_err(explain)?;
    if !differences.is_empty() {
        return Err(broken(differences.join("\n")));
    }
    let Some(place) = &data.place else { return Ok(json!({ "uuid": found.uuid })) };
    let start = context.ports.clock.ticks();
    loop {
        let all = replicas(context, host, &data.database).await.map_err(explain)?;
        let differences = replica_differences(&data.name, &found.uuid, place, &all, None);
        if differences.is_empty() {
            return Ok(json!({ "uuid": found.uuid, "zookeeper_path": place.path, "replica_name": place.replica }));
        }
        // A new replica is read-only for a moment, until its session stands.
        if since(context, start) > SETTLE {
            let is_readonly = all.iter().any(|replica| replica.path == place.path && replica.is_readonly);
            return Err(if is_readonly {
                cannot_write(context, host, data, &differences)
            } else {
                broken(differences.join("\n"))
            });
        }
        pause(context, PAUSE).await?;
    }
}

/// The table is the right one, and its server does not get on with Keeper.
fn cannot_write(context: &RunContext<'_>, host: &HostName, data: &CreateData, differences: &[String]) -> RunError {
    context.fail(
        RunErrorKind::Broken,
        format!("what was created cannot be written to, {} s after its creation", SETTLE.as_secs()),
        context.operation.after.clone(),
        differences.join("\n"),
        format!(
            "on {host}: SELECT table, is_readonly, is_session_expired, zookeeper_exception FROM system.replicas WHERE database = {}",
            literal(&data.database)
        ),
        "see to it that the server reaches Keeper and the table is writable again, then `clickferry resume`",
    )
}

/// All replicated tables of a host, when the last one is created.
pub async fn check(context: &RunContext<'_>, data: &CheckData) -> Result<Value, RunError> {
    let host = context.host()?;
    let explain = |error: SqlError| unproved(context, "looking at the replicas", &error);
    let answer = context.read(host, uuids_query(&data.database)).await.map_err(explain)?;
    let uuids: BTreeMap<String, String> =
        (0..answer.rows.len()).filter_map(|row| Some((answer.text(row, "name")?, answer.text(row, "uuid")?))).collect();
    let start = context.ports.clock.ticks();
    loop {
        let all = replicas(context, host, &data.database).await.map_err(explain)?;
        let differences: Vec<String> = data
            .tables
            .iter()
            .flat_map(|(name, place)| {
                let uuid = uuids.get(name).map(String::as_str).unwrap_or_default();
                replica_differences(name, uuid, place, &all, Some(place.replicas.len() as u64))
            })
            .collect();
        if differences.is_empty() {
            return Ok(json!({ "tables": data.tables.len() }));
        }
        if since(context, start) > SETTLE {
            return Err(context.fail(
                RunErrorKind::Broken,
                "the replicas are not as planned",
                context.operation.after.clone(),
                differences.join("\n"),
                format!("on {host}: {}", replicas_query(&data.database)),
                "repair the replicas (are all servers up, do they reach Keeper?), then `clickferry resume`",
            ));
        }
        let done = (data.tables.len().saturating_sub(differences.len())) as u64;
        context.progress.progress(
            &context.operation.id,
            done,
            Some(data.tables.len() as u64),
            "waiting for all replicas",
        );
        pause(context, PAUSE).await?;
    }
}

pub async fn still_holds(context: &RunContext<'_>, data: &CreateData, outcome: &Value) -> Holds {
    let host = match context.host() {
        Ok(host) => host,
        Err(error) => return Holds::CannotTell(Box::new(error.refusal)),
    };
    match object(context, host, data).await {
        Ok(Some(found)) if field(outcome, "uuid") == Some(found.uuid.as_str()) => Holds::Yes,
        Ok(found) => Holds::No(Box::new(context.refusal(
            "what this run created is not there any longer",
            format!("UUID {}", field(outcome, "uuid").unwrap_or("recorded in the journal")),
            found.map_or_else(|| "none of that name".to_owned(), |found| format!("UUID {}", found.uuid)),
            format!("on {host}: {}", table_query(&data.database, &data.name)),
            "find out who dropped or replaced it, then plan again",
        ))),
        Err(error) => cannot_tell(context, &error),
    }
}
