//! Only what the run itself made is removed: by an undo, and by the restore that made it.

use crate::support::bucket;
use crate::support::scene::Scene;

/// A runbook with these steps that may use the bucket, and destroy so much.
fn with_storage(scene: &Scene, steps: &str, guards: &str) -> String {
    let runbook = scene.steps(steps);
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    let head = format!("\nstorage:\n  backups: {{ kind: s3 }}\n{guards}steps:\n");
    scene.test.write(&runbook, &text.replace("\nsteps:\n", &head));
    runbook
}

fn run_id(scene: &Scene) -> String {
    scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn rows_that_came_behind_a_restore_that_failed_are_nobody_elses_to_take() {
    let scene = Scene::new("foreign").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let digest = scene.plan(&runbook, &["-p", "migration=2"]);
    scene.killed_at("after record outcome back-up/1 done", &["apply", "plan.json", "--consent", &digest]);
    // The rows of one table cannot be read from the backup.
    let keys = bucket::keys(&scene, "clickhouse-backup/");
    let of_orders: Vec<&String> = keys.iter().filter(|key| key.contains("/orders/") && key.ends_with(".bin")).collect();
    assert!(!of_orders.is_empty(), "{keys:#?}");
    for key in of_orders {
        bucket::delete(&scene, key);
    }
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(1), "{stopped}");
    let outcomes = std::fs::read_to_string(scene.runs()[0].join("journal.jsonl")).unwrap();
    assert!(outcomes.contains(r#""kind":"not_done""#), "{stopped}");
    scene.on_node("replica1", "INSERT INTO {db}.orders SELECT number, '2026-01-01', 1, 'mine' FROM numbers(5)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.orders");
    scene.mark();
    for more in [&[][..], &["--to", "restore"]] {
        let refused = scene.cli(&[&["undo", &run_id(&scene), "--dry-run"], more].concat());
        assert_eq!(refused.code, Some(3), "{refused}");
        assert!(refused.stderr.contains("the journal says that no row of it came"), "{refused}");
    }
    scene.nothing_changed();
    assert_eq!(scene.on_node("replica2", "SELECT count() FROM {db}.orders"), "5");
}

/// A history of migrations that comes beside its table: RESTORE, INSERT, DROP.
#[test]
fn a_table_beside_that_somebody_else_made_is_not_dropped() {
    let scene = Scene::new("beside").with_orders();
    for (node, replica) in [("replica1", "r1"), ("replica2", "r2")] {
        scene.on_node(node, "CREATE DATABASE {db}");
        let engine = format!("ReplicatedMergeTree('/clickhouse/tables/01/{{db}}/m', '{replica}') ORDER BY sequence");
        let columns = "(version Int64, dirty UInt8, sequence UInt64)";
        scene.on_node(node, &format!("CREATE TABLE {{db}}.schema_migrations {columns} ENGINE = {engine}"));
    }
    let runbook = with_storage(
        &scene,
        "  - id: back-up
    backup: { from: source, databases: ['{{ database }}'], to: backups, path: staged }
  - id: restore
    restore: { backup: back-up, to: destination, tables: ['{{ database }}.schema_migrations'], settings: { allow_different_table_def: true } }
",
        "",
    );
    let digest = scene.plan(&runbook, &[]);
    // The rows are in; the table beside is about to go.
    scene.killed_at("before record intent restore/3", &["apply", "plan.json", "--consent", &digest]);
    let beside = "{db}.schema_migrations__clickferry_restore";
    scene.on_node("replica1", &format!("DROP TABLE {beside} SYNC"));
    scene.on_node("replica1", &format!("CREATE TABLE {beside} (x UInt8) ENGINE = MergeTree ORDER BY x"));
    scene.on_node("replica1", &format!("INSERT INTO {beside} VALUES (1)"));
    scene.mark();
    let refused = scene.cli(&["resume"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("is not the table that this step made"), "{refused}");
    scene.nothing_changed();
    assert_eq!(scene.on_node("replica1", &format!("SELECT count() FROM {beside}")), "1");
    scene.on_node("replica1", &format!("DROP TABLE {beside} SYNC"));
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
}

/// A table that is created by its restore, where an attempt failed without leaving anything.
#[test]
fn a_table_that_somebody_made_under_the_name_is_neither_dropped_by_the_next_attempt_nor_by_an_undo() {
    let scene = Scene::new("name").with_orders();
    let runbook = with_storage(
        &scene,
        "  - id: back-up
    backup: { from: source, databases: ['{{ database }}'], to: backups, path: made }
  - id: drop
    sql: { on: source, statements: ['DROP TABLE {{ database }}.customers SYNC'] }
  - id: restore
    restore: { backup: back-up, to: source, tables: ['{{ database }}.customers'] }
",
        "guards: { loss: { tables: 1, rows: 100 } }\n",
    );
    let digest = scene.plan(&runbook, &[]);
    scene.killed_at("before record intent drop/1", &["apply", "plan.json", "--consent", &digest]);
    for key in bucket::keys(&scene, "made/").iter().filter(|key| key.contains("/customers/")) {
        bucket::delete(&scene, key);
    }
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(1), "{stopped}");
    // The server left the table that it had begun with, and it is gone now: what is there is another one.
    scene.on_node("standalone", "DROP TABLE {db}.customers SYNC");
    scene.on_node("standalone", "CREATE TABLE {db}.customers (x UInt8) ENGINE = MergeTree ORDER BY x");
    scene.mark();
    let refused = scene.cli(&["resume"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("it is there already"), "{refused}");
    let shown = scene.cli(&["undo", &run_id(&scene), "--to", "restore", "--dry-run", "-o", "undo.json"]);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan = std::fs::read(scene.test.path().join("undo.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    let consent = &plan["digest"].as_str().unwrap()[..12];
    let undo = scene.cli(&["undo", &run_id(&scene), "--to", "restore", "--consent", consent]);
    assert_eq!(undo.code, Some(1), "{undo}");
    assert!(undo.stderr.contains("instead of"), "{undo}");
    scene.nothing_changed();
    assert_eq!(
        scene.on_node("standalone", "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'customers'"),
        "1"
    );
}

/// One row, as the backup has it: an application that starts seeds its settings.
#[test]
fn rows_that_somebody_else_wrote_are_not_taken_for_those_of_a_restore_that_never_arrived() {
    let scene = Scene::new("seeded");
    for (node, engine) in [
        ("standalone", "MergeTree".to_owned()),
        ("replica1", format!("ReplicatedMergeTree('/clickhouse/tables/01/{}/s', 'r1')", scene.database)),
        ("replica2", format!("ReplicatedMergeTree('/clickhouse/tables/01/{}/s', 'r2')", scene.database)),
    ] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.settings (k String, v String) ENGINE = {engine} ORDER BY k"));
    }
    scene.on_node("standalone", "INSERT INTO {db}.settings VALUES ('theme', 'dark')");
    let runbook = with_storage(
        &scene,
        "  - id: back-up
    backup: { from: source, databases: ['{{ database }}'], to: backups, path: seeded }
  - id: restore
    restore: { backup: back-up, to: destination, settings: { allow_different_table_def: true } }
",
        "",
    );
    let digest = scene.plan(&runbook, &[]);
    // The servers of the laboratory are older than the intent, by whole seconds.
    std::thread::sleep(std::time::Duration::from_secs(2));
    scene.killed_at("after record intent restore/1", &["apply", "plan.json", "--consent", &digest]);
    scene.on_node("replica1", "INSERT INTO {db}.settings VALUES ('theme', 'light')");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.settings");
    scene.mark();
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(4), "{stopped}");
    assert!(stopped.stderr.contains("the server knows no such restore"), "{stopped}");
    scene.nothing_changed();
    // Somebody looked, and they may go.
    scene.on_node("replica1", "TRUNCATE TABLE {db}.settings SYNC");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(scene.on_node("replica2", "SELECT v FROM {db}.settings"), "dark");
}
