//! `assert`: a reading query whose answer must be right, else the run stops.

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::select::{Every, Scalar, Single, ask, select};
use super::sql::{check_query, error, first_line, one_query};
use crate::diag::Refusal;
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError, RunErrorKind};
use crate::engine::context::{PlanContext, RunContext};
use crate::model::formats::{DatabaseName, SqlText, TargetRole};
use crate::model::words::count;
use crate::plan::operation::{Effect, Operation};
use crate::plan::statement::Statement;

/// Arguments of `assert`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AssertArguments {
    /// Target whose hosts are asked.
    pub on: TargetRole,
    /// Which hosts of the target.
    #[serde(default)]
    pub every: Every,
    /// The reading query.
    pub query: SqlText,
    /// Current database of the query; `system` when absent.
    #[serde(default)]
    pub database: Option<DatabaseName>,
    /// The single value it must answer.
    #[serde(default)]
    pub equals: Option<Scalar>,
    /// The number of rows it must answer.
    #[serde(default)]
    pub rows: Option<u64>,
    /// What it means when it does not hold.
    #[serde(default)]
    pub message: Option<String>,
}

/// What an operation needs at run time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AssertData {
    query: String,
    database: Option<String>,
    equals: Option<Scalar>,
    rows: Option<u64>,
    message: Option<String>,
}

/// The action.
pub struct Assert;

#[async_trait]
impl Action for Assert {
    fn name(&self) -> &'static str {
        "assert"
    }

    fn summary(&self) -> &'static str {
        "Asks hosts a question and stops the run where the answer is not the expected one."
    }

    fn reference(&self) -> &'static str {
        "**Operations**: one reading query per selected host; nothing is changed.\n\n\
         **Post-condition**: the answer is one value that `equals:`, or has as many `rows:`. Otherwise the run stops \
         with exit code 2 and shows the expected value, the found one and the query. Numbers are compared as numbers.\n\n\
         **Probe, undo**: none; it is asked again at resume until it has held once.\n"
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<AssertArguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        let Ok(arguments) = AssertArguments::deserialize(arguments) else { return Vec::new() };
        let mut errors: Vec<ArgumentError> = check_query("/query", arguments.query.as_str()).into_iter().collect();
        if arguments.equals.is_some() == arguments.rows.is_some() {
            errors.push(error("", "an `assert` has either `equals` or `rows`", Some("say what the answer must be")));
        }
        errors
    }

    fn authored(&self, arguments: &Value) -> Vec<(String, String)> {
        let arguments = AssertArguments::deserialize(arguments).into_iter();
        arguments.map(|arguments| (arguments.on.as_str().to_owned(), one_query(&arguments.query))).collect()
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        let arguments: AssertArguments = context.arguments()?;
        let query = one_query(&arguments.query);
        let data = AssertData {
            query: query.clone(),
            database: arguments.database.map(|name| name.0),
            equals: arguments.equals,
            rows: arguments.rows,
            message: arguments.message,
        };
        let target = context.target(arguments.on.as_str())?;
        Ok(select(target, arguments.every)
            .into_iter()
            .map(|host| {
                Operation::new(context.step, "assert", "assert", first_line(&query), Effect::Read)
                    .on(arguments.on.as_str(), &host.name)
                    .statement(Statement::late(query.clone()).in_database(data.database.as_deref()))
                    .promises("", wanted(&data), format!("`{}` answers {}", first_line(&query), wanted(&data)))
                    .with_data(&data)
            })
            .collect())
    }

    async fn run(&self, _context: &RunContext<'_>) -> Result<(), RunError> {
        Ok(())
    }

    async fn probe(&self, _context: &RunContext<'_>) -> Probe {
        Probe::NotDone
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        let data: AssertData = context.data()?;
        let host = context.host()?;
        let query = context.fill_path(&data.query)?;
        let answer = ask(context, host, data.database.as_deref(), &query)
            .await
            .map_err(|error| RunError::from_sql(format!("{} on {host}", context.operation.id), &error))?;
        let (holds, found) = match (&data.equals, data.rows) {
            (Some(value), _) => {
                let single = Single::of(&answer);
                (single.is(value), single.to_string())
            }
            (None, rows) => {
                let found = answer.rows.len() as u64;
                (rows == Some(found), count(found, "row"))
            }
        };
        if holds {
            return Ok(json!({ "host": host.as_str(), "query": query, "value": found }));
        }
        Err(context.fail(
            RunErrorKind::Differs,
            data.message.clone().unwrap_or_else(|| "the assertion does not hold".to_owned()),
            wanted(&data),
            found,
            format!("on {host}: {query}"),
            "bring about the expected state and `clickferry resume`, or correct the runbook and plan anew",
        ))
    }

    async fn still_holds(&self, _context: &RunContext<'_>, _outcome: &Value) -> Holds {
        // Later steps may change what was asserted before them.
        Holds::Yes
    }
}

fn wanted(data: &AssertData) -> String {
    match (&data.equals, data.rows) {
        (Some(value), _) => value.to_string(),
        (None, Some(rows)) => count(rows, "row"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expectation_and_a_reading_query() {
        let check = |arguments: Value| Assert.check(&arguments).len();
        assert_eq!(check(json!({ "on": "a", "query": "SELECT 1", "equals": 1 })), 0);
        assert_eq!(check(json!({ "on": "a", "query": "SELECT 1;", "rows": 1 })), 0);
        assert_eq!(check(json!({ "on": "a", "query": "SELECT 1" })), 1);
        assert_eq!(check(json!({ "on": "a", "query": "SELECT 1", "rows": 1, "equals": 1 })), 1);
        assert_eq!(check(json!({ "on": "a", "query": "DROP TABLE d.t", "equals": 1 })), 1);
        assert_eq!(check(json!({ "on": "a", "query": "SELECT 1; SELECT 2", "equals": 1 })), 1);
    }
}
