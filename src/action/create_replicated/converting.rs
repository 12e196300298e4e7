//! Converts the objects of the source's database, and lists what becomes of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use super::Arguments;
use super::plan::Object;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::model::text::Text;
use crate::plan::SHARE;
use crate::plan::conversion::{ConversionFate, KeeperPlace, PlannedConversion};
use crate::plan::convert::{Conversion, Ddl, Reason, dependencies, to_replicated};
use crate::plan::text_diff::TextDiff;

/// The objects of a database after conversion.
#[derive(Default)]
pub struct Converted {
    /// What is created, by name.
    pub objects: BTreeMap<String, Object>,
    /// What has no form for the target, with what was found.
    pub refused: BTreeMap<Reason, Vec<(String, String)>>,
    /// What is left out.
    left_out: Vec<PlannedConversion>,
    /// Engines on the source of what is created.
    engines: BTreeMap<String, String>,
}

/// Converts every object of the source's database.
pub fn convert(context: &PlanContext<'_>, arguments: &Arguments, source: &HostWorld) -> Converted {
    let database = arguments.database.as_str();
    let known: BTreeSet<(String, String)> = source
        .tables
        .iter()
        .filter(|table| !table.is_inner())
        .map(|table| (table.database.clone(), table.name.clone()))
        .collect();
    let mut tables: Vec<&Table> = source.tables_of(database).filter(|table| !table.is_inner()).collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let fates: Vec<Fate> = tables
        .par_iter()
        .with_min_len(SHARE)
        .map(|table| fate_of(table, arguments, &known, &format!("{} on {}", table.full_name(), source.name)))
        .collect();
    let mut converted = Converted::default();
    for (table, fate) in tables.into_iter().zip(fates) {
        match fate {
            Fate::Created(object) => {
                converted.engines.insert(table.name.clone(), table.engine.clone());
                converted.objects.insert(table.name.clone(), *object);
            }
            Fate::LeftOut(why) => converted.left_out.push(left_out(context, source, table, why)),
            Fate::Refused(reason, words) => {
                converted.refused.entry(reason).or_default().push((table.name.clone(), words));
            }
        }
    }
    converted
}

/// What becomes of an object.
enum Fate {
    Created(Box<Object>),
    LeftOut(String),
    Refused(Reason, String),
}

/// `against` names the definition that the new one is compared with.
fn fate_of(table: &Table, arguments: &Arguments, known: &BTreeSet<(String, String)>, against: &str) -> Fate {
    let conversion = to_replicated(&table.create_query, &arguments.replication());
    if arguments.leaves_out(&table.name) {
        return Fate::LeftOut(match &conversion {
            Conversion::Create(_) => "`except_tables` names it; it could be converted".to_owned(),
            Conversion::Skip(why) => format!("`except_tables` names it; {why}"),
            Conversion::Refuse(reason, found) => {
                format!("`except_tables` names it; not converted: {} ({found})", reason_words(*reason))
            }
        });
    }
    match conversion {
        Conversion::Create(created) => {
            let dependencies = Ddl::parse(&created.text).map(|ddl| dependencies(&ddl, known)).unwrap_or_default();
            let diff = Arc::new(TextDiff::between(against.to_owned(), &table.create_query, &created.text));
            let text = Text::from(&created.text);
            Fate::Created(Box::new(Object { created: *created, text, dependencies, diff }))
        }
        Conversion::Skip(why) => Fate::LeftOut(why),
        Conversion::Refuse(reason, words) => Fate::Refused(reason, words),
    }
}

/// Why an object has no form for the target.
pub fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Local => "its rows would stay on one replica",
        Reason::Queue => "it would take rows out of its queue as soon as it exists",
        Reason::Secret => "its statement holds a password or key, or hides it",
        Reason::OldSyntax => "it is in the old syntax of MergeTree, which has no ORDER BY",
        Reason::Refreshable => "it refreshes itself",
        Reason::Machine => "it is filled from a file or program of the source's machine",
        Reason::ArrayJoin => "its query puts out the name of an arrayJoin, for which the view has no column",
        Reason::Unknown => "its statement is not understood",
    }
}

fn left_out(context: &PlanContext<'_>, source: &HostWorld, table: &Table, why: String) -> PlannedConversion {
    // The rows of a materialized view are those of its hidden table.
    let hidden = [format!(".inner.{}", table.name), format!(".inner_id.{}", table.uuid)];
    let inner = hidden.iter().find_map(|name| source.table(&table.database, name));
    let holder = inner.or_else(|| table.holds_data().then_some(table));
    PlannedConversion {
        step: context.step.clone(),
        database: table.database.clone(),
        name: table.name.clone(),
        fate: ConversionFate::LeftOut,
        engine_before: table.engine.clone(),
        engine_after: None,
        wave: None,
        why: vec![why],
        rows_behind: holder.and_then(|table| table.rows),
        rows_untold: holder.is_some_and(|table| table.rows.is_none()),
        keeper: Vec::new(),
    }
}

impl Converted {
    /// One entry for every object of the source's database, by name.
    pub fn list(&self, context: &PlanContext<'_>, database: &str, target: &TargetWorld) -> Vec<PlannedConversion> {
        let mut list = self.left_out.clone();
        for (name, object) in &self.objects {
            let created = &object.created;
            let before = self.engines.get(name).cloned().unwrap_or_default();
            let after = match &created.engine {
                // A view with a hidden table: what the view is, and what the hidden table becomes.
                engine if before == "MaterializedView" && !engine.is_empty() => format!("{before} with {engine}"),
                engine if engine.is_empty() => before.clone(),
                engine => engine.clone(),
            };
            let keeper = created.replicated.iter().flat_map(|(path, replica)| {
                target.hosts.iter().map(|host| KeeperPlace {
                    host: host.name.clone(),
                    path: host.expand_macros(path),
                    replica: host.expand_macros(replica),
                })
            });
            list.push(PlannedConversion {
                step: context.step.clone(),
                database: database.to_owned(),
                name: name.clone(),
                fate: if created.replicated.is_some() { ConversionFate::Converted } else { ConversionFate::AsItIs },
                engine_before: before,
                engine_after: Some(after),
                wave: None,
                why: created.notes.clone(),
                rows_behind: None,
                rows_untold: false,
                keeper: keeper.collect(),
            });
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }
}
