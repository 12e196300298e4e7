//! An engine that is stopped (SIGSTOP, a paused machine) for longer than its locks live, and woken again when somebody else
//! has worked on the target meanwhile.

use std::time::{Duration, Instant};

use crate::support::engine::{Engine, journal};
use crate::support::lab::PATIENCE;
use crate::support::scene::Scene;

fn insert(scene: &Scene, value: &str) -> String {
    scene.steps(&format!(
        "  - id: add
    sql:
      on: destination
      every: any
      statements: ['INSERT INTO {{{{ database }}}}.t SELECT {value} + sleepEachRow(0.3)']
      probe: {{ query: 'SELECT countIf(x = {value}) FROM {{{{ database }}}}.t', done_when: 1 }}
"
    ))
}

fn sent(scene: &Scene, value: &str) -> usize {
    let statement = format!("SELECT {value} + sleepEachRow");
    scene.changes().iter().filter(|(_, record)| record.statement.contains(&statement)).count()
}

/// Stops an engine at a point, lets another one with another state work on the target, and wakes it: so many statements
/// of it have been sent then, and none is sent afterwards.
fn stopped_at(name: &str, point: &str, before: usize) {
    let scene = Scene::new(name);
    scene.on_node("replica1", "CREATE DATABASE {db}");
    scene.on_node("replica1", "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.mark();
    let database = format!("database={}", scene.database);
    let runbook = insert(&scene, "1");
    let arguments = ["apply", &runbook, "-p", &database, "--summary", "-e", "environment.yaml"];
    let mut command = scene.test.command(&arguments);
    command.env("CLICKFERRY_TORTURE_STOP_AT", point);
    let engine = Engine::spawn(&scene, command);
    engine.is_stopped();

    let runbook = insert(&scene, "2");
    let end = Instant::now() + PATIENCE;
    loop {
        let other = scene.cli(&["apply", &runbook, "-p", &database, "--summary", "--state", "other"]);
        if other.code == Some(0) {
            break;
        }
        assert_eq!(other.code, Some(3), "{other}");
        assert!(Instant::now() < end, "{other}");
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!((sent(&scene, "1"), sent(&scene, "2")), (before, 1));

    engine.signal("CONT");
    let woken = engine.end(&scene);
    assert_eq!(woken.code, Some(1), "{woken}");
    assert!(woken.stderr.contains("was lost"), "{woken}");
    assert_eq!(sent(&scene, "1"), before, "it went on without its lock");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(sent(&scene, "1"), 1);
    assert_eq!(scene.on_node("replica1", "SELECT count() FROM {db}.t"), "2");
    assert!(!journal(&scene.runs()[0]).records.is_empty());
}

#[test]
fn an_engine_stopped_between_intent_and_statement_sends_nothing_when_it_is_woken() {
    stopped_at("before_statement", "after record intent add/1", 0);
}

#[test]
fn an_engine_stopped_inside_of_a_statement_writes_nothing_when_it_is_woken() {
    stopped_at("inside_statement", "inside of statement", 1);
}
