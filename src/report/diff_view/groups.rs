//! Objects that change alike, so that many of them are told in one sentence.

use std::collections::BTreeMap;

use super::super::text::{count, number};
use crate::plan::world_diff::{Change, HostDiff, ObjectDiff, ObjectKind};

/// Kind, change and full name of an object.
type Key = (ObjectKind, Change, String);
/// A host, and what differs there.
type OnHost<'a> = (&'a str, &'a ObjectDiff);

/// Objects that change alike on the same hosts.
pub(super) struct Group<'a> {
    /// The hosts.
    pub(super) hosts: Vec<&'a str>,
    /// By object, its difference on each of the hosts.
    pub(super) objects: Vec<Vec<&'a ObjectDiff>>,
}

/// What objects of a group have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Alike<'a> {
    kind: ObjectKind,
    change: Change,
    database: &'a str,
    hosts: Vec<&'a str>,
    engines: Option<(Option<&'a str>, Option<&'a str>)>,
    fields: [bool; 3],
}

/// Groups the objects of a target's hosts, databases first.
pub(super) fn groups<'a>(hosts: &[&'a HostDiff]) -> Vec<Group<'a>> {
    let mut objects: BTreeMap<Key, Vec<OnHost<'_>>> = BTreeMap::new();
    for host in hosts {
        for change in &host.changes {
            let key = (change.object, change.change, change.full_name());
            objects.entry(key).or_default().push((&host.host, change));
        }
    }
    let mut groups: BTreeMap<Alike<'_>, Group<'_>> = BTreeMap::new();
    for on_hosts in objects.into_values() {
        let Some((_, first)) = on_hosts.first() else { continue };
        let names: Vec<&str> = on_hosts.iter().map(|(host, _)| *host).collect();
        let is_changed = first.change == Change::Changed;
        let engines = first.engine.as_ref().filter(|_| is_changed);
        let alike = Alike {
            kind: first.object,
            change: first.change,
            database: if first.name.is_some() { &first.database } else { "" },
            hosts: names.clone(),
            engines: engines.map(|engine| (engine.now.as_deref(), engine.expected.as_deref())),
            fields: [
                is_changed && first.rows.is_some(),
                is_changed && first.keeper_path.is_some(),
                is_changed && !first.definition.is_empty(),
            ],
        };
        let group = groups.entry(alike).or_insert_with(|| Group { hosts: names, objects: Vec::new() });
        group.objects.push(on_hosts.into_iter().map(|(_, change)| change).collect());
    }
    groups.into_values().collect()
}

/// Rows that come or go with a group, on each host where it is the same number.
pub(super) fn rows_words(group: &Group<'_>, change: Change) -> String {
    if change == Change::Changed || group.objects.iter().flatten().all(|object| object.rows.is_none()) {
        return String::new();
    }
    let of =
        |object: &ObjectDiff| object.rows.as_ref().map_or(0, |rows| rows.now.unwrap_or(0) + rows.expected.unwrap_or(0));
    let sums: Vec<u64> = (0..group.hosts.len())
        .map(|at| group.objects.iter().filter_map(|object| object.get(at)).map(|object| of(object)).sum())
        .collect();
    match sums.as_slice() {
        [one] => format!(", with {}", count(*one, "row")),
        [first, rest @ ..] if rest.iter().all(|sum| sum == first) => format!(", with {} on each", count(*first, "row")),
        sums => {
            let words: Vec<String> = sums.iter().map(|sum| number(*sum)).collect();
            format!(", with {} rows", words.join(" and "))
        }
    }
}
