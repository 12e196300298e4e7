//! Reads the source's columns, and what stands in Keeper at the paths of the new tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::errors::explain_look;
use crate::engine::ports::Call;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::convert::{Conversion, to_replicated};
use crate::plan::sql::literal;

/// What planning needs beyond the common observation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// By table of the source: `name type [kind of default]` of its columns.
    pub columns: BTreeMap<String, Vec<String>>,
    /// By path that exists in Keeper: names of its replicas. `None` where the environment names no Keeper.
    pub keeper: Option<BTreeMap<String, Vec<String>>>,
    /// Replicated tables of the target now.
    pub tables: Vec<Used>,
    /// By host of the target: its users, where a definition names one and the host tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, Vec<String>>,
}

/// A replicated table of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Keeper path.
    pub path: String,
    /// Name of the replica.
    pub replica: String,
    /// Host.
    pub host: String,
    /// UUID of the table.
    pub uuid: String,
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
    if let Some(target) = target {
        observed.tables = used(target);
    }
    if let (Some(source), Some(target)) = (source, target) {
        observed.users = super::users::observe(context, &arguments, source, target).await?;
    }
    if let (Some(source), Some(target), Some(keeper)) =
        (source, target, context.ports.keepers.get(arguments.on.as_str()))
    {
        let mut found = BTreeMap::new();
        for path in paths(&arguments, source, target) {
            let failed = |error| Failure::error(explain_keeper(format!("looking at the Keeper path {path}"), &error));
            if keeper.children(&path).await.map_err(failed)?.is_some() {
                let replicas = keeper.children(&format!("{path}/replicas")).await.map_err(failed)?;
                found.insert(path.clone(), replicas.unwrap_or_default());
            }
        }
        observed.keeper = Some(found);
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
    for row in 0..answer.rows.len() {
        let text = |column: &str| answer.text(row, column).unwrap_or_default();
        columns.entry(text("table")).or_default().push(column_words(
            &text("name"),
            &text("type"),
            &text("default_kind"),
        ));
    }
    columns.retain(|table, _| !arguments_skip(table));
    Ok(columns)
}

/// Hidden tables come with their views.
fn arguments_skip(table: &str) -> bool {
    table.starts_with(".inner.") || table.starts_with(".inner_id.")
}

fn used(target: &TargetWorld) -> Vec<Used> {
    let mut used = Vec::new();
    for host in &target.hosts {
        for table in &host.tables {
            if let Some(path) = &table.zookeeper_path {
                used.push(Used {
                    path: path.clone(),
                    replica: table.replica_name.clone().unwrap_or_default(),
                    host: host.name.0.clone(),
                    uuid: table.uuid.clone(),
                });
            }
        }
    }
    used
}

/// Every path that the step would make, macros filled in.
fn paths(arguments: &Arguments, source: &HostWorld, target: &TargetWorld) -> std::collections::BTreeSet<String> {
    let mut paths = std::collections::BTreeSet::new();
    for table in source.tables_of(arguments.database.as_str()) {
        if table.is_inner() || arguments.leaves_out(&table.name) {
            continue;
        }
        if let Conversion::Create(created) = to_replicated(&table.create_query, &arguments.replication())
            && let Some((path, _)) = &created.replicated
        {
            paths.extend(target.hosts.iter().map(|host| host.expand_macros(path)).filter(|path| !path.contains('{')));
        }
    }
    paths
}
