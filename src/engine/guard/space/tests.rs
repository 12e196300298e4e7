//! Free space against worlds made by hand.

use super::*;
use crate::engine::guard::tests::{guards, host, world};
use crate::model::storage::Storage;

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
            "step `s0`: r1 has not enough free space: 1 100 bytes free: 1 000 that the step brings, and 10 percent more (`guards.disk.headroom`), 1 099 bytes free"
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

/// A table whose definition ends with these settings.
fn table(name: &str, bytes: u64, settings: &str) -> Table {
    Table {
        database: "d".to_owned(),
        name: name.to_owned(),
        engine: "MergeTree".into(),
        create_query: format!(
            "CREATE TABLE d.{name} (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192{settings}"
        )
        .into(),
        bytes: Some(bytes),
        ..Table::default()
    }
}

/// A host with a small fast disk, a large slow one, and policies over them; nothing is free on the disk `default`.
fn tiered(tables: Vec<Table>) -> World {
    let mut r1 = host("r1", "25.3", 0, &[]);
    r1.tables = tables.into();
    r1.storage = Storage {
        disks: [("default", 0), ("fast", 100), ("slow", 1000)].map(|(name, free)| (name.to_owned(), free)).into(),
        policies: [
            ("default", vec!["default"]),
            ("hot", vec!["fast"]),
            ("cold", vec!["slow"]),
            ("tiered", vec!["fast", "slow"]),
        ]
        .map(|(name, disks)| (name.to_owned(), disks.into_iter().map(str::to_owned).collect()))
        .into(),
        default_policy: "default".to_owned(),
    };
    world(&[("destination", vec![r1])])
}

fn told(limits: &str, steps: Vec<Vec<Table>>) -> (Vec<String>, Option<String>) {
    let mut worlds = steps.into_iter().map(tiered);
    let mut space = Space::new(&guards(limits), &worlds.next().expect("a world before"));
    for (number, world) in worlds.enumerate() {
        space.after(&StepId(format!("s{number}")), &world);
    }
    let (problems, note) = space.told();
    (
        problems
            .into_iter()
            .map(|problem| format!("{}; {}; {}", problem.what, problem.expected, problem.found))
            .collect(),
        note,
    )
}

const EXACT: &str = "{ disk: { headroom: 0 } }";

#[test]
fn the_disks_of_the_tables_policy_count_and_no_others() {
    let cold = || table("t", 1000, ", storage_policy = 'cold'");
    assert_eq!(told(EXACT, vec![vec![], vec![cold()]]), (vec![], None));
    assert_eq!(
        told("{}", vec![vec![], vec![cold()]]).0,
        [
            "step `s0`: r1 has not enough free space in the storage policy `cold`; 1 100 bytes free on the disk `slow`: 1 000 that the step brings, and 10 percent more (`guards.disk.headroom`); 1 000 bytes free"
        ]
    );
    // The disk `default` is full, and nothing in it helps a table that goes elsewhere; nor the other way round.
    assert_eq!(
        told(EXACT, vec![vec![], vec![table("t", 1, "")]]).0,
        [
            "step `s0`: r1 has not enough free space; 1 byte free: 1 that the step brings, and 0 percent more (`guards.disk.headroom`); 0 bytes free"
        ]
    );
    assert_eq!(told(EXACT, vec![vec![], vec![table("t", 100, ", disk = 'fast'")]]).0.len(), 0);
    assert_eq!(told(EXACT, vec![vec![], vec![table("t", 101, ", disk = 'fast'")]]).0.len(), 1);
}

