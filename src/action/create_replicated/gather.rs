//! Reads the source's columns, and what stands in Keeper at the paths of the new tables.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::errors::explain_look;
use crate::engine::ports::{Call, Keeper};
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::plan::SHARE;
use crate::plan::convert::{Conversion, to_replicated};
use crate::plan::sql::literal;

/// Questions to Keeper on their way at the same time. They go through one connection, one behind the other, and each is
/// answered in microseconds: what takes time is the way there and back.
const PARALLEL: usize = 128;

/// What planning needs beyond the common observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By table of the source: `name type [kind of default]` of its columns.
    pub columns: BTreeMap<String, Vec<String>>,
    /// By path that exists in Keeper: names of its replicas. `None` where the environment names no Keeper.
    pub keeper: Option<BTreeMap<String, Vec<String>>>,
    /// By host of the target: its users, where a definition names one and the host tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, Vec<String>>,
}

/// Columns of a database's tables, as `name type [kind of default]`.
pub fn columns_query(database: &str) -> String {
    format!(
        "SELECT table, name, type, toString(default_kind) AS default_kind FROM system.columns WHERE database = {} ORDER BY table, position",
        literal(database)
    )
}

/// A column as it is compared.
pub fn column_words(name: &str, kind: &str, default_kind: &str) -> String {
    if default_kind.is_empty() { format!("{name} {kind}") } else { format!("{name} {kind} {default_kind}") }
}

pub async fn observe(context: &ObserveContext<'_>) -> Result<Value, Failure> {
    let arguments: Arguments = context.arguments()?;
    let mut observed = Observed::default();
    let source = context.world.targets.get(arguments.from.as_str()).and_then(|target| target.hosts.first());
    let target = context.world.targets.get(arguments.on.as_str());
    if let Some(source) = source {
        observed.columns = columns(context, source, arguments.database.as_str()).await?;
    }
    if let (Some(source), Some(target)) = (source, target) {
        observed.users = super::users::observe(context, &arguments, source, target).await?;
    }
    if let (Some(source), Some(target), Some(keeper)) =
        (source, target, context.ports.keepers.get(arguments.on.as_str()))
    {
        // One after the other, thousands of paths would take as many times the way to Keeper and back.
        let looks: Vec<_> =
            paths(&arguments, source, target).into_iter().map(|path| replicas_at(keeper.as_ref(), path)).collect();
        let found: Vec<_> = stream::iter(looks).buffered(PARALLEL).try_collect().await?;
        observed.keeper = Some(found.into_iter().flatten().collect());
    }
    serde_json::to_value(&observed).map_err(|error| Failure::simple(error.to_string(), "report this as a defect"))
}

async fn columns(
    context: &ObserveContext<'_>,
    source: &HostWorld,
    database: &str,
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let answer =
        context.ports.sql.call(&source.name, Call::read(columns_query(database))).await.map_err(|error| {
            Failure::error(explain_look(format!("reading the columns of database {database}"), &error))
        })?;
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for [table, name, kind, default_kind] in answer.into_records(["table", "name", "type", "default_kind"]) {
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        columns.entry(text(&table)).or_default().push(column_words(&text(&name), &text(&kind), &text(&default_kind)));
    }
    columns.retain(|table, _| !arguments_skip(table));
    Ok(columns)
}

/// Hidden tables come with their views.
fn arguments_skip(table: &str) -> bool {
    table.starts_with(".inner.") || table.starts_with(".inner_id.")
}

/// The names of the replicas at a path; nothing where the path is not there.
async fn replicas_at(keeper: &dyn Keeper, path: String) -> Result<Option<(String, Vec<String>)>, Failure> {
    let failed = |error| Failure::error(explain_keeper(format!("looking at the Keeper path {path}"), &error));
    // A path with replicas exists: only where there are none does it have to be asked itself.
    let replicas = match keeper.children(&format!("{path}/replicas")).await.map_err(failed)? {
        Some(replicas) => replicas,
        None if keeper.children(&path).await.map_err(failed)?.is_some() => Vec::new(),
        None => return Ok(None),
    };
    Ok(Some((path, replicas)))
}

/// Every path that the step would make, macros filled in.
fn paths(arguments: &Arguments, source: &HostWorld, target: &TargetWorld) -> BTreeSet<String> {
    let tables = source.tables_of(arguments.database.as_str());
    let tables: Vec<_> = tables.filter(|table| !table.is_inner() && !arguments.leaves_out(&table.name)).collect();
    let template = |table: &&Table| match to_replicated(&table.create_query, &arguments.replication()) {
        Conversion::Create(created) => created.replicated.map(|(path, _)| path),
        _ => None,
    };
    let templates: Vec<String> = tables.par_iter().with_min_len(SHARE).filter_map(template).collect();
    let on_each = |path: &String| target.hosts.iter().map(|host| host.expand_macros(path)).collect::<Vec<_>>();
    templates.iter().flat_map(on_each).filter(|path| !path.contains('{')).collect()
}
