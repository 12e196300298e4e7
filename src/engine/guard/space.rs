//! Free space: whether what the steps bring to a host fits on its disk, told from the simulated world.

use std::collections::BTreeMap;

use crate::diag::Refusal;
use crate::model::guards::Guards;
use crate::model::ids::{HostName, StepId};
use crate::model::observed::{HostWorld, World};

/// Follows the world through the steps of a plan.
pub struct Space {
    headroom: u64,
    hosts: BTreeMap<HostName, HostSpace>,
    problems: Vec<Refusal>,
    untold: Vec<HostName>,
}

struct HostSpace {
    /// What the server told at planning.
    free_now: u64,
    /// What will be free before the next step; `None` where the server does not tell.
    free: Option<u64>,
    own: u64,
    hidden: u64,
}

impl Space {
    /// Before the first step.
    #[must_use]
    pub fn new(guards: &Guards, world: &World) -> Self {
        let headroom = u64::from(guards.disk.clone().unwrap_or_default().headroom);
        let hosts = all(world).map(|host| {
            let (own, hidden) = bytes(host);
            // The path comes with the free space; a server that does not tell one tells none of both.
            let free = (!host.identity.data_path.is_empty()).then_some(host.free_bytes);
            (host.name.clone(), HostSpace { free_now: host.free_bytes, free, own, hidden })
        });
        Self { headroom, hosts: hosts.collect(), problems: Vec::new(), untold: Vec::new() }
    }

    /// After a step: what it brings must have been free before it, and what it takes away is free afterwards.
    pub fn after(&mut self, step: &StepId, world: &World) {
        for host in all(world) {
            let Some(space) = self.hosts.get_mut(&host.name) else { continue };
            let (own, hidden) = bytes(host);
            let brought = own.saturating_sub(space.own) + hidden.saturating_sub(space.hidden);
            let freed = space.own.saturating_sub(own);
            (space.own, space.hidden) = (own, hidden);
            let Some(free) = space.free else {
                if brought > 0 && !self.untold.contains(&host.name) {
                    self.untold.push(host.name.clone());
                }
                continue;
            };
            let more = u128::from(brought) * u128::from(self.headroom) / 100;
            let needed = brought.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
            if brought > 0 && free < needed {
                let before = if free == space.free_now { String::new() } else { " when the step begins".to_owned() };
                self.problems.push(Refusal {
                    what: format!("step `{step}`: {} has not enough free space", host.name),
                    expected: format!(
                        "{needed} bytes free: {brought} that the step brings, and {} percent more (`guards.disk.headroom`)",
                        self.headroom
                    ),
                    found: format!("{free} bytes free{before}"),
                    evidence: format!("on {}: SELECT path, free_space FROM system.disks", host.name),
                    action: "make room on this host, or restore less; then plan again".to_owned(),
                });
            }
            space.free = Some(free.saturating_sub(brought).saturating_add(freed));
        }
    }

    /// What is refused, and what a reviewer should know.
    #[must_use]
    pub fn told(self) -> (Vec<Refusal>, Option<String>) {
        let note = (!self.untold.is_empty()).then(|| {
            let hosts: Vec<&str> = self.untold.iter().map(HostName::as_str).collect();
            format!("free space is not checked on {}: the server does not tell it", hosts.join(", "))
        });
        (self.problems, note)
    }
}

/// Every server once: one may stand behind several roles, and the role that is restored to counts. The simulated
/// worlds of two roles differ, so the one that holds most is looked at.
fn all(world: &World) -> impl Iterator<Item = &HostWorld> {
    let mut fullest: BTreeMap<&HostName, (&HostWorld, u64)> = BTreeMap::new();
    for host in world.targets.values().flat_map(|target| &target.hosts) {
        let (own, hidden) = bytes(host);
        let seen = fullest.entry(&host.name).or_insert((host, own + hidden));
        if own + hidden > seen.1 {
            *seen = (host, own + hidden);
        }
    }
    fullest.into_values().map(|(host, _)| host)
}

/// Bytes of the tables that hold rows themselves; and those told of materialized views, whose hidden tables a backup
/// holds under the names of the views.
fn bytes(host: &HostWorld) -> (u64, u64) {
    let (mut own, mut hidden) = (0_u64, 0_u64);
    for table in &host.tables {
        let bytes = table.bytes.unwrap_or(0);
        if table.holds_rows() {
            own = own.saturating_add(bytes);
        } else if table.engine == "MaterializedView" {
            hidden = hidden.saturating_add(bytes);
        }
    }
    (own, hidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{guards, host, world};

    fn check(limits: &str, free: u64, steps: &[&[u64]]) -> Vec<String> {
        let at = |tables: &[u64]| world(&[("destination", vec![host("r1", "25.3", free, tables)])]);
        let mut space = Space::new(&guards(limits), &at(steps[0]));
        for (number, tables) in steps[1..].iter().enumerate() {
            space.after(&StepId(format!("s{number}")), &at(tables));
        }
        space
            .told()
            .0
            .into_iter()
            .map(|problem| format!("{}: {}, {}", problem.what, problem.expected, problem.found))
            .collect()
    }

    #[test]
    fn what_is_restored_needs_a_tenth_more() {
        assert!(check("{}", 1100, &[&[], &[1000]]).is_empty());
        assert_eq!(
            check("{}", 1099, &[&[], &[600, 400]]),
            [
                "step `s0`: r1 has not enough free space: 1100 bytes free: 1000 that the step brings, and 10 percent more (`guards.disk.headroom`), 1099 bytes free"
            ]
        );
        assert!(check("{ disk: { headroom: 0 } }", 1000, &[&[], &[1000]]).is_empty());
        assert_eq!(check("{ disk: { headroom: 150 } }", 2499, &[&[], &[1000]]).len(), 1);
    }

    #[test]
    fn what_an_earlier_step_drops_is_free_for_the_next() {
        assert!(check("{}", 200, &[&[1000], &[], &[1000]]).is_empty());
        assert_eq!(check("{}", 99, &[&[1000], &[], &[1000]]).len(), 1);
        assert_eq!(check("{}", 2000, &[&[], &[1000], &[1000, 1000]]).len(), 1, "steps add up");
    }

    #[test]
    fn a_server_that_does_not_tell_is_named_and_not_refused() {
        let mut silent = host("r1", "25.3", 0, &[]);
        silent.identity.data_path.clear();
        let mut full = host("r1", "25.3", 0, &[5]);
        full.identity.data_path.clear();
        let mut space = Space::new(&guards("{}"), &world(&[("d", vec![silent])]));
        space.after(&StepId::from("s"), &world(&[("d", vec![full])]));
        let (problems, note) = space.told();
        assert!(problems.is_empty() && note.is_some_and(|note| note.contains("r1")));
    }

    #[test]
    fn one_server_behind_two_roles_counts_once() {
        let at = |tables: &[u64]| {
            world(&[
                ("destination", vec![host("r1", "25.3", 1100, tables)]),
                ("source", vec![host("r1", "25.3", 1100, &[])]),
            ])
        };
        let mut space = Space::new(&guards("{}"), &at(&[]));
        space.after(&StepId::from("s"), &at(&[1000]));
        assert!(space.told().0.is_empty());
    }
}
