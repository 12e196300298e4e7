//! Planning: conversion, order, one operation per object and host, and the world afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::Deserialize;

use super::gather::Known;
use super::world::{create_in_world, facts};
use super::{Arguments, CheckedData, Place, converting, hosts, placement, problems};
use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::model::text::Text;
use crate::model::words::count_of;
use crate::plan::SHARE;
use crate::plan::conversion::ConversionFate;
use crate::plan::convert::{Created, Dependencies, ObjectKind, levels};
use crate::plan::data::Shared;
use crate::plan::operation::{Effect, Operation};
use crate::plan::sql::{identifier, qualified};
use crate::plan::statement::Statement;
use crate::plan::text_diff::TextDiff;

const NAME: &str = "create_replicated";

/// An object that is created.
pub struct Object {
    /// Its statement for the target.
    pub created: Created,
    /// Its text, which every replica's operation shows.
    pub text: Text,
    /// What it names.
    pub dependencies: Dependencies,
    /// How the statement differs from the source's.
    pub diff: Arc<TextDiff>,
}

pub fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: Arguments = context.arguments()?;
    let observed = Known::deserialize(context.observed).unwrap_or_default();
    let database = arguments.database.as_str();
    let target = context.target(arguments.on.as_str())?.clone();
    let Some(source) = context.target(arguments.from.as_str())?.hosts.first().cloned() else {
        let role = arguments.from.as_str();
        let mut refusal = context.refuse(
            format!("the source `{role}` has no host"),
            format!("one host under `targets: {role}: hosts:` of the environment"),
            "none",
            "name it in the environment, then plan again",
        );
        refusal.evidence = "clickferry inspect -e ENVIRONMENT".to_owned();
        return Err(vec![refusal]);
    };
    let mut found = hosts::problems(context, &arguments, &target);
    found.extend(problems::of_exceptions(context, &arguments, &source));
    if source.tables_of(database).next().is_none() {
        let mut refusal = context.refuse(
            format!(
                "there is nothing to create: the database {} on {} has no tables",
                identifier(database),
                source.name
            ),
            "tables on the source",
            "none",
            "correct `database` or `from`",
        );
        refusal.evidence = format!("on {}: SHOW TABLES FROM {}", source.name, identifier(database));
        found.push(refusal);
    }
    let converted = converting::convert(context, &arguments, &source);
    let objects = &converted.objects;
    let planning = &*context;
    let ((facts, in_keeper), mut listed) = rayon::join(
        || {
            rayon::join(
                || facts(planning, &arguments, &source, &target, &observed, objects),
                || problems::of_keeper(planning, &arguments, &target, &observed, objects),
            )
        },
        || converted.list(planning, database, &target),
    );
    context.facts.extend(facts);
    found.extend(problems::of_statements(context, &source, database, &converted.refused));
    found.extend(problems::of_needs(context, &target, database, objects));
    found.extend(placement::problems(context, &target, database, &observed, objects));
    for host in &target.hosts {
        found.extend(problems::of_existing(context, host, database, objects));
    }
    found.extend(in_keeper);
    let places = levels(
        database,
        &objects
            .iter()
            .map(|(name, object)| (name.clone(), (object.created.kind, object.dependencies.clone())))
            .collect(),
    );
    if let Err(circle) = &places {
        let mut refusal = context.refuse(
            "objects need each other in a circle",
            "an order in which they can be created",
            circle.join(", "),
            "create one of them by hand, and leave it out with `except_tables`",
        );
        refusal.evidence = problems::definitions_query(&source, database);
        found.push(refusal);
    }
    let places = places.unwrap_or_default();
    let mut order: Vec<(&String, &Object, u32)> =
        objects.iter().map(|(name, object)| (name, object, places.get(name).map_or(0, |place| place.level))).collect();
    order.sort_by(|a, b| (a.2, a.1.created.kind, a.0).cmp(&(b.2, b.1.created.kind, b.0)));
    if !found.is_empty() {
        // Later steps are checked against the world as it would be.
        create_in_world(context, arguments.on.as_str(), database, &order);
        return Err(found);
    }
    if observed.keeper.is_none() {
        context.notes.push(format!("the environment names no Keeper for `{}`: what earlier tables left there is only found when a table is created", arguments.on.as_str()));
    }
    for one in listed.iter_mut().filter(|one| one.fate != ConversionFate::LeftOut) {
        one.wave = places.get(&one.name).map(|place| place.level);
    }
    // By name within a wave.
    listed.sort_by_key(|one| one.wave);
    context.conversions.extend(listed);
    let mut operations = Vec::with_capacity((order.len() + 1) * target.hosts.len());
    let mut checked: Vec<Vec<(&str, Place)>> = vec![Vec::new(); target.hosts.len()];
    // Not all at once, or every operation would be there twice for a moment.
    for some in order.chunks(SHARE * 16) {
        let planned = some.par_iter().with_min_len(SHARE);
        let planned = planned.map(|entry| planned_for(context, &arguments, &target, &observed, entry));
        for ((name, ..), planned) in some.iter().zip(planned.collect::<Vec<Planned<'_>>>()) {
            operations.extend(planned.operations);
            for host in planned.existing {
                context.notes.push(format!("{database}.{name} is on {host} already with this definition"));
            }
            for (tables, place) in checked.iter_mut().zip(planned.places) {
                tables.extend(place.map(|place| (name.as_str(), place)));
            }
        }
    }
    let last = order.last().map_or(0, |(_, _, level)| level + 1);
    let planning = &*context;
    let checks =
        target.hosts.par_iter().zip(checked).map(|(host, tables)| {
            check_operation(planning, &arguments, host, &tables).map(|check| check.in_wave(last))
        });
    operations.extend(checks.collect::<Vec<_>>().into_iter().flatten());
    create_in_world(context, arguments.on.as_str(), database, &order);
    Ok(operations)
}

