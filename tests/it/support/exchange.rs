//! Two tables that are to get each other's names, and how they stand.

use std::fmt::Display;

use super::Output;
use super::lab::NODES;
use super::scene::Scene;

pub const REPLICAS: [&str; 2] = [NODES[1], NODES[2]];

/// A table in use with three rows, and one with another order and five rows that is to take its place.
pub fn two_tables(name: &str) -> Scene {
    let scene = Scene::new(name);
    for node in REPLICAS {
        scene.on_node(node, "CREATE DATABASE {db}");
        for (table, order) in [("runs", "id"), ("runs_new", "(day, id)")] {
            let engine = format!("ReplicatedMergeTree('/clickhouse/tables/01/{{db}}/{table}', '{node}')");
            scene.on_node(
                node,
                &format!("CREATE TABLE {{db}}.{table} (id UInt64, day Date) ENGINE = {engine} ORDER BY {order}"),
            );
        }
    }
    for (table, rows) in [("runs", 3), ("runs_new", 5)] {
        let numbers = format!("SELECT number, toDate('2026-01-01') + number FROM numbers({rows})");
        scene.on_node("replica1", &format!("INSERT INTO {{db}}.{table} {numbers}"));
        scene.on_node("replica2", &format!("SYSTEM SYNC REPLICA {{db}}.{table}"));
    }
    scene.mark();
    scene
}

pub const SWAP: &str = "  - id: swap
    exchange_tables: { on: destination, database: '{{ database }}', pairs: [{ table: runs, with: runs_new }] }
";

/// Waits for a database that the test makes.
pub const WAIT: &str = "  - id: wait
    wait_for: { on: source, query: \"SELECT count() FROM system.databases WHERE name = '{db}_go'\", equals: 1, interval: 100ms }
";

/// The whole change: the new table is made, filled and exchanged, and the old one dropped.
pub fn rebuild(columns: &str) -> String {
    let engine = "ReplicatedMergeTree(''/clickhouse/tables/01/{db}/built'', ''{replica}'')";
    format!(
        "  - id: make
    sql: {{ on: destination, statements: ['CREATE TABLE {{db}}.built ({columns}) ENGINE = {engine} ORDER BY (day, id)'] }}
  - id: fill
    sql:
      on: destination
      every: any
      statements: ['INSERT INTO {{db}}.built SELECT id, day FROM {{db}}.runs']
      probe: {{ query: 'SELECT count() FROM {{db}}.built', done_when: 3 }}
  - id: synced
    wait_for: {{ on: destination, query: 'SELECT count() FROM {{db}}.built', equals: 3, interval: 100ms }}
  - id: swap
    exchange_tables: {{ on: destination, pairs: [{{ table: '{{db}}.runs', with: '{{db}}.built' }}] }}
  - id: drop-old
    sql: {{ on: destination, statements: ['DROP TABLE {{db}}.built SYNC'] }}
"
    )
}

/// UUIDs behind both names, and their rows, on both replicas.
pub fn names(scene: &Scene) -> Vec<[String; 4]> {
    let of = |node: &&str| {
        let uuid = |table: &str| {
            scene.on_node(
                node,
                &format!("SELECT uuid FROM system.tables WHERE database = '{{db}}' AND name = '{table}'"),
            )
        };
        let rows = |table: &str| scene.on_node(node, &format!("SELECT count() FROM {{db}}.{table}"));
        [uuid("runs"), uuid("runs_new"), rows("runs"), rows("runs_new")]
    };
    REPLICAS.iter().map(of).collect()
}

pub fn swapped(before: &[[String; 4]]) -> Vec<[String; 4]> {
    before.iter().cloned().map(|[a, b, c, d]| [b, a, d, c]).collect()
}

/// How often each replica was sent the statement since the mark.
pub fn sent(scene: &Scene) -> [usize; 2] {
    let changes = scene.changes();
    REPLICAS.map(|node| {
        changes.iter().filter(|(on, record)| *on == node && record.statement.starts_with("EXCHANGE TABLES")).count()
    })
}

pub fn undo(scene: &Scene) -> Output {
    let run = scene.runs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let shown = scene.cli(&["undo", &run, "--dry-run", "--format", "json"]);
    if shown.code != Some(2) {
        return shown;
    }
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    scene.cli(&["undo", &run, "--consent", &plan["digest"].as_str().unwrap()[..12]])
}

/// The output of a command, or what is left of it, ended so and says this.
pub fn told(output: &impl Display, code: i32, words: &[&str]) {
    let text = output.to_string();
    assert!(text.starts_with(&format!("exit {code}\n")), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is missing:\n{text}");
    }
}

pub fn end(scene: &Scene) {
    for node in REPLICAS {
        scene.on_node(node, "DROP DATABASE {db} SYNC");
    }
}
