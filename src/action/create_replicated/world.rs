//! The facts that the plan rests on, and the world as it will be.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::Arguments;
use super::gather::Known;
use super::plan::Object;
use crate::action::clear_keeper::is_cleared;
use crate::action::facts;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::text::Text;
use crate::plan::convert::{Created, Ddl, ObjectKind};
use crate::plan::fact::Fact;
use crate::plan::sql::literal;

pub fn facts(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    source: &HostWorld,
    target: &TargetWorld,
    observed: &Known<'_>,
    objects: &BTreeMap<String, Object>,
) -> Vec<Fact> {
    let database = arguments.database.as_str();
    let mut facts: Vec<Fact> = facts::tables_of(source, database).into_iter().collect();
    let read = source.tables_of(database).filter(|table| !table.is_inner() && !arguments.leaves_out(&table.name));
    facts.extend(facts::definitions(source, database, read.map(|table| table.name.as_str())));
    for host in &target.hosts {
        facts.extend(facts::database(host, database));
        facts.extend(facts::tables_of(host, database));
        let existing = objects.keys().filter(|name| host.table(database, name).is_some());
        facts.extend(facts::definitions(host, database, existing.map(String::as_str)));
    }
    facts.extend(keeper_facts(context, arguments, target, observed, objects));
    facts
}

/// What stands at the paths of the new tables, where no earlier step clears them.
fn keeper_facts(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    target: &TargetWorld,
    observed: &Known<'_>,
    objects: &BTreeMap<String, Object>,
) -> Vec<Fact> {
    let Some(seen) = &observed.keeper else { return Vec::new() };
    let role = arguments.on.as_str();
    let templates = objects.values().filter_map(|object| object.created.replicated.as_ref());
    let paths: BTreeSet<String> = templates
        .flat_map(|(template, _)| target.hosts.iter().map(|host| host.expand_macros(template)))
        .filter(|path| !path.contains('{') && !is_cleared(context.promises, role, path))
        .collect();
    let fact = |path: String| {
        let value = match seen.get(path.as_str()) {
            Some(replicas) => facts::listed(replicas.iter().copied(), "replica"),
            None => facts::ABSENT.to_owned(),
        };
        let query = format!("SELECT name FROM system.zookeeper WHERE path = {}", literal(&format!("{path}/replicas")));
        Fact::new(&HostName::default(), format!("Keeper path {path} of a table to create on {role}"), value, query)
    };
    paths.into_iter().map(fact).collect()
}

/// The world afterwards: every object is there on every host, empty.
pub fn create_in_world(context: &mut PlanContext<'_>, role: &str, database: &str, order: &[(&String, &Object, u32)]) {
    let step = context.step;
    let Some(target) = context.world.targets.get_mut(role) else { return };
    let engines: Vec<Text> = order.iter().map(|(_, object, _)| engine_full(&object.created)).collect();
    target.hosts.par_iter_mut().for_each(|host| {
        let made: Vec<Table> = order
            .iter()
            .zip(&engines)
            .filter(|((name, ..), _)| host.table(database, name).is_none())
            .flat_map(|((name, object, _), engine)| tables_of(host, database, name, object, engine))
            .map(|table| Table { promised_by: Some(step.clone()), ..table })
            .collect();
        host.tables.add(made);
    });
}

/// The table an object becomes; a materialized view with an engine has its hidden table besides.
fn tables_of(host: &HostWorld, database: &str, name: &str, object: &Object, engine_full: &Text) -> Vec<Table> {
    let created = &object.created;
    let engine = match created.kind {
        ObjectKind::Table => created.engine.as_str(),
        ObjectKind::Dictionary => "Dictionary",
        ObjectKind::View => "View",
        ObjectKind::MaterializedView => "MaterializedView",
    };
    let new = |name: String, engine: &str| {
        let mut table = Table {
            database: database.to_owned(),
            name,
            engine: engine.to_owned(),
            create_query: object.text.clone(),
            ..Table::default()
        };
        if table.holds_rows() {
            (table.rows, table.bytes) = (Some(0), Some(0));
            table.engine_full.clone_from(engine_full);
            if let Some((path, replica)) = &created.replicated {
                table.zookeeper_path = Some(host.expand_macros(path));
                table.replica_name = Some(host.expand_macros(replica));
            }
        }
        table
    };
    let mut tables = vec![new(name.to_owned(), engine)];
    if created.kind == ObjectKind::MaterializedView && created.replicated.is_some() {
        // Its real name holds the UUID that the view will get.
        tables.push(new(format!(".inner.{name}"), &created.engine));
    }
    tables
}

/// The engine of a statement with its clauses, as a server writes it.
fn engine_full(created: &Created) -> Text {
    let Ok(ddl) = Ddl::parse(&created.text) else { return Text::default() };
    let end = ddl.select().map_or(created.text.len(), |at| ddl.tokens[at].start);
    let engine = ddl.engine().and_then(|engine| created.text.get(engine.span.start..end));
    engine.map(|text| Text::from(text.trim())).unwrap_or_default()
}
