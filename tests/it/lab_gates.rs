//! What comes between the look of `apply` and the turn of a step that destroys: the gate right before it refuses, and
//! what nobody was told of stays.

use crate::support::Output;
use crate::support::drift::{self, NOTES};
use crate::support::engine::has_intent;
use crate::support::keeper;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

/// Waits for a database that the test makes.
const WAIT: &str = "  - id: wait
    wait_for: { on: source, query: \"SELECT count() FROM system.databases WHERE name = '{db}_go'\", equals: 1, interval: 100ms }
";

/// Applies these steps behind a wait, and lets something happen meanwhile.
fn meanwhile(scene: &Scene, guards: &str, steps: &str, happens: impl FnOnce()) -> Output {
    let runbook = scene.steps(&format!("{WAIT}{steps}"));
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(&runbook, &text.replace("steps:\n", &format!("guards: {guards}\nsteps:\n")));
    let digest = scene.plan(&runbook, &[]);
    let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    if !engine.reaches(|records| has_intent(records, "wait/")) {
        return engine.end(scene);
    }
    happens();
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    let output = engine.end(scene);
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    output
}

/// A database with a table of each kind on both replicas.
fn filled(scene: &Scene) {
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.notes {}", NOTES.replace("REPLICA", node)));
        scene.on_node(node, "CREATE TABLE {db}.own (id UInt64) ENGINE = MergeTree ORDER BY id");
        scene.on_node(node, "CREATE TABLE {db}.jottings (id UInt64) ENGINE = TinyLog");
        scene.on_node(node, "INSERT INTO {db}.own SELECT number FROM numbers(10)");
        scene.on_node(node, "INSERT INTO {db}.jottings SELECT number FROM numbers(10)");
    }
    drift::insert(scene, 10);
    scene.mark();
}

fn told(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.code, Some(code), "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing:\n{output}");
    }
}

const LOSS: &str = "{ loss: { tables: 20, rows: 1000 } }";

#[test]
fn rows_that_came_since_are_not_emptied_and_a_table_put_in_the_place_is_not_dropped() {
    let scene = Scene::new("sqlGate");
    filled(&scene);
    let rows = |table: &str| scene.on_node("replica2", &format!("SELECT count() FROM {{db}}.{table}"));
    // A TRUNCATE on one replica empties the other, so the other is looked at, too.
    let truncate =
        "  - id: empty\n    sql: { on: destination, every: any, statements: ['TRUNCATE TABLE {db}.notes'] }\n";
    let output = meanwhile(&scene, LOSS, truncate, || drift::insert(&scene, 3));
    let what = "what would be destroyed is not what the plan says";
    let more = format!("`{0}.notes` on {0}-r2 has 13 rows instead of 10", scene.database);
    told(&output, 1, &[what, &more, "SELECT name, uuid, total_rows FROM system.tables", "nothing was sent"]);
    assert_eq!(rows("notes"), "13");

    let drop =
        "  - id: drop\n    sql: { on: destination, statements: ['DROP TABLE {db}.jottings', 'DROP TABLE {db}.own'] }\n";
    let output = meanwhile(&scene, LOSS, drop, || {
        scene.on_node("replica2", "CREATE OR REPLACE TABLE {db}.own (id UInt64) ENGINE = MergeTree ORDER BY id");
    });
    told(&output, 1, &[what, &format!("`{0}.own` on {0}-r2 has UUID ", scene.database)]);
    assert_eq!(rows("own"), "0");

    // A table of an engine that does not tell its rows; and one that is new in a database that goes.
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE TABLE {db}.jottings (id UInt64) ENGINE = TinyLog");
    }
    let whole = "  - id: drop\n    sql: { on: destination, statements: ['DROP DATABASE {db}'] }\n";
    let output = meanwhile(&scene, LOSS, whole, || {
        scene.on_node("replica1", "INSERT INTO {db}.jottings VALUES (1)");
        scene.on_node("replica2", "CREATE TABLE {db}.more (id UInt64) ENGINE = Log");
    });
    told(&output, 1, &[what]);
    let both = [
        format!("`{0}.jottings` on {0}-r1 has 1 row instead of 0", scene.database),
        format!("`{0}.more` on {0}-r2 is new", scene.database),
    ];
    assert!(both.iter().any(|words| output.stderr.contains(words)), "{output}");
    assert_eq!(
        scene.on_node("replica2", "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'more'"),
        "1"
    );
}

