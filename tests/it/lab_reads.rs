//! What reading steps ask: the statements of the plan, and nothing that the plan does not tell of.

use std::path::PathBuf;

use clickferry::plan::plan_file::Plan;

use crate::support::Output;
use crate::support::lab::NODES;
use crate::support::scene::Scene;
use crate::support::sent::Run;

/// Three tables on both replicas, one of which merges rows away, and a view.
fn replicated(name: &str) -> Scene {
    let scene = Scene::new(name);
    for node in &NODES[1..] {
        let create = |table: &str, engine: &str| {
            let place = format!("'/clickhouse/tables/{{shard}}/{{db}}/{table}', '{{replica}}'");
            scene.on_node(
                node,
                &format!(
                    "CREATE TABLE {{db}}.{table} (x UInt64, y Nullable(String)) ENGINE = {engine}({place}) ORDER BY x"
                ),
            );
        };
        scene.on_node(node, "CREATE DATABASE {db}");
        create("a", "ReplicatedMergeTree");
        create("b", "ReplicatedReplacingMergeTree");
        create("left_out", "ReplicatedMergeTree");
        scene.on_node(node, "CREATE VIEW {db}.v AS SELECT x FROM {db}.a");
    }
    for table in ["a", "b"] {
        scene.on_node("replica1", &format!("INSERT INTO {{db}}.{table} SELECT number, NULL FROM numbers(50)"));
        scene.on_node("replica2", &format!("SYSTEM SYNC REPLICA {{db}}.{table}"));
    }
    scene.mark();
    scene
}

/// Saves the plan of a runbook and applies it, whatever comes of it.
fn apply(scene: &Scene, runbook: &str) -> (Plan, PathBuf, Output) {
    let digest = scene.plan(runbook, &[]);
    let plan = serde_json::from_slice(&std::fs::read(scene.test.path().join("plan.json")).unwrap()).unwrap();
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    (plan, scene.runs().pop().unwrap(), done)
}

#[test]
fn replicas_are_compared_by_the_planned_reads_alone() {
    let scene = replicated("between");
    let runbook = scene.steps(
        "  - id: all
    verify: { on: destination, databases: ['{db}'], content: replicas, except_tables: ['{db}.left_out'] }
  - id: little
    verify: { on: destination, databases: ['{db}'], every: any, rows: ignore, replication: ignore, schema: ignore, parts: ignore }
  - id: definitions
    verify: { on: destination, databases: ['{db}'], rows: ignore, replication: ignore, parts: ignore }
",
    );
    let (plan, run, done) = apply(&scene, &runbook);
    assert_eq!(done.code, Some(0), "{done}");
    let run = Run::new(&scene, &plan, &run);
    // The second replica asks the first one besides: settings, counts, definitions, paths, two hashes.
    assert_eq!(run.reads_as_planned("all"), 10 + (10 + 6));
    assert_eq!(run.reads_as_planned("little"), 4);
    assert_eq!(run.reads_as_planned("definitions"), 4 + (4 + 4));
    scene.nothing_changed();
}

#[test]
fn a_live_source_is_asked_for_what_the_plan_says() {
    let scene = replicated("living");
    scene.on_node("standalone", "CREATE DATABASE {db}");
    for table in ["a", "b"] {
        scene.on_node(
            "standalone",
            &format!("CREATE TABLE {{db}}.{table} (x UInt64, y Nullable(String)) ENGINE = MergeTree ORDER BY x"),
        );
        scene.on_node("standalone", &format!("INSERT INTO {{db}}.{table} SELECT number, NULL FROM numbers(50)"));
    }
    scene.mark();
    let runbook = scene.steps(
        "  - id: compare
    verify: { on: destination, against: { target: source }, databases: ['{db}'], content: source }
",
    );
    let (plan, run, done) = apply(&scene, &runbook);
    assert_eq!(done.code, Some(0), "{done}");
    let reads = Run::new(&scene, &plan, &run).reads_as_planned("compare");
    // For each replica five reads of the source and ten of its own; for the second also what the first defines.
    assert_eq!(reads, 2 * (5 + 10) + 2);
}

#[test]
fn tables_that_planning_did_not_see_are_asked_in_the_form_that_the_plan_tells() {
    let scene = replicated("unseen");
    let runbook = scene.steps(
        "  - id: rename
    sql: { on: destination, statements: ['RENAME TABLE {db}.a TO {db}.c'], probe: { query: 'EXISTS TABLE {db}.c', done_when: 1 } }
  - id: verify
    verify: { on: destination, databases: ['{db}'], schema: ignore }
",
    );
    let (plan, run, done) = apply(&scene, &runbook);
    // The view has lost its table.
    assert_eq!(done.code, Some(2), "{done}");
    let run = Run::new(&scene, &plan, &run);
    let asked = run.reads_are_declared("verify");
    let counts = |table: &str| {
        let of = format!(" AS counted FROM `{}`.`{table}`", scene.database);
        asked.iter().filter(|text| text.contains(&of)).count()
    };
    // The new one on its own host, and for the second replica on the first one once more.
    assert_eq!(counts("c"), 3, "{asked:#?}");
}

#[test]
fn other_reading_steps_ask_what_is_planned() {
    let scene = replicated("others");
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE TABLE {db}.schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{db}/m', '{replica}') ORDER BY sequence");
    }
    scene.on_node("replica1", "INSERT INTO {db}.schema_migrations VALUES (7, 0, 1)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.schema_migrations");
    scene.mark();
    let runbook = scene.steps(
        "  - id: assert
    assert: { on: destination, query: 'SELECT count() FROM {db}.a', equals: 50 }
  - id: wait
    wait_for: { on: destination, every: any, query: 'SELECT max(x) FROM {db}.a', equals: 49 }
  - id: look
    sql: { on: destination, statements: ['SELECT min(x) FROM {db}.a'] }
  - id: mark
    mark_migrations_clean: { on: destination, table: '{db}.schema_migrations', version: 7 }
",
    );
    let (plan, run, done) = apply(&scene, &runbook);
    assert_eq!(done.code, Some(0), "{done}");
    let run = Run::new(&scene, &plan, &run);
    for (step, reads) in [("assert", 2), ("wait", 2), ("look", 2), ("mark", 2)] {
        assert_eq!(run.reads_as_planned(step), reads, "{step}");
    }
    scene.nothing_changed();
}
