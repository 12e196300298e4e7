//! Definitions that a move meets in life: with secrets, with `arrayJoin` under a name, with what stays behind.

use serde_json::Value;

use crate::support::Output;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

const STEPS: &str = "  - id: create
    recreate_database: { on: destination, database: '{db}' }
  - id: tables
    create_replicated: { from: source, on: destination, database: '{db}', except_tables: [EXCEPT] }
";

/// A runbook with these steps, for every role of the laboratory.
fn runbook(scene: &Scene, steps: &str) -> &'static str {
    let head = "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: { name: definitions }\n\
         parameters:\n  database: { type: identifier }\ntargets:\n  source: { topology: standalone }\n  \
         destination: { topology: replicated }\nstorage:\n  backups: { kind: s3 }\nsteps:\n";
    scene.test.write("definitions.yaml", &format!("{head}{}", steps.replace("{db}", &scene.database)));
    "definitions.yaml"
}

fn planned(scene: &Scene, except: &str, options: &[&str]) -> Output {
    let runbook = runbook(scene, &STEPS.replace("EXCEPT", except));
    let database = format!("database={}", scene.database);
    scene.cli(&[&["plan", runbook, "-p", &database], options].concat())
}

#[test]
fn a_secret_in_a_definition_is_neither_saved_nor_shown() {
    let scene = Scene::new("secretddl").with_orders();
    // 26.7 hides neither of these two.
    scene.on_node(
        "standalone",
        "CREATE DICTIONARY {db}.prices (id UInt64, price String) PRIMARY KEY id SOURCE(HTTP(URL 'http://u:s3cret@127.0.0.1:1/x' FORMAT 'CSV' HEADERS(HEADER(NAME 'Authorization' VALUE 's3cret')))) LIFETIME(0) LAYOUT(FLAT())",
    );
    let shown = scene.on_node(
        "standalone",
        "SELECT create_table_query FROM system.tables WHERE database = '{db}' AND name = 'prices'",
    );
    assert_eq!(shown.matches("s3cret").count(), 2, "{shown}");
    scene.mark();
    let saved = scene.cli(&["inspect", "-o", "snapshot.json"]);
    assert_eq!(saved.code, Some(0), "{saved}");
    let snapshot = std::fs::read_to_string(scene.test.path().join("snapshot.json")).unwrap();
    let json = scene.cli(&["inspect", "--format", "json"]);
    let refused = planned(&scene, "", &[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("with a password or key, shown or hidden"), "{refused}");
    let without = planned(&scene, "prices", &["-o", "plan.json"]);
    assert_eq!(without.code, Some(2), "{without}");
    let plan = std::fs::read_to_string(scene.test.path().join("plan.json")).unwrap();
    for (name, text) in [
        ("snapshot", &snapshot),
        ("json", &json.stdout),
        ("refusal", &refused.stderr),
        ("view", &without.stdout),
        ("plan", &plan),
    ] {
        assert!(!text.contains("s3cret"), "{name}: {text}");
    }
    assert!(snapshot.contains("http://u:[HIDDEN]@127.0.0.1:1/x"));
    assert!(without.stdout.contains("prices"), "{without}");
    scene.nothing_changed();
}

#[test]
fn what_becomes_of_each_object_is_listed_and_array_join_is_told() {
    let scene = Scene::new("listed").with_orders();
    scene.on_node("standalone", "CREATE TABLE {db}.scratch (id UInt64) ENGINE = Memory");
    scene.on_node("standalone", "INSERT INTO {db}.scratch SELECT number FROM numbers(7)");
    scene.on_node(
        "standalone",
        "CREATE TABLE {db}.tags (id UInt64, m Map(String, String)) ENGINE = MergeTree ORDER BY id",
    );
    scene.on_node(
        "standalone",
        "CREATE VIEW {db}.pairs AS SELECT id, arrayJoin(m) AS kv, kv.1 AS k, kv.2 AS v FROM {db}.tags",
    );
    scene.mark();
    let shown = planned(&scene, "scratch", &["--format", "json", "-o", "plan.json"]);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan: Value =
        serde_json::from_str(&std::fs::read_to_string(scene.test.path().join("plan.json")).unwrap()).unwrap();
    let of = |name: &str| {
        plan["conversions"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(plan["conversions"].as_array().unwrap().len(), 7, "{plan:#}");
    let scratch = of("scratch");
    assert_eq!((&scratch["fate"], &scratch["rows_behind"]), (&"left_out".into(), &7.into()), "{scratch}");
    let orders = of("orders");
    assert_eq!(orders["engine_after"], "ReplicatedMergeTree");
    assert_eq!(orders["keeper"].as_array().unwrap().len(), 2, "{orders}");
    assert!(of("pairs")["why"][0].as_str().unwrap().contains("ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v"));
    let summary = scene.cli(&["plan", "plan.json", "--summary"]);
    assert!(summary.stdout.contains("scratch (7 rows stay behind)"), "{summary}");
}

#[test]
fn a_plan_asks_each_server_little_and_inspect_tells_what_a_backup_holds() {
    let scene = Scene::new("asks").with_orders();
    let backup = "  - id: back-up\n    backup: { from: source, databases: ['{db}'], to: backups, path: b/one }\n";
    let backup = runbook(&scene, backup);
    let done = scene.apply(backup, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let shown = scene.cli(&["inspect"]);
    assert!(shown.stdout.contains("one  complete"), "{shown}");
    let holds = format!("of {}: 4 tables, ", scene.database);
    assert!(blankless(&shown.stdout).contains(&blankless(&holds)), "{shown}");
    assert!(shown.stdout.contains("max_table_size_to_drop="), "{shown}");
    assert!(shown.stdout.contains(" partition"), "{shown}");
    // What a dropped table would leave in Keeper is told apart from what is used.
    for (table, node) in [("used", "replica1"), ("gone", "replica2")] {
        scene.try_on_node(node, "CREATE DATABASE IF NOT EXISTS {db}").unwrap();
        scene.on_node(node, &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{{shard}}/{{db}}/{table}', '{{replica}}') ORDER BY x"));
    }
    scene.on_node("replica2", "DETACH TABLE {db}.gone");
    let folder = format!("/clickhouse/tables/01/{}: 1 of tables here; 1 of no table here: gone", scene.database);
    let shown = scene.cli(&["inspect"]);
    assert!(blankless(&shown.stdout).contains(&blankless(&folder)), "{shown}");
    scene.on_node("replica2", "ATTACH TABLE {db}.gone");
    for node in &NODES[1..] {
        scene.on_node(node, "DROP DATABASE {db} SYNC");
    }
    let json: Value = serde_json::from_str(&scene.cli(&["inspect", "--format", "json"]).stdout).unwrap();
    let found = json["buckets"]["backups"]["backups"].as_array().unwrap();
    assert!(found.iter().any(|backup| backup["content"]["tables"] == 4), "{json:#}");
    scene.mark();
    assert_eq!(planned(&scene, "", &[]).code, Some(2));
    let asked = scene.starts();
    for node in NODES {
        let statements: Vec<&str> =
            asked.iter().filter(|(at, _)| *at == node).map(|(_, record)| record.statement.as_str()).collect();
        assert!((1..=20).contains(&statements.len()), "{node}: {statements:#?}");
    }
}

fn blankless(text: &str) -> String {
    text.chars().filter(|character| !character.is_whitespace()).collect()
}
