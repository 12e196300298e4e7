//! `mark_migrations_clean`: tells golang-migrate that a version is applied and clean, on every replica.

mod plan;
mod run;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diag::{Failure, Refusal};
use crate::engine::action::{Action, ArgumentError, Holds, Probe, RunError};
use crate::engine::context::{ObserveContext, PlanContext, RunContext};
use crate::engine::errors::explain_sql;
use crate::engine::ports::{Answer, Call};
use crate::engine::undo::{Undo, UndoContext};
use crate::model::formats::{TableName, TargetRole, parse_table};
use crate::model::ids::HostName;
use crate::plan::operation::Operation;
use crate::plan::sql::qualified;

/// Tells golang-migrate that a version is applied and clean.
pub struct MarkMigrationsClean;

/// Arguments of `mark_migrations_clean`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Target whose history is marked.
    pub on: TargetRole,
    /// The table of golang-migrate, usually `<database>.schema_migrations`.
    pub table: TableName,
    /// Version that is applied and clean; -1 means that no migration was applied.
    pub version: i64,
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) version: i64,
    pub(crate) dirty: u64,
    pub(crate) sequence: u64,
}

impl Row {
    fn is_clean(&self, version: i64) -> bool {
        self.version == version && self.dirty == 0
    }

    pub(crate) fn words(row: Option<&Self>) -> String {
        row.map_or_else(
            || "no row".to_owned(),
            |row| format!("version {}, {}", row.version, if row.dirty == 0 { "clean" } else { "dirty" }),
        )
    }
}

/// What was seen of a history at planning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// UUID of the table.
    uuid: String,
    /// Rows of the table.
    rows: Option<u64>,
    /// The last row.
    last: Option<Row>,
}

/// What an operation needs at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Data {
    table: String,
    version: i64,
    /// Hosts on which the history must answer clean afterwards.
    hosts: Vec<HostName>,
    /// Engine of the table; empty in plans of older versions.
    #[serde(default)]
    engine: String,
}

/// The migrator's own question, with the sequence besides.
pub(crate) fn last_row_query(table: &str) -> String {
    format!("SELECT version, dirty, sequence FROM {table} ORDER BY sequence DESC LIMIT 1")
}

pub(crate) fn last_row(answer: &Answer) -> Option<Row> {
    let version = answer.text(0, "version")?.parse().ok()?;
    Some(Row { version, dirty: answer.number(0, "dirty")?, sequence: answer.number(0, "sequence")? })
}

/// The table's name for SQL; the schema walker has checked the text before.
fn table_sql(table: &TableName) -> Result<(String, String, String), String> {
    let (database, name) = parse_table(table.as_str())?;
    let sql = qualified(&database, &name);
    Ok((database, name, sql))
}

#[async_trait]
impl Action for MarkMigrationsClean {
    fn name(&self) -> &'static str {
        "mark_migrations_clean"
    }

    fn summary(&self) -> &'static str {
        "Tells golang-migrate on every replica that a version is applied and clean."
    }

    fn reference(&self) -> &'static str {
        include_str!("reference.md")
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Arguments>()
    }

    fn check(&self, arguments: &Value) -> Vec<ArgumentError> {
        if arguments.get("version").and_then(Value::as_i64).is_some_and(|version| version < -1) {
            return vec![ArgumentError {
                pointer: "/version".to_owned(),
                message: "a version is at least -1".to_owned(),
                help: Some("-1 means that no migration was applied".to_owned()),
            }];
        }
        Vec::new()
    }

    async fn observe(&self, context: &ObserveContext<'_>) -> Result<Value, Failure> {
        let arguments: Arguments = context.arguments()?;
        let (database, name, sql) =
            table_sql(&arguments.table).map_err(|error| Failure::simple(error, "correct the step"))?;
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        let mut problems = Vec::new();
        // Histories of other targets tell whether the version is plausible; they may be where this one comes from.
        for host in context.world.targets.values().flat_map(|target| &target.hosts) {
            let Some(table) = host.table(&database, &name) else { continue };
            match context.ports.sql.call(&host.name, Call::read(last_row_query(&sql))).await {
                Ok(answer) => {
                    let entry = Seen { uuid: table.uuid.clone(), rows: table.rows, last: last_row(&answer) };
                    seen.insert(host.name.0.clone(), entry);
                }
                // Another table of that name: planning tells, unless an earlier step replaces it.
                Err(error) if error.code() == Some(47) => {}
                Err(error) => problems.push(explain_sql(format!("reading the last row of {sql}"), &error)),
            }
        }
        if !problems.is_empty() {
            return Err(Failure::Error(problems));
        }
        serde_json::to_value(&seen).map_err(|error| Failure::simple(error.to_string(), "report this as a defect"))
    }

    fn plan(&self, context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
        plan::plan(context)
    }

    async fn prepare(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        run::prepare(context, &context.data()?).await
    }

    async fn run(&self, context: &RunContext<'_>) -> Result<(), RunError> {
        run::run(context).await
    }

    async fn probe(&self, context: &RunContext<'_>) -> Probe {
        match context.data() {
            Ok(data) => run::probe(context, &data).await,
            Err(error) => Probe::Unknown(Box::new(error.refusal)),
        }
    }

    async fn prove(&self, context: &RunContext<'_>) -> Result<Value, RunError> {
        run::prove(context, &context.data()?).await
    }

    fn undo(&self, context: &UndoContext<'_>) -> Undo {
        undo::undo(context)
    }

    async fn still_holds(&self, context: &RunContext<'_>, _outcome: &Value) -> Holds {
        match context.data() {
            Ok(data) => run::still_holds(context, &data).await,
            Err(error) => Holds::CannotTell(Box::new(error.refusal)),
        }
    }
}
