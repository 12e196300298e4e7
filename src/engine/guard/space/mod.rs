//! Free space: whether what the steps bring to a host fits on the disks that its tables are put on, told from the
//! simulated world.

mod disks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use disks::{Disks, Home};
use rayon::prelude::*;

use crate::diag::{Refusal, grouped};
use crate::model::guards::Guards;
use crate::model::ids::{HostName, StepId};
use crate::model::observed::{HostWorld, Table, World};
use crate::model::storage::DEFAULT_POLICY;
use crate::model::tables::Tables;

/// Follows the world through the steps of a plan.
pub struct Space {
    headroom: u64,
    hosts: BTreeMap<HostName, HostSpace>,
    problems: Vec<Refusal>,
    untold: Vec<String>,
    /// A policy for tables that the next step creates, and those that were there before it.
    puts: Option<(String, BTreeMap<HostName, BTreeSet<Key>>)>,
}

/// Database and name of a table.
type Key = (String, String);

struct HostSpace {
    /// The disks as they will be before the next step; `None` where the server does not tell them.
    disks: Option<Disks>,
    /// Bytes of the tables before the next step.
    held: Held,
    /// The tables that they are those of.
    tables: Tables,
    /// Where a restore was told to put tables that it creates.
    moved: BTreeMap<Key, Home>,
}

/// Bytes by where they are: of the tables that hold rows themselves; and those told of materialized views, whose hidden
/// tables a backup holds under the names of the views.
#[derive(Clone, Debug, Default)]
struct Held {
    own: BTreeMap<Home, u64>,
    hidden: BTreeMap<Home, u64>,
}

impl Space {
    /// Before the first step.
    #[must_use]
    pub fn new(guards: &Guards, world: &World) -> Self {
        let headroom = u64::from(guards.disk.clone().unwrap_or_default().headroom);
        let all: Vec<&HostWorld> = all(world).collect();
        let hosts = all.into_par_iter().map(|host| {
            let moved = BTreeMap::new();
            let (disks, held) = (Disks::of(host), held(host, &moved));
            (host.name.clone(), HostSpace { disks, held, tables: host.tables.clone(), moved })
        });
        Self { headroom, hosts: hosts.collect(), problems: Vec::new(), untold: Vec::new(), puts: None }
    }

    /// Before a step that puts the tables it creates into a policy, whatever their definitions say.
    pub fn puts(&mut self, policy: &str, world: &World) {
        let there = all(world).map(|host| (host.name.clone(), host.tables.iter().map(|table| key(table)).collect()));
        self.puts = Some((policy.to_owned(), there.collect()));
    }

    /// After a step: what it brings must have been free before it, and what it takes away is free afterwards.
    pub fn after(&mut self, step: &StepId, world: &World) {
        let puts = self.puts.take();
        if let Some((policy, there)) = &puts {
            for host in all(world) {
                let Some(space) = self.hosts.get_mut(&host.name) else { continue };
                let was_there = |key: &Key| there.get(&host.name).is_some_and(|there| there.contains(key));
                let created = host.tables.iter().map(|table| key(table)).filter(|key| !was_there(key));
                space.moved.extend(created.map(|key| (key, Home::Policy(policy.clone()))));
            }
        }
        let hosts: Vec<&HostWorld> = all(world).collect();
        let now = hosts.into_par_iter().filter_map(|host| {
            let space = self.hosts.get(&host.name)?;
            let is_as_before = puts.is_none() && space.tables.is_same(&host.tables);
            (!is_as_before).then(|| (host, held(host, &space.moved)))
        });
        for (host, now) in now.collect::<Vec<_>>() {
            let Some(space) = self.hosts.get_mut(&host.name) else { continue };
            let changes = changes(&space.held, &now);
            (space.held, space.tables) = (now, host.tables.clone());
            let Some(disks) = &mut space.disks else {
                if changes.iter().any(|change| change.brought > 0) {
                    tell(&mut self.untold, format!("{}: the server does not tell it", host.name));
                }
                continue;
            };
            // What is put on few disks has no choice; the rest is put where room is left.
            let mut rest = disks.clone();
            let mut ordered: Vec<&Change> = changes.iter().filter(|change| change.brought > 0).collect();
            ordered.sort_by_key(|change| disks.of_home(&change.home).map_or(0, <[String]>::len));
            for change in ordered {
                if disks.of_home(&change.home).is_none() {
                    tell(&mut self.untold, format!("{} for tables in {}", host.name, change.home.words()));
                    continue;
                }
                let more = u128::from(change.brought) * u128::from(self.headroom) / 100;
                let needed = change.brought.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
                let free = rest.free(&change.home);
                if free < needed {
                    let place = Place { step, host, disks, headroom: self.headroom };
                    self.problems.push(place.refusal(change, needed, free));
                }
                rest.take(&change.home, needed);
            }
            for change in &changes {
                disks.take(&change.home, change.brought);
                disks.give(&change.home, change.freed);
            }
        }
    }

