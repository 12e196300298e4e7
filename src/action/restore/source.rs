//! What is restored: the backup of an earlier step, or one that is in the bucket already.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::backup::tables::has_rows;
use crate::action::gate::first_of;
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::formats::{BackupStep, StorageRole, parse_table};
use crate::model::text::Text;

use super::RestoreArguments;

/// Where the backup comes from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum BackupSource {
    /// Id of an earlier `backup` step of this runbook.
    Step(BackupStep),
    /// A backup that is in the bucket already.
    Existing(ExistingBackup),
}

/// A backup that is in the bucket already.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExistingBackup {
    /// Storage that holds it.
    pub(crate) storage: StorageRole,
    /// Its path below the storage's prefix.
    pub(crate) path: String,
}

/// One entry of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceTable {
    /// Database.
    pub(crate) database: String,
    /// Name.
    pub(crate) table: String,
    /// Engine.
    pub(crate) engine: String,
    /// DDL.
    pub(crate) create_query: Text,
    /// Rows: of an existing backup exactly, of a step's backup as the source was when planning.
    #[serde(default)]
    pub(crate) rows: Option<u64>,
    /// Bytes.
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
}

impl SourceTable {
    /// `database.table`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.table)
    }

    /// Whether the backup can hold rows of it.
    pub(crate) fn has_rows(&self) -> bool {
        has_rows(&self.engine, &self.create_query)
    }
}

/// Where the bytes of one shard of a backup are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Step that makes the backup in this run; absent for an existing one.
    pub(crate) step: Option<String>,
    /// Shard within the backup.
    pub(crate) shard: String,
    /// Storage role.
    pub(crate) storage: String,
    /// Path of an existing backup.
    pub(crate) path: Option<String>,
}

impl Origin {
    /// The path as it stands in a statement.
    pub(crate) fn path_text(&self) -> String {
        match (&self.step, &self.path) {
            (Some(step), _) => format!("${{step {step} path {}}}", self.shard),
            (None, path) => path.clone().unwrap_or_default(),
        }
    }
}

/// A backup as planning sees it.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    step: Option<String>,
    storage: String,
    path: Option<String>,
    /// Entries by shard.
    pub(crate) shards: BTreeMap<String, Vec<SourceTable>>,
}

impl Source {
    /// Where a shard's bytes are.
    pub(crate) fn origin(&self, shard: &str) -> Origin {
        Origin {
            step: self.step.clone(),
            shard: shard.to_owned(),
            storage: self.storage.clone(),
            path: self.path.clone(),
        }
    }

    /// Whether the rows are known exactly now.
    pub(crate) fn is_existing(&self) -> bool {
        self.step.is_none()
    }
}

#[derive(Deserialize)]
struct Promise {
    storage: String,
    shards: BTreeMap<String, PromisedShard>,
}

#[derive(Deserialize)]
struct PromisedShard {
    tables: Vec<SourceTable>,
}

/// Finds the backup.
pub(crate) fn find(context: &PlanContext<'_>, arguments: &RestoreArguments) -> Result<Source, Vec<Refusal>> {
    match &arguments.backup {
        BackupSource::Step(step) => {
            let promise =
                context.promises.iter().find(|(id, _)| id.as_str() == step.as_str()).map(|(_, promise)| promise);
            let promise = promise.and_then(|promise| Promise::deserialize(promise).ok()).ok_or_else(|| {
                vec![
                    context
                        .refuse(
                            format!("the step `{}` makes no backup", step.as_str()),
                            "an earlier `backup` step that is not left out",
                            "none of that name",
                            "see what is wrong with that step; or correct `backup`, or the `when` of that step",
                        )
                        .shown_by("clickferry validate RUNBOOK"),
                ]
            })?;
            let shards = promise.shards.into_iter().map(|(shard, tables)| (shard, tables.tables)).collect();
            Ok(Source { step: Some(step.as_str().to_owned()), storage: promise.storage, path: None, shards })
        }
        BackupSource::Existing(existing) => {
            let tables = context.observed.get("tables").cloned().unwrap_or(Value::Null);
            let tables: Vec<SourceTable> = serde_json::from_value(tables).map_err(|error| {
                vec![
                    context
                        .refuse(
                            "what was observed of the backup does not fit",
                            "a list of its tables with their definitions",
                            error.to_string(),
                            "plan again; take a snapshot again with the same version",
                        )
                        .shown_by("clickferry inspect -e ENVIRONMENT"),
                ]
            })?;
            Ok(Source {
                step: None,
                storage: existing.storage.as_str().to_owned(),
                path: Some(existing.path.trim_end_matches('/').to_owned()),
                shards: BTreeMap::from([("-".to_owned(), tables)]),
            })
        }
    }
}

