//! Another attempt: after which errors, how often, and never without having asked what the first one did.

use serde_json::Value;

use crate::support::Output;
use crate::support::engine::has_intent;
use crate::support::scene::Scene;

/// A table, and another one whose rows open the way for an INSERT.
fn gated(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.on_node("standalone", "CREATE DATABASE {db}");
    for table in ["t", "open"] {
        scene.on_node("standalone", &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = MergeTree ORDER BY x"));
    }
    scene.mark();
    scene
}

/// An INSERT that fails with 395 (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) until the other table has rows.
fn insert(scene: &Scene, retry: &str) -> String {
    scene.steps(&format!(
        "  - id: add
    retry: {retry}
    sql:
      on: source
      statements: ['INSERT INTO {{{{ database }}}}.t SELECT throwIf((SELECT count() FROM {{{{ database }}}}.open) = 0)']
      probe: {{ query: 'SELECT count() FROM {{{{ database }}}}.t', done_when: 1 }}
"
    ))
}

fn apply(scene: &Scene, runbook: &str) -> Output {
    scene.cli(&["apply", runbook, "-p", &format!("database={}", scene.database), "--summary"])
}

fn inserts(scene: &Scene) -> usize {
    scene.changes().iter().filter(|(_, statement)| statement.statement.contains("throwIf")).count()
}

#[test]
fn another_attempt_follows_a_probe_that_told_not_done() {
    let scene = gated("again");
    let runbook = insert(&scene, "{ attempts: 20, backoff: 300ms }");
    let mut engine = scene.start(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert!(engine.reaches(|records| records.len() > 4 && has_intent(records, "add/")));
    scene.on_node("standalone", "INSERT INTO {db}.open VALUES (1)");
    let done = engine.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM {db}.t"), "1");
    assert!(inserts(&scene) > 1, "it was tried once only");
    let journal = crate::support::engine::journal(&scene.runs()[0]);
    let words: Vec<&str> = journal
        .records
        .iter()
        .map(|record| match &record.entry {
            clickferry::engine::journal::Entry::Intent { .. } => "intent",
            clickferry::engine::journal::Entry::Probed { .. } => "probed",
            clickferry::engine::journal::Entry::Outcome { .. } => "outcome",
            _ => "-",
        })
        .collect();
    let intents = words.iter().enumerate().filter(|(_, word)| **word == "intent").map(|(at, _)| at);
    for at in intents.skip(1) {
        assert_eq!(words[at - 2..at], ["probed", "outcome"], "an attempt without a probe before it: {words:?}");
    }
}

#[test]
fn the_attempts_come_to_an_end() {
    let scene = gated("end");
    let runbook = insert(&scene, "{ attempts: 3, backoff: 10ms }");
    assert_eq!(apply(&scene, &runbook).code, Some(1));
    assert_eq!(inserts(&scene), 3);
}

#[test]
fn the_budget_and_the_deadline_end_them_before() {
    let scene = gated("budget");
    assert_eq!(apply(&scene, &insert(&scene, "{ attempts: 9, backoff: 10ms, budget: 1 }")).code, Some(1));
    assert_eq!(inserts(&scene), 2);
    scene.mark();
    assert_eq!(apply(&scene, &insert(&scene, "{ attempts: 9, backoff: 30s, deadline: 1s }")).code, Some(1));
    assert_eq!(inserts(&scene), 1);
}

#[test]
fn a_class_that_is_not_named_is_not_tried_again() {
    let scene = gated("class");
    assert_eq!(apply(&scene, &insert(&scene, "{ attempts: 9, backoff: 10ms, on: [keeper, overload] }")).code, Some(1));
    assert_eq!(inserts(&scene), 1);
}

#[test]
fn what_cannot_heal_is_sent_once() {
    let scene = gated("once");
    let runbook = scene.steps(
        "  - id: add
    retry: { attempts: 5, backoff: 10ms }
    sql:
      on: source
      statements: ['INSERT INTO {{ database }}.nosuch VALUES (1)']
      probe: { query: 'SELECT count() FROM {{ database }}.t', done_when: 1 }
",
    );
    let refused = apply(&scene, &runbook);
    assert_eq!(refused.code, Some(1), "{refused}");
    let sent = scene.changes().iter().filter(|(_, statement)| statement.statement.contains("nosuch")).count();
    assert_eq!(sent, 1);
}

#[test]
fn every_event_is_a_line_of_json_that_fits_its_schema() {
    let scene = gated("events");
    scene.on_node("standalone", "INSERT INTO {db}.open VALUES (1)");
    let runbook = insert(&scene, "{ attempts: 1 }");
    let database = format!("database={}", scene.database);
    let done = scene.cli(&["apply", &runbook, "-p", &database, "--format", "json"]);
    assert_eq!(done.code, Some(0), "{done}");
    let schema: Value =
        serde_json::from_slice(&std::fs::read(crate::support::root().join("schemas/event.v1.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let lines: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        let problems: Vec<String> = validator.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{line}: {problems:?}");
    }
    let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["started", "step_started", "operation_started", "operation_done", "finished", "summary"],
        "{}",
        done.stdout
    );
    assert_eq!(lines[5]["operations"]["add/1"], "done");
    let run = lines[0]["run"].as_str().unwrap();
    assert!(lines.iter().all(|line| line["run"] == run), "{}", done.stdout);
}
