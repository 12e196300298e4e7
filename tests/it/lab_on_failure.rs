//! `on_failure: undo`: a run whose step failed is taken back, or nothing of it is.

use crate::support::engine::journal;
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

/// The bundled move with a last step that is to take it back.
fn move_with(scene: &Scene, step: &str) -> String {
    scene.runbook("standalone-to-replicated", |text| format!("{}\n{step}", text.trim_end()))
}

const NEVER_TRUE: &str = "  - id: smoke
    on_failure: undo
    assert: { on: destination, query: 'SELECT count() FROM {{ database }}.orders', equals: 1 }
";

/// Databases and tables of both replicas, and how many objects lie in the bucket.
fn destination(scene: &Scene) -> Vec<String> {
    let tables = "SELECT database, name FROM system.tables WHERE database = '{db}' ORDER BY ALL";
    let mut all: Vec<String> = ["replica1", "replica2"].map(|node| scene.on_node(node, tables)).to_vec();
    let bucket = scene.lab.dir().join("s3").join(scene.lab.bucket()).join(&scene.database);
    all.push(format!("{} objects", crate::support::lab::files_below(&bucket).len()));
    all
}

fn begin(scene: &Scene, step: &str) -> String {
    let runbook = move_with(scene, step);
    scene.plan(&runbook, &["-p", "migration=2"])
}

