//! Steps that runbooks are written with: statements, commands, checks, questions.

use crate::support::engine::{has_intent, journal};
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

/// Applies a runbook that destroys nothing.
fn apply(scene: &Scene, runbook: &str) -> crate::support::Output {
    scene.cli(&["apply", runbook, "-p", &format!("database={}", scene.database), "--summary"])
}

fn count(scene: &Scene) -> String {
    scene.on_node("standalone", "SELECT count() FROM {db}.t")
}

fn with_table(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.on_node("standalone", "CREATE DATABASE {db}");
    scene.on_node("standalone", "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.mark();
    scene
}

#[test]
fn statements_commands_checks_and_waits_follow_each_other() {
    let scene = with_table("follow");
    let runbook = scene.steps(
        "  - id: add
    sql:
      on: source
      statements: ['INSERT INTO {{ database }}.t SELECT number FROM numbers(3)']
      probe: { query: 'SELECT count() FROM {{ database }}.t', done_when: 3 }
      expect: { query: 'SELECT max(x) FROM {{ database }}.t', equals: 2 }
  - id: command
    run: { command: [sh, -c, 'echo made > made.txt && echo it is made'], expect: { stdout_contains: it is } }
  - id: left-out
    when: database == 'another'
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (100)'] }
  - id: check
    assert: { on: source, query: 'SELECT count() FROM {{ database }}.t', equals: 3 }
  - id: wait
    wait_for: { on: source, query: 'SELECT count() FROM {{ database }}.t', equals: 4, interval: 100ms }
",
    );
    let database = format!("database={}", scene.database);
    let mut engine = scene.start(&["apply", &runbook, "-p", &database]);
    assert!(engine.reaches(|records| has_intent(records, "wait/")));
    assert_eq!(count(&scene), "3");
    scene.on_node("standalone", "INSERT INTO {db}.t VALUES (3)");
    let done = engine.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(count(&scene), "4");
    assert_eq!(std::fs::read_to_string(scene.test.path().join("made.txt")).unwrap(), "made\n");
    assert!(!has_intent(&journal(&scene.runs()[0]).records, "left-out/"));
}

#[test]
fn a_check_that_does_not_hold_stops_before_what_follows() {
    let scene = with_table("assert");
    let runbook = scene.steps(
        "  - id: check
    assert: { on: source, query: 'SELECT count() FROM {{ database }}.t', equals: 5, message: five rows were promised }
  - id: add
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (1)'] }
",
    );
    let _filters = scene.filters();
    insta::assert_snapshot!(apply(&scene, &runbook).after_the_plan(), @"
    exit 2
    --- stderr
    Run RUN: steps on DB
    [1/2] check
      ✗ check/1 assert SELECT count() FROM `DB`.t on DB-sa: 0
    Run RUN is not complete. See it: clickferry status RUN -e environment.yaml. Carry on: clickferry resume RUN -e environment.yaml
    differs: check/1 assert (SELECT count() FROM `DB`.t): five rows were promised
      expected  5
      found     0
      see it    on DB-sa: SELECT count() FROM `DB`.t
      do this   bring about the expected state and `clickferry resume`, or correct the runbook and plan anew
    ");
    scene.nothing_changed();
}

#[test]
fn a_check_that_may_fail_is_told_at_the_end_and_the_rest_is_done() {
    let scene = with_table("goes_on");
    let runbook = scene.steps(
        "  - id: check
    on_failure: continue
    assert: { on: source, query: 'SELECT count() FROM {{ database }}.t', equals: 5 }
  - id: add
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (1)'] }
",
    );
    let output = apply(&scene, &runbook);
    assert_eq!(output.code, Some(2), "{output}");
    assert_eq!(count(&scene), "1");
}

#[test]
fn behind_a_check_that_may_fail_the_others_of_its_step_are_made_and_told() {
    let scene = with_table("others");
    for (node, rows) in [("replica1", 1), ("replica2", 2)] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
        scene.on_node(node, &format!("INSERT INTO {{db}}.t SELECT number FROM numbers({rows})"));
    }
    let runbook = scene.steps(
        "  - id: check
    on_failure: continue
    assert: { on: destination, every: replica, query: 'SELECT count() FROM {{ database }}.t', equals: 7 }
",
    );
    let output = apply(&scene, &runbook);
    assert_eq!(output.code, Some(2), "{output}");
    let records = journal(&scene.runs()[0]).records;
    assert!(has_intent(&records, "check/1") && has_intent(&records, "check/2"), "{output}");
    for found in ["found     1", "found     2"] {
        assert!(output.stderr.contains(found), "{output}");
    }
}

#[test]
fn a_question_that_nobody_answers_stops_before_its_step() {
    let scene = with_table("question");
    let runbook = scene.steps(
        "  - id: first
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (1)'] }
  - id: second
    confirm: Has the traffic been switched?
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (2)'] }
",
    );
    let filters = scene.filters();
    insta::assert_snapshot!(apply(&scene, &runbook).after_the_plan(), @"
    exit 3
    --- stderr
    Run RUN: steps on DB
    [1/2] first
      ✓ first/1 insert into DB.t on DB-sa  TIME
    [2/2] second
    refused: step `second` was not confirmed
      expected  `yes` to: Has the traffic been switched?
      found     no answer, or another one
      do this   `clickferry resume` at a terminal asks again
    ");
    drop(filters);
    assert_eq!(count(&scene), "1");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(3), "{resumed}");
    assert_eq!(count(&scene), "1");
}

/// Kills the engine while the server is inside of a slow INSERT, and waits until the server has ended it.
fn killed_inside_of(scene: &Scene, probe: &str) {
    let runbook = scene.steps(&format!(
        "  - id: slow
    sql:
      on: source
      statements: ['INSERT INTO {{{{ database }}}}.t SELECT number + sleepEachRow(0.2) FROM numbers(5) SETTINGS max_block_size = 1']
{probe}"
    ));
    let database = format!("database={}", scene.database);
    let mut engine = scene.start(&["apply", &runbook, "-p", &database]);
    let running = || {
        scene.on_node(
            "standalone",
            "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%{db}%sleepEachRow%'",
        ) != "0"
    };
    assert!(engine.reaches(|records| has_intent(records, "slow/") && running()));
    engine.kill();
    wait_until("the end of the INSERT", || !running());
}

#[test]
fn a_statement_with_a_probe_is_not_repeated_when_it_took_effect() {
    let scene = with_table("probe");
    killed_inside_of(&scene, "      probe: { query: 'SELECT count() FROM {{ database }}.t', done_when: 5 }\n");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(count(&scene), "5");
}

#[test]
fn a_statement_without_a_probe_stops_for_a_person() {
    let scene = with_table("no_probe");
    killed_inside_of(&scene, "");
    let rows = count(&scene);
    scene.mark();
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["resume"]), @"
    exit 4
    --- stderr
    Resuming RUN: steps on DB
    [1/1] slow
      ? slow/1 insert into DB.t on DB-sa: outcome unknown (an earlier process ended between its intent and its outcome); asking
      ? slow/1: unknown
    Run RUN is not complete. See it: clickferry status RUN -e environment.yaml. Carry on: clickferry resume RUN -e environment.yaml
    outcome unknown: slow/1 insert_into (DB.t): it cannot be told whether the statement took effect
      expected  a `probe:` in the step that tells it
      found     none is declared; the statement is not running on DB-sa, and its query log does not show its end
                attempt 1 began WHEN on DB-sa under the id clickferry-RUN-slow-1-1:
                INSERT INTO `DB`.t SELECT number + sleepEachRow(0.2) FROM numbers(5) SETTINGS max_block_size = 1
      see it    on DB-sa: SELECT type, event_time, exception FROM system.query_log WHERE query_id = 'clickferry-RUN-slow-1-1'
      do this   look at what the statement changes, then say how it ended: `clickferry resolve RUN OPERATION --done|--not-done --reason ...`; a `probe:` in the step answers it next time
    ");
    drop(filters);
    let status = scene.cli(&["status"]).stdout;
    for told in [
        "1 with an unknown outcome",
        "how it ended is not known",
        "under the id clickferry-",
        "INSERT INTO `",
        "asked 2",
        ": unknown",
        "see it    on ",
    ] {
        assert!(status.contains(told), "no {told:?} in:\n{status}");
    }
    scene.nothing_changed();
    assert_eq!(count(&scene), rows);
}
