//! `diff`: what a runbook would leave against what is there.

use serde_json::Value;

use crate::support::keeper;
use crate::support::scene::Scene;
use crate::support::{Output, fits_schema};

const MOVE: &str = "standalone-to-replicated";

/// The output with wrapped lines joined again: where they break depends on the name of the test's database.
fn unwrapped(output: &Output) -> String {
    let mut text = String::new();
    for line in output.to_string().lines() {
        match line.strip_prefix("    ").filter(|rest| !rest.starts_with(' ')) {
            Some(rest) => text = format!("{} {rest}", text.trim_end()),
            // Databases that other tests have left on the servers are objects too.
            None => text.push_str(&match line.split_once(" objects as the runbook") {
                Some((head, tail)) => {
                    format!("{}N objects as the runbook{tail}", head.trim_end_matches(|c: char| c.is_ascii_digit()))
                }
                None => line.to_owned(),
            }),
        }
        text.push('\n');
    }
    text
}

fn report_of(output: &Output) -> Value {
    let report = serde_json::from_str(&output.stdout).unwrap();
    fits_schema("diff.v1.json", &report);
    report
}

#[test]
fn a_difference_is_told_before_is_gone_after_and_comes_back_with_drift() {
    let scene = Scene::new("differ").with_orders();
    let runbook = scene.runbook(MOVE, |text| text);
    let database = format!("database={}", scene.database);
    let diff = |more: &[&str]| {
        let all = [&["diff", &runbook, "-p", &database, "-p", "migration=2"], more].concat();
        scene.cli(&all)
    };
    let _filters = scene.filters();
    insta::assert_snapshot!("diff_before", unwrapped(&diff(&[])));

    let done = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.mark();
    insta::assert_snapshot!("diff_after", unwrapped(&diff(&[])));

    scene.on_node("replica1", "ALTER TABLE {db}.customers ADD COLUMN more UInt8");
    scene.on_node("replica2", "DROP TABLE {db}.daily SYNC");
    scene.on_node("replica1", "CREATE TABLE {db}.left_over (id UInt8) ENGINE = Log");
    // One new day, so that the view has a row more whatever merges do.
    scene.on_node(
        "replica1",
        "INSERT INTO {db}.orders SELECT 9000 + number, toDate('2026-06-01'), 1, '' FROM numbers(7)",
    );
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.orders");
    scene.mark();
    insta::assert_snapshot!("diff_drift", unwrapped(&diff(&[])));
    insta::assert_snapshot!("diff_drift_full", unwrapped(&diff(&["--full"])));

    let json = diff(&["--format", "json"]);
    assert_eq!(json.code, Some(2), "{json}");
    assert_eq!(report_of(&json)["version"], 1);
    scene.nothing_changed();
}

#[test]
fn what_stands_in_no_table_is_told_too() {
    let scene = Scene::new("diffbeyond");
    for node in ["replica1", "replica2"] {
        scene.on_node(node, "CREATE DATABASE {db}");
        for table in ["kept", "gone"] {
            let engine =
                format!("ReplicatedMergeTree('/clickhouse/tables/01/{{db}}/{table}', '{{replica}}') ORDER BY x");
            scene.on_node(node, &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = {engine}"));
        }
    }
    scene.on_node("replica1", "INSERT INTO {db}.gone SELECT number FROM numbers(10)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.gone");
    scene.on_node("replica1", "ALTER TABLE {db}.gone DETACH PARTITION tuple() SETTINGS alter_sync = 2");
    let path = format!("/clickhouse/tables/01/{}", scene.database);
    for node in ["ghost/log", "ghost/replicas", "kept/replicas/r9", "left/over"] {
        keeper::create(&scene.lab, &format!("{path}/{node}"), "");
    }
    let steps = "  - id: anew
    recreate_database: { on: destination, every: replica, database: '{{ database }}' }
  - id: clear
    clear_keeper: { on: destination, paths: ['/clickhouse/tables/{shard}/{{ database }}'] }
  - id: again
    sql:
      on: destination
      every: replica
      statements: ['CREATE TABLE {{ database }}.kept (x UInt64) ENGINE = ReplicatedMergeTree(''/clickhouse/tables/01/{db}/kept'', ''{replica}'') ORDER BY x']
  - id: keep
    backup: { from: destination, databases: ['{{ database }}'], to: backups, path: once }
";
    let runbook = scene.steps(steps);
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(&runbook, &text.replace("\nsteps:\n", "\nstorage:\n  backups: { kind: s3 }\nsteps:\n"));
    let database = format!("database={}", scene.database);
    scene.mark();
    let _filters = scene.filters();
    insta::assert_snapshot!(unwrapped(&scene.cli(&["diff", &runbook, "-p", &database])), @"
    exit 2
    --- stdout
    steps on DB: what is there, and what it would leave

    destination: DB-r1, DB-r2
      - 1 table would be dropped in DB on DB-r1, DB-r2, with 0 rows on each: gone
      - 1 detached part would be lost on DB-r1: DB.gone (1)
      - 1 detached part would be lost on DB-r2: DB.gone (1)
      - 1 table that no server has would be removed from Keeper: /clickhouse/tables/01/DB/ghost
      - 1 replica that no server has would be removed from Keeper: /clickhouse/tables/01/DB/kept/replicas/r9
      - 1 other node with what is below would be removed from Keeper: /clickhouse/tables/01/DB/left
      = 2 objects would be dropped and made anew, alike: DB, DB.kept

    source: DB-sa
      as the runbook leaves it

    storage backups
      a run makes a backup of 1 table on DB-r1, database DB: once

    7 differences on 2 of 3 hosts and in Keeper, N objects as the runbook leaves them.
    ");
    let json = scene.cli(&["diff", &runbook, "-p", &database, "--format", "json"]);
    report_of(&json);
    scene.nothing_changed();
}

#[test]
fn a_snapshot_is_compared_without_a_connection() {
    let scene = Scene::new("diffsnap").with_orders();
    let runbook = scene.runbook(MOVE, |text| text);
    let database = format!("database={}", scene.database);
    let parameters = ["-p", &database, "-p", "migration=2"];
    let taken = scene.cli(&[&["inspect", "--for", &runbook, "-o", "s.json"], &parameters[..]].concat());
    assert_eq!(taken.code, Some(0), "{taken}");
    let live = scene.cli(&[&["diff", &runbook], &parameters[..]].concat());
    scene.environment(|text| text.replace("/secrets/", "/gone/"));
    let offline = scene.cli(&[&["diff", &runbook, "--against", "s.json"], &parameters[..]].concat());
    assert_eq!((offline.code, &offline.stdout), (live.code, &live.stdout), "{offline}");
    assert_eq!(live.code, Some(2), "{live}");
}

#[test]
fn what_cannot_be_worked_out_is_said() {
    let scene = Scene::new("diffuntold").with_orders();
    let runbook = scene.steps(
        "  - id: more\n    sql:\n      on: source\n      statements: [\"ALTER TABLE {db}.orders ADD COLUMN more UInt8\"]\n\
         \x20 - id: fill\n    sql: { on: source, statements: [\"INSERT INTO {db}.orders (id) VALUES (1)\"] }\n",
    );
    let database = format!("database={}", scene.database);
    let output = scene.cli(&["diff", &runbook, "-p", &database]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("what ALTER TABLE changes is not worked out"), "{output}");
    assert!(
        output.stdout.contains(&format!("how many rows come into {}.orders is not known", scene.database)),
        "{output}"
    );
}
