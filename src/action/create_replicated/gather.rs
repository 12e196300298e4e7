//! Reads the source's columns, and what stands in Keeper at the paths of the new tables.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Arguments;
use crate::action::gate::explain_keeper;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::errors::explain_look;
use crate::engine::ports::Call;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::plan::SHARE;
use crate::plan::convert::{Conversion, to_replicated};
use crate::plan::sql::literal;

/// Lists of names by what they belong to.
type Lists<T> = BTreeMap<T, Vec<T>>;

/// What planning needs beyond the common observation.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// By table of the source: `name type [kind of default]` of its columns.
    pub columns: Lists<String>,
    /// By path that exists in Keeper: names of its replicas. `None` where the environment names no Keeper.
    pub keeper: Option<Lists<String>>,
    /// By host of the target: its users, where a definition names one and the host tells.
    pub users: Lists<String>,
}

impl Observed {
    /// As a value that holds these very texts.
    pub fn into_value(self) -> Value {
        let texts = |list: Vec<String>| list.into_iter().map(Value::String).collect::<Vec<_>>();
        let lists =
            |all: Lists<String>| Value::Object(all.into_iter().map(|(of, list)| (of, texts(list).into())).collect());
        // Put in as they are, for `json!` would copy them.
        let mut value = Map::new();
        value.insert("columns".to_owned(), lists(self.columns));
        value.insert("keeper".to_owned(), self.keeper.map_or(Value::Null, lists));
        if !self.users.is_empty() {
            value.insert("users".to_owned(), lists(self.users));
        }
        Value::Object(value)
    }
}

/// [`Observed`] as planning reads it, without copies of its texts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Known<'v> {
    #[serde(borrow)]
    pub columns: Lists<&'v str>,
    #[serde(borrow)]
    pub keeper: Option<Lists<&'v str>>,
    #[serde(borrow, default)]
    pub users: Lists<&'v str>,
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
    let Some(source) = source else { return Ok(observed.into_value()) };
    // The server and Keeper are asked side by side. Where both fail, what the server said is told.
    let (columns, keeper) = tokio::join!(
        columns(context, source, arguments.database.as_str()),
        in_keeper(context, &arguments, source, target)
    );
    observed.columns = columns?;
    if let Some(target) = target {
        observed.users = super::users::observe(context, &arguments, source, target).await?;
    }
    observed.keeper = keeper?;
    Ok(observed.into_value())
}

/// What stands at the paths of the new tables; `None` where the environment names no Keeper.
async fn in_keeper(
    context: &ObserveContext<'_>,
    arguments: &Arguments,
    source: &HostWorld,
    target: Option<&TargetWorld>,
) -> Result<Option<Lists<String>>, Failure> {
    let (Some(target), Some(keeper)) = (target, context.ports.keepers.get(arguments.on.as_str())) else {
        return Ok(None);
    };
    let failed =
        |error| Failure::error(explain_keeper("looking at the Keeper paths of the new tables".to_owned(), &error));
    let paths: Vec<String> = paths(arguments, source, target).into_iter().collect();
    let below: Vec<String> = paths.iter().map(|path| format!("{path}/replicas")).collect();
    let (mut there, mut without) = (Vec::new(), Vec::new());
    let mut each_path = paths.into_iter();
    let each = &mut |_: usize, replicas: Option<&[&str]>| match (each_path.next(), replicas) {
        (Some(path), Some(replicas)) => there.push((path, replicas.iter().map(|name| (*name).to_owned()).collect())),
        // A path with replicas exists: only where there are none does it have to be asked itself.
        (Some(path), None) => without.push(path),
        (None, _) => {}
    };
    keeper.children_of(&below, each).await.map_err(failed)?;
    let each = &mut |at: usize, found: Option<&[&str]>| {
        if let (Some(path), Some(_)) = (without.get(at), found) {
            there.push((String::clone(path), Vec::new()));
        }
    };
    keeper.children_of(&without, each).await.map_err(failed)?;
    Ok(Some(there.into_iter().collect()))
}

async fn columns(context: &ObserveContext<'_>, source: &HostWorld, database: &str) -> Result<Lists<String>, Failure> {
    let answer =
        context.ports.sql.call(&source.name, Call::read(columns_query(database))).await.map_err(|error| {
            Failure::error(explain_look(format!("reading the columns of database {database}"), &error))
        })?;
    let mut columns: Vec<(String, Vec<String>)> = Vec::new();
    for [table, name, kind, default_kind] in answer.into_records(["table", "name", "type", "default_kind"]) {
        let [table, name, kind, default_kind] =
            [&table, &name, &kind, &default_kind].map(|value| value.as_str().unwrap_or_default());
        let words = column_words(name, kind, default_kind);
        // The columns of a table follow each other.
        match columns.last_mut() {
            Some((last, of_table)) if last == table => of_table.push(words),
            _ => columns.push((table.to_owned(), vec![words])),
        }
    }
    Ok(columns.into_iter().filter(|(table, _)| !arguments_skip(table)).collect())
}

/// Hidden tables come with their views.
fn arguments_skip(table: &str) -> bool {
    table.starts_with(".inner.") || table.starts_with(".inner_id.")
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
