//! What becomes of each object of a source, put together where the same happens to several.

use std::collections::BTreeMap;

use super::lists::A_DOZEN;
use super::told::NAME;
use crate::plan::conversion::{ConversionFate, PlannedConversion};
use crate::plan::plan_file::Plan;
use crate::report::text::{count, number};

/// Objects to which the same happens.
pub struct ConversionGroup<'p> {
    /// The first of them.
    pub first: &'p PlannedConversion,
    /// All of them.
    pub all: Vec<&'p PlannedConversion>,
    /// Where they are in Keeper, `<name>` for the name of each.
    pub keeper: Vec<String>,
}

/// The objects of a plan, step by step; what is left out stands first, the rest in the order in which it is created.
#[must_use]
pub fn conversion_groups(plan: &Plan) -> Vec<ConversionGroup<'_>> {
    let mut groups: Vec<ConversionGroup<'_>> = Vec::new();
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for one in &plan.conversions {
        let keeper = keeper(one);
        let key = format!(
            "{}|{}|{:?}|{:?}|{}|{:?}|{:?}|{keeper:?}",
            one.step, one.database, one.fate, one.wave, one.engine_before, one.engine_after, one.why
        );
        let at = *known.entry(key).or_insert_with(|| {
            groups.push(ConversionGroup { first: one, all: Vec::new(), keeper });
            groups.len() - 1
        });
        groups[at].all.push(one);
    }
    let step = |group: &ConversionGroup<'_>| plan.steps.iter().position(|step| step.id == group.first.step);
    groups.sort_by_key(|group| (step(group), group.first.wave, group.first.fate));
    groups
}

/// `r1: /clickhouse/tables/01/d/<name> as r1`; hosts with the same path together.
fn keeper(one: &PlannedConversion) -> Vec<String> {
    let mut paths: Vec<(String, Vec<String>)> = Vec::new();
    for place in &one.keeper {
        let path = match place.path.strip_suffix(one.name.as_str()) {
            Some(stem) if stem.ends_with('/') => format!("{stem}{NAME}"),
            _ => place.path.clone(),
        };
        let replica = format!("{} on {}", place.replica, place.host);
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, replicas)) => replicas.push(replica),
            None => paths.push((path, vec![replica])),
        }
    }
    paths.into_iter().map(|(path, replicas)| format!("Keeper path {path}, replicas {}", replicas.join(", "))).collect()
}

impl ConversionGroup<'_> {
    /// `MergeTree becomes ReplicatedMergeTree: 12 objects of app`.
    #[must_use]
    pub fn title(&self) -> String {
        let objects = format!("{} of {}", count(self.all.len() as u64, "object"), self.first.database);
        let before = &self.first.engine_before;
        match (self.first.fate, &self.first.engine_after) {
            (ConversionFate::LeftOut, _) => format!("{before} is left out: {objects}"),
            (_, Some(after)) if after != before => format!("{before} becomes {after}: {objects}"),
            (ConversionFate::Converted, _) => format!("{before} at a new place in Keeper: {objects}"),
            _ => format!("{before} as it is: {objects}"),
        }
    }

    /// Names, with the rows that stay behind. Of what is left out every name is told, however short a view is.
    #[must_use]
    pub fn names(&self, is_short: bool) -> String {
        let names: Vec<String> = self.all.iter().map(|one| name(one)).collect();
        if !is_short || self.first.fate == ConversionFate::LeftOut || names.len() <= A_DOZEN + 1 {
            return names.join(", ");
        }
        format!("{} and {} more", names[..A_DOZEN].join(", "), number((names.len() - A_DOZEN) as u64))
    }

    /// What else is told of them: when they are created, why, and where they are in Keeper.
    pub fn told(&self) -> impl Iterator<Item = String> {
        let wave = self.first.wave.filter(|wave| *wave > 0);
        let wave = wave.map(|_| "created after what it needs".to_owned());
        wave.into_iter().chain(self.first.why.iter().chain(&self.keeper).cloned())
    }

    /// Rows that stay behind with these objects.
    #[must_use]
    pub fn rows_behind(&self) -> u64 {
        self.all.iter().filter_map(|one| one.rows_behind).sum()
    }
}

fn name(one: &PlannedConversion) -> String {
    match (one.fate, one.rows_behind) {
        (ConversionFate::LeftOut, Some(rows)) => format!("{} ({} behind)", one.name, stay(rows)),
        (ConversionFate::LeftOut, None) if one.rows_untold => {
            format!("{} (rows not told, they stay behind)", one.name)
        }
        _ => one.name.clone(),
    }
}

fn stay(rows: u64) -> String {
    format!("{} {}", count(rows, "row"), if rows == 1 { "stays" } else { "stay" })
}
