//! Lists of names, short enough to be read.

use super::family::{Family, Role};
use super::item::Holding;
use super::told::Told;
use crate::report::text::{count, number};

/// Names in a list before `and 12 more`.
pub const A_DOZEN: usize = 12;
/// Names of what is destroyed, where a plan is shown whole.
pub const A_HUNDRED: usize = 100;

/// A text, for which hosts and for which of the items.
#[must_use]
pub fn told_words(family: &Family<'_>, told: &Told) -> String {
    let hosts = told.hosts.as_ref().map(|hosts| format!("on {}: ", hosts.join(", "))).unwrap_or_default();
    let which = which(family, &told.items);
    format!("{hosts}{}{which}", told.text)
}

/// Names, at most a dozen.
#[must_use]
pub fn a_dozen(labels: &[&str]) -> String {
    most_of(labels, A_DOZEN, |label| (*label).to_owned())
}

/// Some of these things, which `draw` gives words; what is not listed is not drawn.
fn most_of<T>(all: &[T], most: usize, draw: impl Fn(&T) -> String) -> String {
    let listed = |some: &[T]| some.iter().map(&draw).collect::<Vec<_>>().join(", ");
    // One more name is not longer than the words on it.
    if all.len() <= most + 1 {
        return listed(all);
    }
    format!("{} and {} more", listed(&all[..most]), number((all.len() - most) as u64))
}

/// What a database or path holds, the largest first: `runs (500 rows), tags (0 rows); 2 without rows of their own: v, w`.
/// Of both kinds at most so many.
#[must_use]
pub fn holding_words(found: &[Holding], most: usize) -> String {
    let (with, without): (Vec<&Holding>, Vec<&Holding>) = found.iter().partition(|table| table.words().is_some());
    let listed = |some: &[&Holding]| {
        most_of(some, most, |table| match table.words() {
            Some(words) => format!("{} ({words})", table.name),
            None => table.name.clone(),
        })
    };
    match (with.is_empty(), without.is_empty()) {
        (_, true) => listed(&with),
        (true, _) => format!("nothing with rows of its own, only {}", listed(&without)),
        _ => format!("{}; without rows of their own: {}", listed(&with), listed(&without)),
    }
}

/// Whether [`holding_words`] leaves names out.
pub fn holds_more(found: &[Holding], most: usize) -> bool {
    let with = found.iter().filter(|table| table.words().is_some()).count();
    with > most + 1 || found.len() - with > most + 1
}

/// `and 1 other`, `and 3 others`.
#[must_use]
pub fn others(value: usize) -> String {
    format!("and {}", count(value as u64, "other"))
}

/// For which of a family's items something holds: nothing where it holds for all.
#[must_use]
pub fn which(family: &Family<'_>, items: &[usize]) -> String {
    if items.len() == family.items.len() {
        return String::new();
    }
    let labels = family.labels(items.iter().copied());
    // Few enough to be told one by one: which tables are checked by a weaker rule is what a reviewer looks for.
    if labels.len() <= 8 {
        format!(" ({})", labels.join(", "))
    } else {
        format!(" ({} of {})", labels.len(), family.items.len())
    }
}

/// What becomes of the objects of a family that moves or changes something: their names alone do not tell.
#[must_use]
pub fn becomes(family: &Family<'_>) -> Option<String> {
    let first = |told: &[Told]| {
        let words = told_words(family, told.first()?);
        Some(if told.len() > 1 { format!("{words} {}", others(told.len() - 1)) } else { words })
    };
    let after = first(&family.after)?;
    match family.role {
        Role::Moves => Some(format!("then: {after}")),
        Role::Changes => Some(match first(&family.before) {
            Some(before) => format!("now: {before}; then: {after}"),
            None => format!("then: {after}"),
        }),
        _ => None,
    }
}