/// Path and name of an object on each host, and of all replicas beside it.
pub(super) fn places_of(target: &TargetWorld, created: &Created) -> Vec<Option<Place>> {
    let Some((path, replica)) = &created.replicated else { return vec![None; target.hosts.len()] };
    let all: Vec<(String, String)> =
        target.hosts.iter().map(|host| (host.expand_macros(path), host.expand_macros(replica))).collect();
    let mut beside: BTreeMap<&str, Arc<[String]>> = BTreeMap::new();
    for (path, _) in &all {
        beside.entry(path).or_insert_with(|| {
            let mut replicas: Vec<String> =
                all.iter().filter(|(other, _)| other == path).map(|(_, replica)| replica.clone()).collect();
            replicas.sort();
            replicas.into()
        });
    }
    let place = |(path, replica): &(String, String)| {
        let replicas = beside.get(path.as_str()).cloned().unwrap_or_default();
        let is_inner = created.kind == ObjectKind::MaterializedView;
        Some(Place { path: path.clone(), replica: replica.clone(), replicas, is_inner })
    };
    all.iter().map(place).collect()
}

fn kind_words(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table => "table",
        ObjectKind::Dictionary => "dictionary",
        ObjectKind::View => "view",
        ObjectKind::MaterializedView => "materialized view",
    }
}

/// What is planned for one object.
struct Planned<'a> {
    operations: Vec<Operation>,
    /// The hosts that have it already.
    existing: Vec<&'a HostName>,
    /// Where it will be in Keeper, by host.
    places: Vec<Option<Place>>,
}

fn planned_for<'a>(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    target: &'a TargetWorld,
    observed: &Known<'_>,
    (name, object, level): &(&String, &Object, u32),
) -> Planned<'a> {
    let database = arguments.database.as_str();
    let columns = observed.columns.get(name.as_str()).map(Vec::as_slice).unwrap_or_default();
    let shared = Shared::default()
        .with("kind", &"create")
        .with("database", &database)
        .with("name", name)
        .with("columns", &columns);
    let shared = Arc::new(shared);
    let places = places_of(target, &object.created);
    let (mut operations, mut existing) = (Vec::with_capacity(target.hosts.len()), Vec::new());
    for (host, place) in target.hosts.iter().zip(&places) {
        if host.table(database, name).is_some() {
            existing.push(&host.name);
        } else {
            let new = New { name, object, shared: &shared, place: place.as_ref() };
            operations.push(create_operation(context, arguments, host, &new).in_wave(*level));
        }
    }
    Planned { operations, existing, places }
}

/// An object on one host.
struct New<'a> {
    name: &'a str,
    object: &'a Object,
    /// What all hosts have in common of [`super::Data::Create`].
    shared: &'a Arc<Shared>,
    place: Option<&'a Place>,
}

fn create_operation(context: &PlanContext<'_>, arguments: &Arguments, host: &HostWorld, new: &New<'_>) -> Operation {
    let New { name, object, shared, place } = *new;
    let database = arguments.database.as_str();
    let created = &object.created;
    let words = kind_words(created.kind);
    let (after, check) = match place {
        Some(place) => (
            format!("{} at {} as {}", created.engine, place.path, place.replica),
            "definition, columns, Keeper path and replica name as planned, writable",
        ),
        None if created.engine.is_empty() => {
            (format!("the {words} of the source"), "definition and columns as planned")
        }
        None => (format!("engine {}", created.engine), "definition and columns as planned"),
    };
    Operation::new(
        context.step,
        NAME,
        &format!("create_{}", words.replace(' ', "_")),
        format!("{words} {}", qualified(database, name)),
        Effect::Write,
    )
    .on(arguments.on.as_str(), &host.name)
    .statement(Statement::exact(&object.text))
    .made_from(object.diff.clone())
    .promises("not there", after, check)
    .with_shared_data(shared, "place", &place)
}

fn check_operation(
    context: &PlanContext<'_>,
    arguments: &Arguments,
    host: &HostWorld,
    tables: &[(&str, Place)],
) -> Option<Operation> {
    let database = arguments.database.as_str();
    let most = tables.iter().map(|(_, place)| place.replicas.len()).max()?;
    let goal = format!("{} writable, {} each", count_of(tables.len(), "table"), count_of(most, "replica"));
    let operation =
        Operation::new(context.step, NAME, "check", format!("replication of {}", identifier(database)), Effect::Read)
            .on(arguments.on.as_str(), &host.name)
            .statement(Statement::exact(super::seen::uuids_query(database)))
            .statement(Statement::exact(super::seen::replicas_query(database)).again(format!(
                "every 0.25 s until all of them are as promised, for {} s at most",
                super::run::SETTLE.as_secs()
            )))
            .promises("", goal, "Keeper path, replica name, number of replicas, is_readonly = 0")
            .with_data(&CheckedData { kind: "check", database, tables });
    Some(operation)
}
