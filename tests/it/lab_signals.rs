//! Signals to an engine that waits for an ordinary statement, and a server that restarts meanwhile.

use crate::support::engine::{Engine, has_intent, is_done, journal};
use crate::support::keeper_cutter::KeeperWay;
use crate::support::lab::wait_until;
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;

/// A table, and an INSERT of 40 rows that takes 8 s; its probe counts them.
fn slow_insert(scene: &Scene) -> Engine {
    scene.on_node("standalone", "CREATE DATABASE {db}");
    scene.on_node("standalone", "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.mark();
    let runbook = scene.steps(
        "  - id: add
    sql:
      on: source
      statements: ['INSERT INTO {{ database }}.t SELECT number FROM numbers(40) WHERE sleepEachRow(0.2) = 0 SETTINGS max_block_size = 1, max_threads = 1']
      probe: { query: 'SELECT count() FROM {{ database }}.t', done_when: 40 }
",
    );
    let mut engine = scene.start(&["apply", &runbook, "-p", &format!("database={}", scene.database), "--summary"]);
    assert!(engine.reaches(|records| has_intent(records, "add/")));
    wait_until("the statement", || inserts(scene) == 1);
    engine
}

fn inserts(scene: &Scene) -> usize {
    scene.changes().iter().filter(|(_, record)| record.statement.starts_with("INSERT INTO")).count()
}

fn rows(scene: &Scene) -> String {
    scene.on_node("standalone", "SELECT count() FROM {db}.t")
}

#[test]
fn a_second_interrupt_leaves_an_ordinary_statement_to_its_server() {
    let scene = Scene::new("leaves");
    let engine = slow_insert(&scene);
    let asked = std::time::Instant::now();
    engine.signal("INT");
    engine.has_told("stopping at the next safe point");
    engine.signal("INT");
    let stopped = engine.end(&scene);
    assert_eq!(stopped.code, Some(130), "{stopped}");
    assert!(asked.elapsed().as_secs() < 4, "it took {:?}", asked.elapsed());
    assert!(stopped.stderr.contains("the server goes on with it"), "{stopped}");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!((rows(&scene).as_str(), inserts(&scene)), ("40", 1));
}

#[test]
fn a_second_interrupt_is_heard_while_another_process_is_asked_for() {
    let scene = Scene::new("heard");
    slow_insert(&scene).kill();
    let asked = std::time::Instant::now();
    let engine = scene.start(&["resume"]);
    engine.has_told("running");
    engine.signal("INT");
    let stopped = engine.end(&scene);
    assert_eq!(stopped.code, Some(130), "{stopped}");
    assert!(asked.elapsed().as_secs() < 6, "it took {:?}", asked.elapsed());
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!((rows(&scene).as_str(), inserts(&scene)), ("40", 1));
}

#[test]
fn a_server_that_restarts_is_asked_again_how_its_statement_ended() {
    let scene = Scene::alone("restarts");
    let engine = slow_insert(&scene);
    scene.lab.kill("standalone").unwrap();
    // Longer than a single question is repeated.
    std::thread::sleep(std::time::Duration::from_secs(8));
    engine.has_told("does not answer");
    scene.lab.start_node("standalone").unwrap();
    let ended = engine.end(&scene);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(rows(&scene), "40");
}

#[test]
fn a_termination_stops_at_a_safe_point_as_an_interrupt_does() {
    let scene = Scene::new("terminated").with_orders();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| is_done(records, "recreate/")));
    engine.signal("TERM");
    let stopped = engine.end(&scene);
    assert_eq!(stopped.code, Some(130), "{stopped}");
    assert!(stopped.stderr.contains("clickferry resume"), "{stopped}");
    resumes(&scene);
}

#[test]
fn a_closed_terminal_is_as_good_as_a_kill() {
    let scene = Scene::new("closed").with_orders();
    for operation in ["back-up/1", "create-tables/2"] {
        let scene = scene.next("closed").with_orders();
        let mut engine = scene.start_move();
        assert!(engine.reaches(|records| has_intent(records, operation)), "{}", engine.end(&scene));
        engine.signal("HUP");
        let ended = engine.end(&scene);
        assert_eq!(ended.code, None, "a signal ends it: {ended}");
        resumes(&scene);
    }
}

#[test]
fn a_third_interrupt_ends_an_engine_that_hangs_and_the_run_is_carried_on() {
    let scene = Scene::new("third").with_orders();
    let keeper = scene.lab.keeper_address();
    let way = KeeperWay::to(&keeper, "/clickhouse/");
    scene.environment(|text| text.replace(&keeper, &way.address()));
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| is_done(records, "recreate/")));
    way.hold_answers(true);
    for _ in 0..3 {
        engine.signal("INT");
        // Two at once would be one.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let ended = engine.end(&scene);
    assert_eq!(ended.code, None, "a signal ends it: {ended}");
    assert!(ended.stderr.contains("ended at the third signal; `clickferry resume` asks what happened"), "{ended}");
    scene.environment(|text| text);
    resumes(&scene);
}

fn resumes(scene: &Scene) {
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(scene, "2");
    nothing_was_repeated(scene, &scene.runs()[0]);
    assert!(!journal(&scene.runs()[0]).records.is_empty());
    let report = scene.cli(&["report"]);
    assert_eq!(report.code, Some(0), "{report}");
    for told in ["**done**", "| carried on by |", " carries on |", "it is over: done", "2 servers: 8 of 8 pass"] {
        assert!(report.stdout.contains(told), "without `{told}`: {report}");
    }
}