fn undo_of(scene: &Scene) -> (String, String) {
    let names: Vec<String> =
        scene.runs().iter().map(|run| run.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let [run, undo] = names.as_slice() else { panic!("{names:?}") };
    (run.clone(), undo.clone())
}

#[test]
fn a_run_whose_check_fails_is_taken_back_under_the_consent_to_its_plan() {
    let scene = Scene::new("onfail").with_orders();
    let before = destination(&scene);
    let digest = begin(&scene, NEVER_TRUE);
    let shown = scene.cli(&["plan", "plan.json"]);
    assert!(shown.stdout.contains("if it fails, the whole run is taken back"), "{shown}");
    let ended = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(ended.code, Some(2), "{ended}");
    assert_eq!(scene.runs().len(), 2, "{ended}");
    let (run, undo) = undo_of(&scene);
    assert!(ended.stderr.contains(&format!("step smoke failed; run {run} is taken back")), "{ended}");
    assert!(ended.stderr.contains(&format!("Run {run} failed and was taken back by run {undo}.")), "{ended}");
    assert!(ended.stderr.contains("differs: smoke/1 assert"), "why it failed is told:\n{ended}");
    assert!(ended.stderr.contains("was taken back: find the cause, then plan and apply anew"), "{ended}");
    assert!(!ended.stderr.contains("clickferry resume"), "{ended}");
    assert_eq!(destination(&scene), before, "{ended}");
    let records = journal(scene.runs().last().unwrap()).records;
    let started = serde_json::to_string(&records[0].entry).unwrap();
    assert!(started.contains(&format!("on_failure of step smoke, in the plan {digest}")), "{started}");
    let resumed = scene.cli(&["resume", &run]);
    assert_eq!(resumed.code, Some(3), "{resumed}");
    assert!(resumed.stderr.contains(&format!("was taken back by run {undo}")), "{resumed}");
}

#[test]
fn rows_that_somebody_else_wrote_meanwhile_keep_the_run_from_being_taken_back() {
    let scene = Scene::new("onfail_foreign").with_orders();
    let waits = "  - id: smoke
    on_failure: undo
    wait_for: { on: destination, query: 'SELECT count() FROM {{ database }}.orders', equals: 1, within: 6s, interval: 200ms }
";
    let digest = begin(&scene, waits);
    let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    assert!(engine.reaches(|records| crate::support::engine::has_intent(records, "smoke/")), "{}", engine.end(&scene));
    scene.on_node("replica2", "INSERT INTO {db}.orders (id) VALUES (1000000)");
    let ended = engine.end(&scene);
    assert_eq!(ended.code, Some(2), "{ended}");
    assert_eq!(scene.runs().len(), 1, "{ended}");
    assert!(ended.stderr.contains("is not taken back"), "{ended}");
    let stands_in_the_way = ended.stderr.split_once("is not taken back").unwrap().1;
    assert!(stands_in_the_way.contains("orders") && stands_in_the_way.contains("3001"), "{ended}");
    for node in ["replica1", "replica2"] {
        wait_until("the row on both", || {
            scene.on_node(node, "SELECT count() FROM {db}.orders WHERE id = 1000000") == "1"
        });
        assert_eq!(scene.on_node(node, "SELECT count() FROM {db}.orders"), "3001", "{ended}");
    }
    // It is a run that stopped: it can be carried on with.
    let name = scene.runs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let status = scene.cli(&["status", &name]);
    assert!(status.stdout.contains("stopped"), "{status}");
}

#[test]
fn an_engine_killed_while_it_takes_its_run_back_is_resumed() {
    let scene = Scene::new("onfail_killed").with_orders();
    let before = destination(&scene);
    let digest = begin(&scene, NEVER_TRUE);
    let engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    wait_until("the undo", || {
        scene.runs().get(1).is_some_and(|run| run.join("journal.jsonl").exists() && journal(run).records.len() > 6)
    });
    engine.kill();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(destination(&scene), before, "{resumed}");
}

#[test]
fn a_plan_promises_no_undo_that_cannot_be() {
    let scene = Scene::new("onfail_plan");
    scene.on_node("standalone", "CREATE DATABASE {db}");
    let steps = |first: &str| {
        scene.steps(&format!(
            "  - id: first
{first}
  - id: check
    on_failure: undo
    assert: {{ on: source, query: 'SELECT 1', equals: 1 }}
"
        ))
    };
    let _filters = scene.filters();
    let database = format!("database={}", scene.database);
    let plan = |runbook: &str| scene.cli(&["plan", runbook, "-p", &database]);
    let runbook =
        steps("    sql: { on: source, statements: ['CREATE TABLE {{ database }}.t (x UInt8) ENGINE = Memory'] }");
    insta::assert_snapshot!(plan(&runbook), @"
    exit 1
    --- stderr
    error: step `check` is to take the run back when it fails, and step `first` has no way back
      expected  a way back for every step up to the one with `on_failure: undo`
      found     step `first`: the step has no `undo:`
      do this   give step `first` a way back, or remove `on_failure: undo` from step `check`
    ");
    let runbook = steps(
        "    point_of_no_return: true
    sql: { on: source, statements: ['CREATE TABLE {{ database }}.t (x UInt8) ENGINE = Memory'], undo: ['DROP TABLE {{ database }}.t'], undo_loss: { tables: 1, rows: 0 } }",
    );
    insta::assert_snapshot!(plan(&runbook), @"
    exit 1
    --- stderr
    error: step `check` is to take the run back when it fails, and step `first` has no way back
      expected  a way back for every step up to the one with `on_failure: undo`
      found     step `first`: it is marked with `point_of_no_return`
      do this   give step `first` a way back, or remove `on_failure: undo` from step `check`
    ");
    scene.on_node("standalone", "CREATE TABLE {db}.old (x UInt8) ENGINE = MergeTree ORDER BY x");
    let runbook = steps("    recreate_database: { on: source, database: '{{ database }}' }");
    insta::assert_snapshot!(plan(&runbook), @"
    exit 1
    --- stderr
    error: step `check` is to take the run back when it fails, and step `first` has no way back
      expected  a way back for every step up to the one with `on_failure: undo`
      found     step `first`: it drops database `DB` for good (1 table); `keep_old` would set it aside
      do this   give step `first` a way back, or remove `on_failure: undo` from step `check`
    ");
    // Without the promise the plan is made, and says from where on there is no way back.
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    let text = text
        .replace("    on_failure: undo\n", "")
        .replace("\nsteps:", "\nguards: { loss: { tables: 1, rows: 0 } }\nsteps:");
    scene.test.write(&runbook, &text);
    let made = plan(&runbook);
    assert_eq!(made.code, Some(2), "{made}");
    assert!(made.stdout.contains("no way back: it drops database"), "{made}");
}