#[test]
fn a_policy_of_several_disks_is_filled_disk_by_disk_and_shares_them() {
    let both = |bytes| table("both", bytes, ", storage_policy = 'tiered'");
    let hot = |bytes| table("hot", bytes, ", storage_policy = 'hot'");
    assert_eq!(told(EXACT, vec![vec![], vec![both(1100)]]).0.len(), 0);
    assert_eq!(told(EXACT, vec![vec![], vec![both(1101)]]).0.len(), 1);
    // Whatever has no choice is put first: 100 fit on the fast disk, the rest on the slow one.
    assert_eq!(told(EXACT, vec![vec![], vec![both(1000), hot(100)]]).0.len(), 0);
    assert_eq!(
        told(EXACT, vec![vec![], vec![both(1001), hot(100)]]).0,
        [
            "step `s0`: r1 has not enough free space in the storage policy `tiered`; 1 001 bytes free on the disks `fast`, `slow`: 1 001 that the step brings, and 0 percent more (`guards.disk.headroom`); 1 000 bytes free beside what else the step brings there"
        ]
    );
    // What the first step put on the fast disk is not free for the second.
    let second = told(EXACT, vec![vec![], vec![both(60)], vec![both(60), hot(60)]]).0;
    assert_eq!(second.len(), 1);
    assert!(second[0].ends_with("40 bytes free when the step begins"), "{second:?}");
}

#[test]
fn what_is_dropped_is_free_for_tables_of_the_same_place() {
    let cold = || table("t", 1000, ", storage_policy = 'cold'");
    let both = || table("t", 500, ", storage_policy = 'tiered'");
    assert_eq!(
        told(EXACT, vec![vec![cold()], vec![], vec![cold(), table("u", 1000, ", storage_policy = 'cold'")]]).0.len(),
        0
    );
    // On which of its disks a table of several was is not known: it makes room for its like, not for others.
    assert_eq!(
        told(EXACT, vec![vec![both()], vec![], vec![table("u", 1600, ", storage_policy = 'tiered'")]]).0.len(),
        0
    );
    assert_eq!(told(EXACT, vec![vec![both()], vec![], vec![table("u", 101, ", storage_policy = 'hot'")]]).0.len(), 1);
}

#[test]
fn a_place_that_the_server_does_not_have_is_named_and_not_refused() {
    let steps =
        vec![vec![], vec![table("t", 5, ", storage_policy = 'gone'"), table("u", 5, ", disk = disk(type = 's3')")]];
    let (problems, note) = told(EXACT, steps);
    assert!(problems.is_empty());
    assert_eq!(
        note.as_deref(),
        Some(
            "free space is not checked on r1 for tables in the storage policy `gone`; on r1 for tables in a disk that their definitions describe"
        )
    );
}

#[test]
fn a_restore_can_be_told_where_to_put_what_it_creates() {
    let steps = |puts: Option<&str>| {
        let mut space = Space::new(&guards(EXACT), &tiered(vec![table("old", 0, ", storage_policy = 'hot'")]));
        if let Some(policy) = puts {
            space.puts(policy, &tiered(vec![table("old", 0, ", storage_policy = 'hot'")]));
        }
        // A table that is there already stays where it is.
        space.after(
            &StepId::from("s"),
            &tiered(vec![table("old", 90, ", storage_policy = 'hot'"), table("new", 900, "")]),
        );
        space.told().0.len()
    };
    assert_eq!(steps(None), 1, "the disk `default` is full");
    assert_eq!(steps(Some("cold")), 0);
    assert_eq!(steps(Some("hot")), 1);
}

#[test]
fn the_default_policy_is_the_one_of_the_servers_configuration() {
    let at = |tables: Vec<Table>| {
        let mut world = tiered(tables);
        for target in world.targets.values_mut() {
            target.hosts[0].storage.default_policy = "cold".to_owned();
        }
        world
    };
    let mut space = Space::new(&guards(EXACT), &at(vec![]));
    space.after(&StepId::from("s"), &at(vec![table("t", 1000, "")]));
    assert!(space.told().0.is_empty());
    // Only tables made of parts follow it.
    let mut log = table("t", 1, "");
    log.engine = "Log".into();
    let mut space = Space::new(&guards(EXACT), &at(vec![]));
    space.after(&StepId::from("s"), &at(vec![log]));
    assert_eq!(space.told().0.len(), 1);
}