/// What shows the content of the backup: its manifest, or what it will be made of.
fn shown_by(arguments: &RestoreArguments) -> String {
    match &arguments.backup {
        BackupSource::Step(_) => "on the source: SELECT database, name FROM system.tables".to_owned(),
        BackupSource::Existing(existing) => format!(
            "the object {}/.backup of the storage `{}`; clickferry inspect -e ENVIRONMENT",
            existing.path.trim_end_matches('/'),
            existing.storage.as_str()
        ),
    }
}

/// Picks the entries that the step asks for, sorted.
pub(crate) fn select(
    context: &PlanContext<'_>,
    arguments: &RestoreArguments,
    tables: &[SourceTable],
) -> Result<Vec<SourceTable>, Vec<Refusal>> {
    let pairs = |names: &[crate::model::formats::TableName]| -> Vec<(String, String)> {
        names.iter().filter_map(|name| parse_table(name.as_str()).ok()).collect()
    };
    let (wanted, except) = (pairs(&arguments.tables), pairs(&arguments.except_tables));
    let all = wanted.is_empty() && arguments.databases.is_empty();
    let in_database =
        |table: &SourceTable| arguments.databases.iter().any(|database| database.as_str() == table.database);
    let is =
        |table: &SourceTable, (database, name): &(String, String)| table.database == *database && table.table == *name;
    let mut problems = Vec::new();
    let held: Vec<String> = tables.iter().map(SourceTable::full_name).collect();
    let holds = if held.is_empty() { "no table".to_owned() } else { first_of(&held, 10, ", ") };
    let shown = shown_by(arguments);
    let mut absent = |what: String| {
        problems.push(
            context
                .refuse(
                    format!("{what} is not in the backup"),
                    format!("{what} among what the backup holds"),
                    format!("it holds {holds}"),
                    "correct the selection, or take a backup that holds it",
                )
                .shown_by(&shown),
        );
    };
    for database in &arguments.databases {
        if !tables.iter().any(|table| table.database == database.as_str()) {
            absent(format!("the database {}", database.as_str()));
        }
    }
    for name in wanted.iter().chain(&except) {
        if !tables.iter().any(|table| is(table, name)) {
            absent(format!("the table {}.{}", name.0, name.1));
        }
    }
    let mut selected: Vec<SourceTable> = tables
        .iter()
        .filter(|table| all || in_database(table) || wanted.iter().any(|name| is(table, name)))
        .filter(|table| !except.iter().any(|name| is(table, name)))
        .cloned()
        .collect();
    selected.sort_by(|a, b| (&a.database, &a.table).cmp(&(&b.database, &b.table)));
    if selected.is_empty() && problems.is_empty() {
        problems.push(
            context
                .refuse(
                    "there is nothing to restore",
                    "at least one table",
                    format!("none in what is selected; the backup holds {holds}"),
                    "correct `databases`, `tables` or `except_tables`",
                )
                .shown_by(&shown),
        );
    }
    problems.extend(selected.iter().filter(|table| table.full_name().contains("${")).map(|table| {
        context
            .refuse(
                format!("the name of the table {} cannot be told from a late value", table.full_name()),
                "names without `${`",
                table.full_name(),
                "leave the table out with `except_tables`",
            )
            .shown_by(&shown)
    }));
    if problems.is_empty() { Ok(selected) } else { Err(problems) }
}
