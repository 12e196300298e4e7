//! What is tortured: every bundled runbook, and a small one with the actions that they lack, each in a small world of
//! its own that gives every operation something to do.

use super::lab::NODES;
use super::scene::Scene;
use super::{keeper, node_log};

/// A runbook and the world it is applied to.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name of the runbook.
    pub name: &'static str,
    /// Makes the world and the runbook's file; returns its name and its parameters besides `database`.
    pub prepare: fn(&Scene) -> (String, Vec<String>),
    /// The command that is disturbed.
    pub command: Disturbed,
}

/// What is disturbed: the run itself, or what is done with a run that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbed {
    Apply,
    Undo,
    Purge,
}

/// Every bundled runbook.
pub const BUNDLED: [Case; 5] = [
    Case { name: "standalone-to-replicated", prepare: a_move, command: Disturbed::Apply },
    Case { name: "restore-same-engine", prepare: restore, command: Disturbed::Apply },
    Case { name: "clean-replicas", prepare: clean, command: Disturbed::Apply },
    Case { name: "mark-migration-clean", prepare: mark, command: Disturbed::Apply },
    Case { name: "backup", prepare: backup, command: Disturbed::Apply },
];

/// Statements and commands, with a probe and without one, and tables that are exchanged.
pub const STEPS: Case = Case { name: "steps", prepare: steps, command: Disturbed::Apply };

/// Runs that are taken back whole, and databases that were set aside and are dropped for good.
pub const BACK: [Case; 5] = [
    Case { name: "undo-move", prepare: a_first_move, command: Disturbed::Undo },
    Case { name: "undo-mark", prepare: mark, command: Disturbed::Undo },
    Case { name: "undo-backup", prepare: backup, command: Disturbed::Undo },
    Case { name: "undo-set-aside", prepare: set_aside, command: Disturbed::Undo },
    Case { name: "purge", prepare: set_aside, command: Disturbed::Purge },
];

/// Where commands leave what they made.
const MADE: &str = "made";

fn bundled(scene: &Scene, name: &str) -> String {
    scene.runbook(name, |text| text.replace("loss: { tables: 0, rows: 0 }", "loss: { tables: 20, rows: 20000 }"))
}

/// The destination holds an older copy with rows, and Keeper what a former table left.
fn a_move(scene: &Scene) -> (String, Vec<String>) {
    orders(scene);
    replicas(scene);
    (bundled(scene, "standalone-to-replicated"), vec!["migration=2".to_owned()])
}

/// The destination is empty, so that everything has a way back.
fn a_first_move(scene: &Scene) -> (String, Vec<String>) {
    orders(scene);
    (bundled(scene, "standalone-to-replicated"), vec!["migration=2".to_owned()])
}

/// A database that is set aside before it is made anew, and what a table left in Keeper.
fn set_aside(scene: &Scene) -> (String, Vec<String>) {
    for statement in [
        "CREATE DATABASE {db}",
        "CREATE TABLE {db}.old (x UInt64) ENGINE = MergeTree ORDER BY x",
        "INSERT INTO {db}.old SELECT number FROM numbers(9)",
        "CREATE VIEW {db}.shown AS SELECT max(x) AS most FROM {db}.old",
    ] {
        scene.on_node("standalone", statement);
    }
    ghost(scene);
    (scene.steps(SET_ASIDE_TEXT), Vec::new())
}

fn clean(scene: &Scene) -> (String, Vec<String>) {
    replicas(scene);
    (bundled(scene, "clean-replicas"), Vec::new())
}

fn backup(scene: &Scene) -> (String, Vec<String>) {
    orders(scene);
    (bundled(scene, "backup"), Vec::new())
}

/// A complete backup, and a database that has lost a table, has another one's rows and a dirty migration since.
fn restore(scene: &Scene) -> (String, Vec<String>) {
    orders(scene);
    let (access_key, secret_key) = scene.lab.s3_keys();
    let to = format!("{}/{}/{{db}}/b1", scene.lab.s3_endpoint(), scene.lab.bucket());
    for statement in [
        format!("BACKUP DATABASE {{db}} TO S3('{to}', '{access_key}', '{secret_key}')"),
        "DROP TABLE {db}.customers SYNC".to_owned(),
        "INSERT INTO {db}.orders SELECT number, '2026-05-01', 0, '' FROM numbers(10)".to_owned(),
        "INSERT INTO {db}.schema_migrations VALUES (3, 1, 13)".to_owned(),
    ] {
        scene.on_node("standalone", &statement);
    }
    (bundled(scene, "restore-same-engine"), vec!["path=b1".to_owned()])
}

/// Each replica has a history of its own.
fn mark(scene: &Scene) -> (String, Vec<String>) {
    for node in &NODES[1..] {
        for statement in [
            "CREATE DATABASE {db}",
            "CREATE TABLE {db}.schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
            "INSERT INTO {db}.schema_migrations VALUES (1, 1, 10), (1, 0, 11), (2, 1, 12)",
        ] {
            scene.on_node(node, statement);
        }
    }
    (bundled(scene, "mark-migration-clean"), vec!["migration=2".to_owned()])
}

