//! Runs that are cancelled from elsewhere, with a living engine and without one.

use clickferry::engine::journal::Entry;

use crate::support::Output;
use crate::support::engine::{Engine, has_intent, journal};
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;

/// A move on a slow bucket, brought to where a server works on this operation.
fn working(name: &str, operation: &str, node: &str, statement: &str) -> (Scene, Engine) {
    let scene = Scene::new(name).with_orders().slow_bucket();
    let mut engine = scene.start_move();
    let seen = || scene.changes().iter().any(|(at, record)| *at == node && record.statement.starts_with(statement));
    assert!(engine.reaches(|records| has_intent(records, operation) && seen()));
    scene.very_slow_bucket();
    (scene, engine)
}

fn run_id(scene: &Scene) -> String {
    scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned()
}

fn cancel(scene: &Scene, more: &[&str]) -> Output {
    let id = run_id(scene);
    scene.cli(&[&["cancel", &id, "--reason", "the window is over"], more].concat())
}

fn kills(scene: &Scene) -> usize {
    scene.changes().iter().filter(|(_, record)| record.statement.starts_with("KILL")).count()
}

fn resumes(scene: &Scene) {
    scene.quick_bucket();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(scene, "2");
    nothing_was_repeated(scene, &scene.runs()[0]);
}

#[test]
fn a_cancelled_engine_stops_behind_what_the_server_is_doing() {
    let (scene, engine) = working("cancelled", "back-up/", "standalone", "BACKUP");
    scene.quick_bucket();
    let cancelled = cancel(&scene, &[]);
    let ended = engine.end(&scene);
    assert_eq!((cancelled.code, ended.code), (Some(0), Some(130)), "{cancelled}{ended}");
    assert!(ended.stderr.contains("the window is over"), "{ended}");
    assert!(ended.stderr.contains("stopping "), "{ended}");
    assert!(cancelled.stdout.contains("has stopped: stopped before"), "{cancelled}");
    assert_eq!(kills(&scene), 0);
    let records = journal(&scene.runs()[0]).records;
    assert!(matches!(records.last().map(|record| &record.entry), Some(Entry::Stopped { .. })), "{records:?}");
    resumes(&scene);
}

#[test]
fn a_running_backup_is_stopped_and_what_it_left_is_named() {
    let (scene, engine) = working("backup", "back-up/", "standalone", "BACKUP");
    let cancelled = cancel(&scene, &["--kill"]);
    let ended = engine.end(&scene);
    assert_eq!((cancelled.code, ended.code), (Some(0), Some(130)), "{cancelled}{ended}");
    assert!(ended.stderr.contains("was stopped; there: "), "{ended}");
    assert_eq!(kills(&scene), 1);
    resumes(&scene);
}

#[test]
fn a_running_restore_is_stopped_and_carried_on_with_later() {
    let (scene, engine) = working("restore", "restore/", "replica1", "RESTORE");
    let cancelled = cancel(&scene, &["--kill"]);
    let ended = engine.end(&scene);
    assert_eq!((cancelled.code, ended.code), (Some(0), Some(130)), "{cancelled}{ended}");
    assert!(kills(&scene) >= 1);
    resumes(&scene);
}

#[test]
fn what_a_dead_engine_left_running_is_stopped() {
    let (scene, engine) = working("orphan", "back-up/", "standalone", "BACKUP");
    engine.kill();
    let told = cancel(&scene, &[]);
    assert_eq!(told.code, Some(0), "{told}");
    assert!(told.stdout.contains("no engine works on it"), "{told}");
    assert!(told.stdout.contains("still runs on the server"), "{told}");
    assert_eq!(kills(&scene), 0);
    let killed = cancel(&scene, &["--kill"]);
    assert_eq!(killed.code, Some(0), "{killed}");
    assert!(killed.stdout.contains("was stopped; there: "), "{killed}");
    assert!(killed.stdout.contains("back-up/1 took no effect"), "{killed}");
    assert_eq!(kills(&scene), 1);
    resumes(&scene);
}

#[test]
fn a_backup_that_another_engine_began_is_stopped() {
    let (scene, engine) = working("taken_over", "back-up/", "standalone", "BACKUP");
    engine.kill();
    let engine = scene.start(&["resume"]);
    engine.has_told("running");
    let cancelled = cancel(&scene, &["--kill"]);
    let ended = engine.end(&scene);
    assert_eq!((cancelled.code, ended.code), (Some(0), Some(130)), "{cancelled}{ended}");
    assert!(kills(&scene) == 1, "{ended}");
    let writing = scene.on_node("standalone", "SELECT count() FROM system.backups WHERE status = 'CREATING_BACKUP'");
    assert_eq!(writing, "0");
    resumes(&scene);
}

#[test]
fn a_run_that_is_over_cannot_be_cancelled() {
    let scene = Scene::new("over").with_orders();
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    let refused = cancel(&scene, &[]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("is over"), "{refused}");
}
