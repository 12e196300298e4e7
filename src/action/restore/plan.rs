//! Makes the operations of a restore: which shard gets what, in which order, with which statements.

use rayon::prelude::*;

use crate::diag::Refusal;
use crate::engine::context::PlanContext;
use crate::model::ids::StepId;
use crate::model::observed::{HostWorld, Table, TargetWorld};
use crate::plan::SHARE;
use crate::plan::operation::Operation;

use super::RestoreArguments;
use super::facts::{backup_fact, database_facts, place_facts};
use super::operations::{Lanes, Work};
use super::source::{Source, SourceTable, find, select};
use super::way::{Place, Way};

/// Plans the step.
pub(crate) fn plan(context: &mut PlanContext<'_>) -> Result<Vec<Operation>, Vec<Refusal>> {
    let arguments: RestoreArguments = context.arguments()?;
    context.facts.extend(backup_fact(&arguments, context.observed));
    let source = find(context, &arguments)?;
    let role = source.origin("-").storage;
    let Some(storage) = context.environment.storage.get(&role).map(|binding| binding.s3().clone()) else {
        return Err(vec![context.refuse(
            format!("the storage `{role}` is not bound"),
            "",
            "",
            "bind it in the environment",
        )]);
    };
    let target = context.target(arguments.to.as_str())?.clone();
    let (mut problems, mut notes) = (Vec::new(), Vec::new());
    let (mut operations, mut lanes) = (Vec::new(), Lanes::new());
    // By shard of the target, what the world will have.
    let mut done: Vec<(String, Vec<SourceTable>)> = Vec::new();
    let mut facts = Vec::new();
    for (from, to) in pairs(context, &arguments, &source, &target)? {
        let entries = match select(context, &arguments, source.shards.get(&from).map_or(&[], Vec::as_slice)) {
            Ok(entries) => entries,
            Err(found) => {
                problems.extend(found);
                continue;
            }
        };
        let hosts: Vec<&HostWorld> = target.replicas(&to).collect();
        facts.extend(database_facts(&hosts, &entries));
        let work = Work::new(&arguments, &source, &storage, &from, &to);
        let planning = &*context;
        let looked = entries.par_iter().with_min_len(SHARE).map(|entry| {
            let place = Place { context: planning, arguments: &arguments, hosts: &hosts, entry };
            let way = place.way();
            let planned = way.as_ref().map_or_else(|_| Vec::new(), |way| work.operations(planning, &place, way));
            (place_facts(&arguments, &hosts, entry), way, planned)
        });
        let looked: Vec<_> = looked.collect();
        let (mut left, mut filled) = (Vec::new(), Vec::new());
        for ((about, way, mut planned), entry) in looked.into_iter().zip(&entries) {
            facts.extend(about);
            match way {
                Ok(Way::Nothing) => left.push(entry.full_name()),
                Ok(_) => {
                    work.spread(&mut lanes, &mut planned);
                    operations.extend(planned);
                    filled.push(entry.clone());
                }
                Err(found) => problems.extend(found),
            }
        }
        done.push((to.clone(), filled));
        if !left.is_empty() {
            notes.push(format!(
                "step `{}`: nothing to restore into {} (no rows of their own in the backup)",
                context.step,
                left.join(", ")
            ));
        }
    }
    context.facts.extend(facts);
    if !problems.is_empty() {
        return Err(problems);
    }
    context.notes.extend(notes);
    // Else every table that is filled would be copied for it.
    drop(target);
    let step = context.step;
    if let Some(target) = context.world.targets.get_mut(arguments.to.as_str()) {
        target.hosts.par_iter_mut().for_each(|host| {
            let shard = host.shard.clone();
            let filled = done.iter().filter(|(on, _)| *on == shard).flat_map(|(_, entries)| entries);
            filled.for_each(|entry| play(host, entry, step));
        });
    }
    Ok(operations)
}

/// Which shard of the backup goes to which shard of the target.
fn pairs(
    context: &PlanContext<'_>,
    arguments: &RestoreArguments,
    source: &Source,
    target: &TargetWorld,
) -> Result<Vec<(String, String)>, Vec<Refusal>> {
    let (from, to): (Vec<String>, Vec<String>) = (source.shards.keys().cloned().collect(), target.shards());
    let refuse = |what: &str, expected: String, found: String, action: &str| {
        Err(vec![
            context.refuse(what, expected, found, action).shown_by(
                "clickferry inspect -e ENVIRONMENT; on each host: SELECT substitution FROM system.macros WHERE macro = 'shard'",
            ),
        ])
    };
    if let Some(shard) = &arguments.shard {
        if !to.contains(shard) {
            return refuse(
                &format!("the target `{}` has no shard `{shard}`", arguments.to.as_str()),
                to.join(", "),
                shard.clone(),
                "correct `shard`",
            );
        }
        return match (from.as_slice(), from.contains(shard)) {
            ([only], _) => Ok(vec![(only.clone(), shard.clone())]),
            (_, true) => Ok(vec![(shard.clone(), shard.clone())]),
            _ => {
                refuse(&format!("the backup has no shard `{shard}`"), from.join(", "), shard.clone(), "correct `shard`")
            }
        };
    }
    match (from.as_slice(), to.as_slice()) {
        ([from], [to]) => Ok(vec![(from.clone(), to.clone())]),
        ([_], many) => refuse(
            "the backup is of one shard and the target has several",
            "as many shards in the backup as in the target, or one shard named by `shard:`".to_owned(),
            format!("shards {}", many.join(", ")),
            "name the shard that gets all rows with `shard:`; ClickHouse does not spread them",
        ),
        (from, to) if from == to => Ok(from.iter().map(|shard| (shard.clone(), shard.clone())).collect()),
        (from, to) => refuse(
            "the shards of the backup are not those of the target",
            format!("shards {}", from.join(", ")),
            format!("shards {}", to.join(", ")),
            "restore one shard per step with `shard:`, or use a target with the same shards",
        ),
    }
}

/// The world afterwards, on one host.
fn play(host: &mut HostWorld, entry: &SourceTable, step: &StepId) {
    let rows = if entry.has_rows() { entry.rows } else { None };
    let is_there = host.tables.change(&entry.database, &entry.table, |table| {
        let added = rows.unwrap_or(0);
        // Log tables do not tell their rows; what is restored into one is not known before.
        let is_unknown = entry.has_rows() && rows.is_none();
        table.rows = if is_unknown { None } else { Some(table.rows.unwrap_or(0) + added) };
        table.bytes = Some(table.bytes.unwrap_or(0) + entry.bytes.unwrap_or(0));
        table.parts = table.parts.max(u64::from(added > 0));
        table.promised_by = Some(step.clone());
    });
    if !is_there {
        host.tables.add([Table {
            database: entry.database.clone(),
            name: entry.table.clone(),
            engine: entry.engine.clone(),
            create_query: entry.create_query.clone(),
            rows,
            bytes: entry.bytes,
            promised_by: Some(step.clone()),
            ..Table::default()
        }]);
    }
}