fn steps(scene: &Scene) -> (String, Vec<String>) {
    scene.on_node("standalone", "CREATE DATABASE {db}");
    for table in ["asked", "unasked", "emptied", "dropped"] {
        scene.on_node("standalone", &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = MergeTree ORDER BY x"));
    }
    scene.on_node("standalone", "INSERT INTO {db}.emptied SELECT number FROM numbers(7)");
    exchanged(scene);
    std::fs::create_dir_all(scene.test.path().join(MADE)).unwrap();
    let file = scene.steps(STEPS_TEXT);
    let text = std::fs::read_to_string(scene.test.path().join(&file)).unwrap();
    scene.test.write(&file, &text.replace("\nsteps:", "\nguards: { loss: { tables: 2, rows: 10 } }\nsteps:"));
    (file, Vec::new())
}

/// Two replicated tables with rows on both replicas.
fn exchanged(scene: &Scene) {
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        for table in ["used", "next"] {
            let engine = format!("ReplicatedMergeTree('/clickhouse/tables/{{shard}}/{{db}}/{table}', '{{replica}}')");
            scene.on_node(node, &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = {engine} ORDER BY x"));
        }
    }
    for (table, rows) in [("used", 4), ("next", 6)] {
        scene.on_node("replica1", &format!("INSERT INTO {{db}}.{table} SELECT number FROM numbers({rows})"));
        scene.on_node("replica2", &format!("SYSTEM SYNC REPLICA {{db}}.{table}"));
    }
}

const STEPS_TEXT: &str = "  - id: asked
    sql:
      on: source
      statements: ['INSERT INTO {{ database }}.asked SELECT number FROM numbers(3)']
      probe: { query: 'SELECT count() FROM {{ database }}.asked', done_when: 3 }
  - id: unasked
    sql: { on: source, statements: ['INSERT INTO {{ database }}.unasked SELECT number FROM numbers(5)'] }
  - id: definitions
    sql:
      on: source
      statements:
        - CREATE TABLE {{ database }}.created (x UInt64) ENGINE = MergeTree ORDER BY x
        - TRUNCATE TABLE {{ database }}.emptied SYNC
        - DROP TABLE {{ database }}.dropped SYNC
      loss: { tables: 2, rows: 10 }
  - id: exchanged
    exchange_tables: { on: destination, database: '{{ database }}', pairs: [{ table: used, with: next }] }
  - id: command-asked
    run:
      command: [sh, -c, 'echo once >> made/asked.txt']
      probe: { command: [grep, -q, once, made/asked.txt] }
  - id: command-unasked
    run: { command: [sh, -c, 'echo once >> made/unasked.txt'] }
  - id: check
    assert: { on: source, query: 'SELECT count() FROM {{ database }}.asked', equals: 3 }
";

const SET_ASIDE_TEXT: &str = "  - id: clear
    clear_keeper: { on: destination, paths: ['/clickhouse/tables/01/{{ database }}/ghost'] }
  - id: recreate
    recreate_database: { on: source, database: '{{ database }}', keep_old: { for: 1ms } }
";

/// Little on the standalone node: parts, a hidden table, and rows that no part can take.
fn orders(scene: &Scene) {
    for statement in [
        "CREATE DATABASE {db}",
        "CREATE TABLE {db}.orders (id UInt64, day Date, amount Decimal(12, 2), note String) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id",
        "CREATE TABLE {db}.customers (id UInt64, name String, version UInt32) ENGINE = ReplacingMergeTree(version) ORDER BY id",
        "CREATE MATERIALIZED VIEW {db}.daily ENGINE = SummingMergeTree ORDER BY day AS SELECT day, count() AS orders FROM {db}.orders GROUP BY day",
        "CREATE TABLE {db}.schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = TinyLog",
        "INSERT INTO {db}.orders SELECT number, toDate('2026-01-01') + number % 60, number / 7, repeat('x', number % 50) FROM numbers(600)",
        "INSERT INTO {db}.customers SELECT number, concat('c', toString(number)), 1 FROM numbers(50)",
        "INSERT INTO {db}.schema_migrations VALUES (1, 1, 10), (1, 0, 11), (2, 1, 12)",
    ] {
        scene.on_node("standalone", statement);
    }
}

/// A database with rows on both replicas, and metadata in Keeper of a table that nobody has any more.
fn replicas(scene: &Scene) {
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(
            node,
            "CREATE TABLE {db}.orders (id UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{db}/orders', '{replica}') ORDER BY id",
        );
    }
    scene.on_node("replica1", "INSERT INTO {db}.orders VALUES (1), (2)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.orders");
    ghost(scene);
}

/// What a table of a server that was lost left in Keeper.
fn ghost(scene: &Scene) {
    let ghost = format!("/clickhouse/tables/01/{}/ghost", scene.database);
    // In a laboratory of its own nothing has made the nodes above it yet.
    for node in ["log", "replicas"] {
        keeper::create(&scene.lab, &format!("{ghost}/{node}"), "");
    }
}

/// Takes a finished case away, so that a laboratory that serves many stays small.
pub fn remove(scene: &Scene) {
    for node in NODES {
        scene.on_node(node, &format!("{} DROP DATABASE IF EXISTS {{db}} SYNC", node_log::BY_HAND));
    }
}