    /// What is refused, and what a reviewer should know.
    #[must_use]
    pub fn told(self) -> (Vec<Refusal>, Option<String>) {
        let note =
            (!self.untold.is_empty()).then(|| format!("free space is not checked on {}", self.untold.join("; on ")));
        (self.problems, note)
    }
}

fn tell(untold: &mut Vec<String>, words: String) {
    if !untold.contains(&words) {
        untold.push(words);
    }
}

/// What a step does to one place of a host.
struct Change {
    home: Home,
    brought: u64,
    freed: u64,
}

fn changes(before: &Held, now: &Held) -> Vec<Change> {
    let mut homes: Vec<&Home> =
        [&before.own, &before.hidden, &now.own, &now.hidden].into_iter().flat_map(BTreeMap::keys).collect();
    homes.sort();
    homes.dedup();
    let of = |bytes: &BTreeMap<Home, u64>, home: &Home| bytes.get(home).copied().unwrap_or(0);
    let change = |home: &Home| {
        let own = (of(&before.own, home), of(&now.own, home));
        let hidden = (of(&before.hidden, home), of(&now.hidden, home));
        let brought = own.1.saturating_sub(own.0) + hidden.1.saturating_sub(hidden.0);
        Change { home: home.clone(), brought, freed: own.0.saturating_sub(own.1) }
    };
    homes.into_iter().map(change).collect()
}

/// Where a problem is.
struct Place<'a> {
    step: &'a StepId,
    host: &'a HostWorld,
    disks: &'a Disks,
    headroom: u64,
}

impl Place<'_> {
    fn refusal(&self, change: &Change, needed: u64, free: u64) -> Refusal {
        let names = self.disks.of_home(&change.home).unwrap_or_default();
        let on = match names {
            [one] if one == "default" => String::new(),
            [one] => format!(" on the disk `{one}`"),
            several => format!(
                " on the disks {}",
                several.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        let place = match &change.home {
            Home::Policy(name) if name == DEFAULT_POLICY => String::new(),
            other => format!(" in {}", other.words()),
        };
        let when = if self.disks.free(&change.home) != free {
            " beside what else the step brings there"
        } else if self.disks.are_as_seen(&change.home, free) {
            ""
        } else {
            " when the step begins"
        };
        Refusal {
            what: format!("step `{}`: {} has not enough free space{place}", self.step, self.host.name),
            expected: format!(
                "{} free{on}: {} that the step brings, and {} percent more (`guards.disk.headroom`)",
                bytes_words(needed),
                grouped(change.brought),
                self.headroom
            ),
            found: format!("{} free{when}", bytes_words(free)),
            evidence: format!("on {}: SELECT name, path, free_space FROM system.disks", self.host.name),
            action: "make room on this host, or restore less; then plan again".to_owned(),
        }
    }
}

/// Every server once: one may stand behind several roles, and the role that is restored to counts. The simulated
/// worlds of two roles differ, so the one that holds most is looked at.
fn all(world: &World) -> impl Iterator<Item = &HostWorld> {
    let mut fullest: BTreeMap<&HostName, (&HostWorld, u64)> = BTreeMap::new();
    for host in world.targets.values().flat_map(|target| &target.hosts) {
        let held: u64 =
            host.tables.iter().filter_map(|table| counted(table)).fold(0, |sum, (bytes, _)| sum.saturating_add(bytes));
        let seen = fullest.entry(&host.name).or_insert((host, held));
        if held > seen.1 {
            *seen = (host, held);
        }
    }
    fullest.into_values().map(|(host, _)| host)
}

/// Bytes of a table on disk, and whether they are those of a hidden table.
fn counted(table: &Table) -> Option<(u64, bool)> {
    let is_hidden = table.engine == "MaterializedView";
    (table.holds_rows() || is_hidden).then_some((table.bytes.unwrap_or(0), is_hidden))
}

fn held(host: &HostWorld, moved: &BTreeMap<Key, Home>) -> Held {
    let mut held = Held::default();
    for table in &host.tables {
        let Some((bytes, is_hidden)) = counted(table).filter(|(bytes, _)| *bytes > 0) else { continue };
        // Hardly ever is a table moved, and its name is not copied to find that out.
        let elsewhere = if moved.is_empty() { None } else { moved.get(&key(table)).cloned() };
        let home = elsewhere.unwrap_or_else(|| Home::of(table, &host.storage));
        let bytes_of = if is_hidden { &mut held.hidden } else { &mut held.own };
        let sum = bytes_of.entry(home).or_default();
        *sum = sum.saturating_add(bytes);
    }
    held
}

fn bytes_words(value: u64) -> String {
    format!("{} byte{}", grouped(value), if value == 1 { "" } else { "s" })
}

fn key(table: &Table) -> Key {
    (table.database.clone(), table.name.clone())
}
