//! Finished operations whose promise somebody broke before the run was carried on with.

use clickferry::engine::journal::{Entry, OutcomeKind, Record};

#[cfg(feature = "torture")]
use crate::support::bucket;
use crate::support::engine::{has_intent, journal};
use crate::support::proof::is_moved;
use crate::support::scene::Scene;

/// A move whose engine was killed as soon as the journal held enough.
fn killed(name: &str, enough: impl Fn(&[Record]) -> bool) -> Scene {
    let scene = Scene::new(name).with_orders();
    let mut engine = scene.start_move();
    assert!(engine.reaches(enough));
    engine.kill();
    scene
}

fn done_by_attempt(records: &[Record], operation: &str) -> Vec<u32> {
    records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Outcome { operation: of, attempt, kind: OutcomeKind::Done, .. } if of.as_str() == operation => {
                Some(*attempt)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_table_emptied_meanwhile_is_restored_again_only_when_that_is_asked_for() {
    let scene = killed("redo", |records| has_intent(records, "verify/"));
    scene.on_node("replica1", "TRUNCATE TABLE {db}.customers SYNC");
    let refused = scene.cli(&["resume"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("no longer true"), "{refused}");
    assert!(refused.stderr.contains("--redo"), "{refused}");
    assert_eq!(scene.on_node("replica2", "SELECT count() FROM {db}.customers"), "0");

    scene.mark();
    let resumed = scene.cli(&["resume", "--redo"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(&scene, "2");
    let restores: Vec<String> = scene
        .changes()
        .into_iter()
        .filter(|(_, record)| record.statement.starts_with("RESTORE"))
        .map(|(_, record)| record.statement)
        .collect();
    assert_eq!(restores.len(), 1, "{restores:#?}");
    assert!(restores[0].contains("customers"), "{restores:#?}");
    let records = journal(&scene.runs()[0]).records;
    let again = records
        .iter()
        .find_map(|record| match &record.entry {
            Entry::Redone { operation, .. } => Some(operation.to_string()),
            _ => None,
        })
        .unwrap();
    assert_eq!(done_by_attempt(&records, &again), [1, 2], "{again}");
}

#[test]
fn what_destroys_is_never_done_again_under_an_old_consent() {
    let scene = killed("redone", |records| has_intent(records, "create-tables/"));
    scene.is_quiet();
    // Somebody else makes the database anew, with a table of their own.
    scene.on_node("replica1", "DROP DATABASE {db} SYNC");
    scene.on_node("replica1", "CREATE DATABASE {db}");
    scene.on_node("replica1", "CREATE TABLE {db}.precious (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.on_node("replica1", "INSERT INTO {db}.precious VALUES (1)");
    scene.mark();
    let refused = scene.cli(&["resume", "--redo"]);
    assert_ne!(refused.code, Some(0), "{refused}");
    scene.nothing_changed();
    assert_eq!(scene.on_node("replica1", "SELECT count() FROM {db}.precious"), "1");
}

#[cfg(feature = "torture")]
#[test]
fn a_backup_of_what_was_destroyed_since_is_not_made_again() {
    let scene = Scene::new("emptied").with_orders();
    let runbook = scene.steps(
        "  - id: back-up
    backup: { from: source, databases: ['{{ database }}'], to: backups, path: once }
  - id: empty
    sql: { on: source, statements: ['TRUNCATE TABLE {{ database }}.orders SYNC'] }
  - id: last
    sql: { on: source, statements: ['CREATE TABLE {{ database }}.n (x UInt8) ENGINE = MergeTree ORDER BY x'] }
",
    );
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    let more = "storage:\n  backups: { kind: s3 }\nguards: { loss: { tables: 1, rows: 10000 } }\nsteps:\n";
    scene.test.write(&runbook, &text.replace("\nsteps:\n", &format!("\n{more}")));
    let digest = scene.plan(&runbook, &[]);
    scene.killed_at("before record intent last/1", &["apply", "plan.json", "--consent", &digest]);
    bucket::delete(&scene, "once/.backup");
    scene.mark();
    let refused = scene.cli(&["resume", "--redo"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("empty/1 has destroyed on its source since"), "{refused}");
    scene.nothing_changed();
}
