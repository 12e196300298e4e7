//! `wait_for`: asks hosts a question until the answer is the expected one.

use std::time::Duration;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::select::{Every, Scalar, Single, ask, select};
use super::sql::{check_query, error, first_line, one_query};
use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::{PlanContext, RunContext};
use crate::model::formats::{DatabaseName, DurationText, SqlText, TargetRole};
use crate::model::words::count;
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

/// Arguments of `wait_for`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WaitArguments {
    /// Target whose hosts are asked.
    pub on: TargetRole,
    /// Which hosts of the target.
    #[serde(default)]
    pub every: Every,
    /// The reading query, answering one value.
    pub query: SqlText,
    /// Current database of the query; `system` when absent.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    /// The value that ends the waiting.
    pub equals: Scalar,
    /// Longest time to wait; 10 minutes when absent.
    #[serde(default = "ten_minutes")]
    pub within: DurationText,
    /// Pause between two questions; 2 seconds when absent.
    #[serde(default = "two_seconds")]
    pub interval: DurationText,
}

fn ten_minutes() -> DurationText {
    DurationText("10m".to_owned())
}

fn two_seconds() -> DurationText {
    DurationText("2s".to_owned())
}

/// What an operation needs at run time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct WaitData {
    query: String,
    database: Option<String>,
    equals: Scalar,
    within_ms: u64,
    interval_ms: u64,
}

/// The action.
pub struct WaitFor;

#[async_trait]
impl Action for WaitFor {
    fn name(&self) -> &'static str {
        "wait_for"
    }

    fn summary(&self) -> &'static str {
        "Asks hosts a question again and again until the answer is the expected one."
    }

    fn reference(&self) -> &'static str {
        "**Operations**: one per selected host, side by side; nothing is changed. The query is asked every `interval:` \
         (2 seconds) until its single value is `equals:`. A host that does not answer yet, or a table that is not there \
         yet, only means waiting on.\n\n\
         **Post-condition**: the value was there within `within:` (10 minutes). Otherwise the run stops with exit code 2 \
         and shows the last value.\n\n\
         **Probe, undo**: none; at resume an unfinished wait begins again.\n"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<WaitArguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let Ok(arguments) = WaitArguments::deserialize(arguments) else { return Vec::new() };
        let mut errors: Vec<ArgumentError> = check_query("/query", arguments.query.as_str()).into_iter().collect();
        if arguments.interval.duration().is_some_and(|interval| interval < Duration::from_millis(100)) {
            errors.push(error(
                "/interval",
                "a pause of less than 100 milliseconds would only load the server",
                Some("write `1s`"),
            ));
        }
        errors
    }

    fn authored(&self, arguments: &Value) -> Vec<(String, String)> {
        let arguments = WaitArguments::deserialize(arguments).into_iter();
        arguments.map(|arguments| (arguments.on.as_str().to_owned(), one_query(&arguments.query))).collect()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        let arguments: WaitArguments = context.arguments()?;
        let query = one_query(&arguments.query);
        let data = WaitData {
            query: query.clone(),
            database: arguments.database.map(|name| name.0),
            equals: arguments.equals,
            within_ms: milliseconds(&arguments.within, Duration::from_secs(600)),
            interval_ms: milliseconds(&arguments.interval, Duration::from_secs(2)),
        };
        let target = context.target(arguments.on.as_str())?;
        Ok(select(target, arguments.every)
            .into_iter()
            .map(|host| {
                Operation::new(context.step, "wait_for", "wait_for", first_line(&query), Effect::Read)
                    .on(arguments.on.as_str(), &host.name)
                    .statement(Statement::late(query.clone()).in_database(data.database.as_deref()).again(format!(
                        "every {} until it answers {}, for {} at most",
                        arguments.interval.as_str(),
                        data.equals,
                        arguments.within.as_str()
                    )))
                    .promises(
                        "",
                        format!("{} within {}", data.equals, arguments.within.as_str()),
                        format!("asked every {}", arguments.interval.as_str()),
                    )
                    .with_data(&data)
            })
            .collect())
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        let data: WaitData = context.data()?;
        let query = context.fill_path(&data.query)?;
        let limit = Duration::from_millis(data.within_ms).min(context.timeout);
        let deadline = context.ports.clock.ticks().saturating_add(limit);
        loop {
            let found = match look(context, &data, &query).await? {
                Ok(()) => return Ok(()),
                Err(found) => found,
            };
            if context.ports.clock.ticks() >= deadline {
                return Err(differs(context, &data, &query, &found));
            }
            context.progress.progress(
                &context.operation.id,
                0,
                None,
                &format!("waiting for {}, last {found}", data.equals),
            );
            tokio::select! {
                () = context.cancel.cancelled() => {
                    return Err(context.fail(RunErrorKind::AskProbe, "the waiting was cancelled", data.equals.to_string(), found, "", "`clickferry resume` waits again"));
                }
                () = context.ports.clock.sleep(Duration::from_millis(data.interval_ms)) => {}
            }
        }
    }

    async fn probe(&self, _context: &RunContext<'_>) -> Probe {
        Probe::NotDone
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        let data: WaitData = context.data()?;
        let query = context.fill_path(&data.query)?;
        match look(context, &data, &query).await? {
            Ok(()) => Ok(json!({ "host": context.host()?.as_str(), "query": query, "value": data.equals.to_string() })),
            Err(found) => Err(differs(context, &data, &query, &found)),
        }
    }

    async fn still_holds(&self, _context: &RunContext<'_>, _outcome: &Value) -> Holds {
        // What was waited for may pass; the steps behind it have had it.
        Holds::Yes
    }
}

/// Asks once. The inner error is what was found instead, an unfit answer of the server included.
async fn look(context: &RunContext<'_>, data: &WaitData, query: &str) -> Result<Result<(), String>, RunError> {
    let host = context.host()?;
    Ok(match ask(context, host, data.database.as_deref(), query).await {
        Ok(answer) => {
            let single = Single::of(&answer);
            if single.is(&data.equals) { Ok(()) } else { Err(single.to_string()) }
        }
        // 62 syntax, 164 read-only, 497 no right, 516 wrong password: time does not heal these.
        Err(error) if matches!(error.code(), Some(62 | 164 | 497 | 516)) => {
            return Err(RunError::from_sql(format!("{} on {host}", context.operation.id), &error));
        }
        Err(error) => Err(error.to_string()),
    })
}

fn differs(context: &RunContext<'_>, data: &WaitData, query: &str, found: &str) -> RunError {
    let host = context.operation.host.as_ref().map_or("", |host| host.as_str());
    context.fail(
        RunErrorKind::Differs,
        "what was waited for did not come",
        format!("{} within {}", data.equals, count(data.within_ms / 1000, "second")),
        found,
        format!("on {host}: {query}"),
        "look why it takes so long; `clickferry resume` waits again",
    )
}

fn milliseconds(text: &DurationText, default: Duration) -> u64 {
    u64::try_from(text.duration().unwrap_or(default).as_millis()).unwrap_or(u64::MAX)
}
