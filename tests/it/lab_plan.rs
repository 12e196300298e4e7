//! What a plan promises: the same bytes from the same world, nothing touched by making it, applied exactly or not.

use crate::support::lab::NODES;
use crate::support::scene::Scene;

const REPLICATED: &str = "CREATE TABLE {db}.notes (id UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/01/{db}/notes', '{replica}') ORDER BY id";

/// A replicated table with ten rows, and a runbook that may drop it.
fn replicated_notes(name: &str) -> (Scene, String) {
    let scene = Scene::new(name);
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, REPLICATED);
    }
    scene.on_node("replica1", "INSERT INTO {db}.notes SELECT number FROM numbers(10)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.notes");
    scene.mark();
    let runbook = scene.runbook("clean-replicas", |text| text.replace("tables: 0, rows: 0", "tables: 2, rows: 100"));
    (scene, runbook)
}

#[test]
fn the_same_world_gives_the_same_plan_byte_by_byte() {
    let scene = Scene::new("twice").with_tracing(2_000);
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let database = format!("database={}", scene.database);
    let plan = || scene.cli(&["plan", &runbook, "-p", &database, "-p", "migration=87", "--format", "json"]);
    let first = plan();
    assert_eq!(first.code, Some(2), "{first}");
    assert_eq!(plan().stdout, first.stdout);
}

#[test]
fn looking_changes_nothing() {
    let scene = Scene::new("looking").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let done = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.mark();
    let database = format!("database={}", scene.database);
    let parameters = ["-p", &database, "-p", "migration=2"];
    // The destination is full now: the plan is shown, and refused.
    for (command, code) in [("plan", 3), ("verify", 0)] {
        let output = scene.cli(&[&[command, &runbook], &parameters[..]].concat());
        assert_eq!(output.code, Some(code), "{output}");
    }
    for command in ["inspect", "status", "runs"] {
        let output = scene.cli(&[command]);
        assert_eq!(output.code, Some(0), "{output}");
    }
    scene.nothing_changed();
    assert_eq!(scene.runs().len(), 1);
}

#[test]
fn a_plan_that_only_reads_needs_no_consent_and_has_nothing_to_do() {
    let scene = Scene::new("reading").with_orders();
    let runbook = scene
        .steps("  - id: look\n    assert: { on: source, query: 'SELECT count() FROM {db}.orders', equals: 3000 }\n");
    let database = format!("database={}", scene.database);
    for command in ["plan", "apply"] {
        let output = scene.cli(&[command, &runbook, "-p", &database]);
        assert_eq!(output.code, Some(0), "{output}");
    }
    scene.nothing_changed();
}

#[test]
fn a_world_that_moved_since_the_plan_is_refused_with_the_fact_that_moved() {
    let (scene, runbook) = replicated_notes("moved");
    let digest = scene.plan(&runbook, &[]);
    scene.on_node("replica1", "INSERT INTO {db}.notes VALUES (11)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.notes");
    scene.mark();
    let _filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["apply", "plan.json", "--consent", &digest]), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r1
      expected  10 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  10 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    scene.nothing_changed();
    assert!(scene.runs().is_empty());
}

#[test]
fn what_destroys_needs_consent_for_this_very_plan() {
    let (scene, runbook) = replicated_notes("consent");
    let digest = scene.plan(&runbook, &[]);
    let _filters = scene.filters();
    let without = scene.cli(&["apply", "plan.json", "--summary"]);
    insta::assert_snapshot!(without.after_the_plan(), @"
    exit 3
    --- stderr
    refused: no consent was given to this plan
      expected  --consent DIGEST, or the number of destroyed rows typed at a terminal
      found     no terminal to ask at, and no --consent
      see it    clickferry plan RUNBOOK -e ENVIRONMENT
      do this   read the plan, then give the consent at its end; nothing was changed
    ");
    insta::assert_snapshot!(scene.cli(&["apply", "plan.json", "--consent", "0123456789ab"]), @"
    exit 3
    --- stderr
    refused: the consent was not given to this plan
      expected  --consent DIGEST
      found     --consent DIGEST
      see it    clickferry plan RUNBOOK -e ENVIRONMENT
      do this   read the plan as it is now, then give what stands at its end
    ");
    let shorter = scene.cli(&["apply", "plan.json", "--consent", &digest[..11]]);
    assert_eq!(shorter.code, Some(3), "{shorter}");
    scene.nothing_changed();
    assert!(scene.runs().is_empty());
}

#[test]
fn a_plan_edited_by_hand_is_refused() {
    let (scene, runbook) = replicated_notes("edited");
    let digest = scene.plan(&runbook, &[]);
    let path = scene.test.path().join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = text.replace(" ENGINE = Atomic", " ENGINE = Memory");
    assert_ne!(edited, text);
    std::fs::write(&path, edited).unwrap();
    let _filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["apply", "plan.json", "--consent", &digest]), @"
    exit 3
    --- stderr
    refused: plan.json was changed after it was saved
      expected  a plan whose digest fits its content
      found     another content
      do this   plan again; plans are not edited by hand, runbooks are
    ");
    scene.nothing_changed();
}