#[test]
fn what_the_plan_itself_puts_into_a_table_is_no_reason_to_refuse() {
    let scene = Scene::new("ownSteps");
    filled(&scene);
    let steps = "  - id: swap
    sql:
      on: destination
      statements:
        - CREATE TABLE {db}.fresh (id UInt64) ENGINE = MergeTree ORDER BY id
        - INSERT INTO {db}.fresh SELECT id FROM {db}.own
        - INSERT INTO {db}.jottings VALUES (1)
        - EXCHANGE TABLES {db}.own AND {db}.fresh
        - DROP TABLE {db}.fresh
        - DROP TABLE {db}.jottings
";
    let output = meanwhile(&scene, LOSS, steps, || {});
    told(&output, 0, &["is done."]);
    assert_eq!(scene.on_node("replica1", "SELECT count() FROM {db}.own"), "10");
    // The copy and the drop of what was copied: a row that came in between is kept.
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE TABLE {db}.fresh (id UInt64) ENGINE = MergeTree ORDER BY id");
    }
    // A view of another database, over a table of the same name, writes into another one.
    for statement in [
        "CREATE DATABASE {db}_beside",
        "CREATE TABLE {db}_beside.own (id UInt64) ENGINE = MergeTree ORDER BY id",
        "CREATE TABLE {db}_beside.fresh (id UInt64) ENGINE = MergeTree ORDER BY id",
        "CREATE MATERIALIZED VIEW {db}_beside.mv TO {db}_beside.own AS SELECT id FROM {db}_beside.fresh",
    ] {
        scene.on_node("replica1", statement);
    }
    let steps = "  - id: copy
    sql: { on: destination, statements: ['INSERT INTO {db}.fresh SELECT id FROM {db}.own', 'DROP TABLE {db}.own'] }
";
    let output = meanwhile(&scene, LOSS, steps, || drop(scene.on_node("replica1", "INSERT INTO {db}.own VALUES (77)")));
    told(&output, 1, &[&format!("`{0}.own` on {0}-r1 has 11 rows instead of 10", scene.database)]);
    assert_eq!(scene.on_node("replica1", "SELECT count() FROM {db}.own"), "11");
    scene.on_node("replica1", "DROP DATABASE {db}_beside SYNC");
}

#[test]
fn nodes_that_the_plan_does_not_know_stay_in_keeper() {
    let scene = Scene::new("keeperGate");
    filled(&scene);
    keeper::create(&scene.lab, &drift::path(&scene, "left/deep"), "value");
    let steps = "  - id: drop
    recreate_database: { on: destination, database: '{db}' }
  - id: clear
    clear_keeper: { on: destination, paths: ['/clickhouse/tables/{shard}/{db}'] }
";
    for stranger in ["other", "left/deep/more", "notes/replicas/third"] {
        let output = meanwhile(&scene, LOSS, steps, || {
            // A replica of a server that is down leaves nodes without a session.
            keeper::create(&scene.lab, &drift::path(&scene, stranger), "");
        });
        let path = drift::path(&scene, stranger);
        told(
            &output,
            1,
            &["that the plan does not know", &path, "FROM system.zookeeper WHERE path = ", "then plan again"],
        );
        assert!(keeper::exists(&scene.lab, &path), "{path}");
        assert!(keeper::exists(&scene.lab, &drift::path(&scene, "left/deep")), "nothing of it was removed");
        keeper::delete(&scene.lab, &path);
        for node in &NODES[1..] {
            scene.on_node(node, "DROP DATABASE IF EXISTS {db} SYNC");
        }
        filled(&scene);
    }
    let output = meanwhile(&scene, LOSS, steps, || drift::insert(&scene, 0));
    told(&output, 0, &["is done."]);
    assert!(!keeper::exists(&scene.lab, drift::path(&scene, "").trim_end_matches('/')));
}

