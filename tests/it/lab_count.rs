//! How many statements planning sends to a server: few, and as many for a thousand tables as for one.

use std::collections::BTreeMap;

use clickferry::engine::journal::Entry;

use crate::support::engine::journal;
use crate::support::lab::NODES;
use crate::support::root;
use crate::support::scene::Scene;

/// So many statements one server may be sent to make a plan.
const MOST: usize = 20;

/// The statements that a plan sends to each node.
fn sent(scene: &Scene, runbook: &str, parameters: &[&str]) -> BTreeMap<&'static str, Vec<String>> {
    scene.mark();
    let database = format!("database={}", scene.database);
    let planned = scene.cli(&[&["plan", runbook, "-p", &database], parameters].concat());
    // What is lost may be more than the bundled runbook allows; the plan is made all the same.
    assert!(matches!(planned.code, Some(0 | 2 | 3)) && planned.stdout.contains("Plan"), "{planned}");
    let mut by_node: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (node, record) in scene.starts() {
        by_node.entry(node).or_default().push(record.statement);
    }
    scene.nothing_changed();
    for (node, statements) in &by_node {
        assert!(statements.len() <= MOST, "{runbook}: {node} was sent {}: {statements:#?}", statements.len());
    }
    by_node
}

/// Twenty more tables on every node that has the database.
fn more_tables(scene: &Scene, part: &str) {
    for node in NODES {
        let engine = if node == "standalone" {
            "MergeTree".to_owned()
        } else {
            format!("ReplicatedMergeTree('/clickhouse/tables/{{shard}}/{{db}}/{part}NUMBER', '{{replica}}')")
        };
        scene.on_node(node, "CREATE DATABASE IF NOT EXISTS {db}");
        for number in 0..20 {
            let engine = engine.replace("NUMBER", &number.to_string());
            scene.on_node(node, &format!("CREATE TABLE {{db}}.{part}{number} (x UInt64) ENGINE = {engine} ORDER BY x"));
        }
    }
}

fn backup_path(scene: &Scene) -> String {
    let runbook = scene.runbook("backup", |text| text);
    let done = scene.apply(&runbook, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let path = journal(&scene.runs()[0]).records.into_iter().find_map(|record| match record.entry {
        Entry::Outcome { data, .. } => data["path"].as_str().map(str::to_owned),
        _ => None,
    });
    // The environment's prefix is put before every path.
    path.unwrap().trim_start_matches(&format!("{}/", scene.database)).to_owned()
}

/// A laboratory of its own: the logs of a shared one tell of other tests, too.
#[test]
fn planning_a_bundled_runbook_sends_few_statements_however_many_tables_there_are() {
    let scene = Scene::alone("count").with_orders();
    let path = format!("path={}", backup_path(&scene));
    more_tables(&scene, "few");
    let runbooks: Vec<(String, Vec<&str>)> = std::fs::read_dir(root().join("runbooks"))
        .unwrap()
        .map(|entry| {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let name = file.trim_end_matches(".yaml").to_owned();
            let parameters = match name.as_str() {
                "standalone-to-replicated" | "mark-migration-clean" => vec!["-p", "migration=2"],
                "restore-same-engine" => vec!["-p", path.as_str()],
                _ => vec![],
            };
            (scene.runbook(&name, |text| text), parameters)
        })
        .collect();
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE TABLE {db}.schema_migrations (version Int64, dirty UInt8, sequence UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{db}/m', '{replica}') ORDER BY sequence");
    }
    let count = || -> Vec<BTreeMap<&str, usize>> {
        let of = |(runbook, parameters): &(String, Vec<&str>)| {
            sent(&scene, runbook, parameters).into_iter().map(|(node, all)| (node, all.len())).collect()
        };
        runbooks.iter().map(of).collect()
    };
    let before = count();
    assert_eq!(before.len(), 5);
    more_tables(&scene, "many");
    assert_eq!(count(), before);
}

#[test]
fn statements_of_the_author_are_parsed_together() {
    let scene = Scene::alone("together").with_orders();
    let step = |number: usize, statement: &str| {
        format!("  - id: s{number}\n    sql: {{ on: source, statements: [\"{statement}\"] }}\n")
    };
    let mut steps: String =
        (0..30).map(|number| step(number, &format!("SELECT {number} FROM {{db}}.orders"))).collect();
    steps += "  - id: put
    sql: { on: source, statements: [\"INSERT INTO {db}.customers VALUES (1, 'a', 2), (2, 'it\\\\'s', 3)\"] }
  - id: take
    sql: { on: source, statements: [\"ALTER TABLE {db}.orders DELETE WHERE id = 1 SETTINGS mutations_sync = 2\"] }
  - id: check
    assert: { on: source, query: 'SELECT count() FROM {db}.orders', equals: 1 }
";
    let runbook = scene.steps(&steps);
    let all = sent(&scene, &runbook, &[]);
    // They were not passed over, and none of them looked wrong to the server.
    let asked: Vec<&String> = all["standalone"].iter().filter(|text| text.contains("formatQueryOrNull")).collect();
    assert_eq!(asked.len(), 1, "{all:#?}");
    assert!(asked[0].contains("SELECT 29 FROM") && asked[0].contains("ALTER TABLE"), "{asked:#?}");
    assert!(!all["standalone"].iter().any(|text| text.starts_with("EXPLAIN AST")), "{all:#?}");

    // Each mistake is told with its place, and what is right is not.
    let wrong = scene.steps(&format!("{steps}{}{}", step(40, "SELECT 1 ORDER x"), step(41, "SELECT 1 +")));
    let database = format!("database={}", scene.database);
    let refused = scene.cli(&["plan", &wrong, "-p", &database]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert_eq!(refused.stderr.matches("cannot parse a statement").count(), 2, "{refused}");
    assert!(refused.stderr.contains("cannot parse a statement: SELECT 1 ORDER x"), "{refused}");
    assert!(refused.stderr.contains("failed at position"), "{refused}");
}
