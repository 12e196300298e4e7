//! Running of `sql`: sent once, and its outcome found out by asking.

use serde_json::{Value, json};

use super::plan::{Question, SqlData};
use crate::action::select::{Single, ask};
use crate::engine::action::{Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::plan::operation::Effect;
use crate::plan::sql::literal;

/// Rows of a result that are kept in the outcome.
const SHOWN_ROWS: usize = 20;

/// Answers that the server gives before it changes anything, for a statement on one object that moves no data:
/// 47 unknown identifier, 57 table exists, 60 unknown table, 62 syntax, 81 unknown database, 82 database exists,
/// 115 unknown setting, 164 read-only user, 497 no right, 516 wrong password (seen on 26.7 for CREATE, DROP and
/// TRUNCATE of one object). Everything else may have taken effect: a DELETE that was answered with 999 "session
/// expired" was seen to have deleted its rows.
const BEFORE_ANY_CHANGE: [i32; 10] = [47, 57, 60, 62, 81, 82, 115, 164, 497, 516];

/// Sends a changing statement, once. Reading ones are asked where their result is needed.
pub async fn run(context: &RunContext<'_>) -> Result<(), RunError> {
    if context.operation.effect == Effect::Read {
        return Ok(());
    }
    let data: SqlData = context.data()?;
    let Err(answer) = context.send(0).await? else { return Ok(()) };
    let mut error = failed(context, &answer);
    if data.all_or_nothing && answer.code().is_some_and(|code| BEFORE_ANY_CHANGE.contains(&code)) {
        error.kind = RunErrorKind::NotSent;
    }
    Err(error)
}

/// Whether the statement took effect.
pub async fn probe(context: &RunContext<'_>) -> Probe {
    if context.operation.effect == Effect::Read {
        return Probe::NotDone;
    }
    match try_probe(context).await {
        Ok(probe) => probe,
        Err(error) => Probe::Unknown(Box::new(error.refusal)),
    }
}

async fn try_probe(context: &RunContext<'_>) -> Result<Probe, RunError> {
    let data: SqlData = context.data()?;
    let host = context.host()?;
    let id = literal(&context.query_id());
    let running = one(context, &data, &format!("SELECT count() FROM system.processes WHERE query_id = {id}")).await?;
    if running != Single::Value(json!(0)) {
        return Ok(Probe::Running);
    }
    if let Some(probe) = &data.probe {
        let value = one(context, &data, &context.fill_path(&probe.query)?).await?;
        return Ok(if value.is(&probe.equals) { Probe::Done } else { Probe::NotDone });
    }
    if let Some(promise) = &data.promise {
        let value = one(context, &data, &promise.query).await?;
        if value.is(&promise.equals) {
            return Ok(Probe::Done);
        }
        if data.promise_denies {
            return Ok(Probe::NotDone);
        }
    }
    // The query log is written some seconds late and may be switched off, so that only a hit tells something.
    let log = format!("SELECT count() FROM system.query_log WHERE query_id = {id} AND type = 'QueryFinish'");
    if let Ok(answer) = ask(context, host, None, &log).await
        && matches!(Single::of(&answer), Single::Value(count) if count != json!(0))
    {
        return Ok(Probe::Done);
    }
    let evidence = format!("on {host}: SELECT type, event_time, exception FROM system.query_log WHERE query_id = {id}");
    Ok(Probe::Unknown(Box::new(context.refusal(
        "it cannot be told whether the statement took effect",
        "a `probe:` in the step that tells it",
        format!("none is declared; the statement is not running on {host}, and its query log does not show its end"),
        evidence,
        "look at what the statement changes, then say how it ended: `clickferry resolve RUN OPERATION --done|--not-done --reason ...`; a `probe:` in the step answers it next time",
    ))))
}

/// Proves the post-condition; for a reading statement, asks it.
pub async fn prove(context: &RunContext<'_>) -> Result<Value, RunError> {
    let data: SqlData = context.data()?;
    let host = context.host()?;
    let mut outcome = json!({ "host": host.as_str() });
    if context.operation.effect == Effect::Read {
        let text = context.filled(0).await?;
        let query = secrecy::ExposeSecret::expose_secret(&text);
        let answer =
            ask(context, host, data.database.as_deref(), query).await.map_err(|error| failed(context, &error))?;
        outcome["columns"] = json!(answer.columns);
        outcome["row_count"] = json!(answer.rows.len());
        outcome["rows"] = json!(answer.rows.iter().take(SHOWN_ROWS).collect::<Vec<_>>());
    }
    let fallback = data.probe.as_ref().filter(|_| data.expect.is_none() && data.promise.is_none());
    let mut asked = Vec::new();
    for question in data.promise.iter().chain(&data.expect).chain(fallback) {
        let query = context.fill_path(&question.query)?;
        let value = one(context, &data, &query).await?;
        if !value.is(&question.equals) {
            let kind =
                if context.operation.effect == Effect::Read { RunErrorKind::Differs } else { RunErrorKind::Broken };
            return Err(differs(context, kind, question, &query, &value));
        }
        asked.push(json!({ "query": query, "value": value.to_string() }));
    }
    outcome["proved"] = json!(asked);
    Ok(outcome)
}

/// Asks a lasting post-condition again.
pub async fn still_holds(context: &RunContext<'_>) -> Holds {
    let Ok(data) = context.data::<SqlData>() else { return Holds::Yes };
    let Some(question) = data.expect.as_ref().filter(|_| data.lasting) else { return Holds::Yes };
    let asked = match context.fill_path(&question.query) {
        Ok(query) => one(context, &data, &query).await.map(|value| (query, value)),
        Err(error) => Err(error),
    };
    match asked {
        Err(error) => Holds::CannotTell(Box::new(error.refusal)),
        Ok((_, value)) if value.is(&question.equals) => Holds::Yes,
        Ok((query, value)) => {
            Holds::No(Box::new(differs(context, RunErrorKind::Broken, question, &query, &value).refusal))
        }
    }
}

fn differs(context: &RunContext<'_>, kind: RunErrorKind, question: &Question, query: &str, value: &Single) -> RunError {
    let host = context.operation.host.as_ref().map_or("", |host| host.as_str());
    context.fail(
        kind,
        "the expected state is not there",
        question.equals.to_string(),
        value.to_string(),
        format!("on {host}: {query}"),
        "look at what the statement changed, repair it or correct `expect:`, then plan anew",
    )
}

async fn one(context: &RunContext<'_>, data: &SqlData, query: &str) -> Result<Single, RunError> {
    let host = context.host()?;
    let answer = ask(context, host, data.database.as_deref(), query).await.map_err(|error| failed(context, &error))?;
    Ok(Single::of(&answer))
}

fn failed(context: &RunContext<'_>, error: &SqlError) -> RunError {
    RunError::from_sql(
        format!("{} {}: {}", context.operation.id, context.operation.kind, context.operation.object),
        error,
    )
}