#[test]
fn rows_that_the_server_does_not_tell_are_counted_and_what_no_total_counts_is_told() {
    let scene = Scene::new("untold");
    filled(&scene);
    for statement in [
        "CREATE TABLE {db}.pairs (id UInt64, v UInt8) ENGINE = EmbeddedRocksDB PRIMARY KEY id",
        "INSERT INTO {db}.pairs SELECT number, 1 FROM numbers(5)",
        "CREATE TABLE {db}.file (id UInt64) ENGINE = File(CSV)",
        "INSERT INTO {db}.file SELECT number FROM numbers(5)",
        "CREATE TABLE {db}.buffer AS {db}.own ENGINE = Buffer({db}, own, 1, 1000, 2000, 100000, 200000, 1000000, 2000000)",
        "INSERT INTO {db}.buffer VALUES (1), (2)",
        "ALTER TABLE {db}.own DETACH PARTITION tuple()",
        "INSERT INTO {db}.own SELECT number FROM numbers(4)",
    ] {
        scene.on_node("replica1", statement);
    }
    scene.mark();
    let steps = "  - id: drop\n    recreate_database: { on: destination, database: '{db}' }\n";
    let runbook = scene.steps(steps);
    let planned = |format: &str| {
        let output = scene.cli(&["plan", &runbook, "-p", &format!("database={}", scene.database), "--format", format]);
        assert!(output.stderr.contains("more rows than the runbook allows"), "{output}");
        output.stdout
    };
    let plan: serde_json::Value = serde_json::from_str(&planned("json")).unwrap();
    let loss = &plan["operations"][0]["loss"];
    // notes 10, own 4, jottings 10, pairs 5; the file is a table, too.
    assert_eq!((loss["tables"].as_u64(), loss["rows"].as_u64()), (Some(5), Some(29)), "{loss}");
    let notes = plan["notes"].to_string();
    let (name, host) = (&scene.database, format!("{}-r1", scene.database));
    for note in [
        format!("{host}: the rows of {name}.file (File) cannot be told"),
        format!("{host}: with {name}.own go 1 detached part, which no total counts"),
        format!("{host}: with {name}.buffer go 2 rows that it has not written to its table yet"),
    ] {
        assert!(notes.contains(&note), "`{note}` is missing:\n{notes}");
    }
    let text = planned("text").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("jottings (10 rows)") && text.contains("pairs (5 rows)"), "{text}");
    assert!(text.contains("file (rows not told)"), "{text}");
    let sql = scene.steps("  - id: drop\n    sql: { on: destination, every: any, statements: ['DROP TABLE {db}.own', 'DROP TABLE {db}.file'] }\n");
    let output = scene.cli(&["plan", &sql, "-p", &format!("database={}", scene.database), "--format", "json"]);
    assert!(
        output.stdout.contains(".own go 1 detached part") && output.stdout.contains(".file (File) cannot be told"),
        "{output}"
    );
}

#[test]
fn other_rows_in_a_table_to_be_dropped_are_seen_and_merges_are_not() {
    let scene = Scene::new("content");
    filled(&scene);
    let steps = "  - id: drop\n    recreate_database: { on: destination, database: '{db}' }\n";
    let runbook = scene.steps(steps);
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(&runbook, &text.replace("steps:\n", &format!("guards: {LOSS}\nsteps:\n")));
    let sync = "SETTINGS mutations_sync = 2";
    let least = scene.on_node("replica1", "SELECT min(id) FROM {db}.notes");
    for (table, statement) in [
        ("own", format!("ALTER TABLE {{db}}.own DELETE WHERE id = 3 {sync}")),
        ("notes", format!("ALTER TABLE {{db}}.notes DELETE WHERE id = {least} {sync}")),
    ] {
        let digest = scene.plan(&runbook, &[]);
        scene.on_node("replica1", &statement);
        // As many rows as before.
        scene.on_node("replica1", &format!("INSERT INTO {{db}}.{table} SELECT number + 500 FROM numbers(1)"));
        scene.on_node("replica1", &format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
        scene.mark();
        let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
        let moved =
            format!("moved since the plan was made: table {0}.{table} that is dropped on {0}-r1", scene.database);
        told(
            &output,
            3,
            &[&moved, "expected  10 rows, content ", "found     10 rows, content ", "max(max_block_number)"],
        );
        scene.nothing_changed();
    }
    scene.on_node("replica1", "INSERT INTO {db}.own SELECT number FROM numbers(5)");
    let digest = scene.plan(&runbook, &[]);
    for table in ["own", "notes"] {
        scene.on_node("replica1", &format!("OPTIMIZE TABLE {{db}}.{table} FINAL"));
    }
    told(&scene.cli(&["apply", "plan.json", "--consent", &digest]), 0, &["is done."]);
}

#[test]
fn a_keeper_that_is_not_the_servers_own_is_refused() {
    let scene = Scene::new("foreign");
    filled(&scene);
    let runbook = scene.steps(
        "  - id: clear\n    clear_keeper: { on: destination, paths: ['/clickhouse/tables/{shard}/{db}_none'] }\n",
    );
    let database = format!("database={}", scene.database);
    let plan = || scene.cli(&["plan", &runbook, "-p", &database]);
    assert_eq!(plan().code, Some(0), "{}", plan());
    keeper::create(&scene.lab, &format!("/clickhouse/{}_elsewhere", scene.database), "");
    let root = format!("root: /clickhouse/{}_elsewhere", scene.database);
    scene.environment(|text| text.replace("keeper: { ", &format!("keeper: {{ {root}, ")));
    let output = plan();
    told(&output, 1, &["the Keeper of `destination` is not the one that", "/replicas/replica1", "correct `keeper`"]);
    told(&output, 1, &[&root.replace(": ", " "), "replica_path, zookeeper_name FROM system.replicas"]);
    scene.nothing_changed();
    scene.environment(|text| text);
    keeper::delete(&scene.lab, &format!("/clickhouse/{}_elsewhere", scene.database));
}
