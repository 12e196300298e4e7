//! Planning of `verify` against worlds made by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Verify;
use crate::action::planning::{host, plan_after, table, world};
use crate::model::ids::StepId;
use crate::model::observed::{Database, HostWorld, TargetWorld, World};
use crate::model::runbook::Topology;
use crate::plan::operation::{Effect, Operation};

fn replica(name: &str, shard: &str) -> HostWorld {
    let mut host = HostWorld { shard: shard.to_owned(), ..host(name) };
    host.databases.insert("d".to_owned(), Database::default());
    host.tables.add([
        table("d", "a", "ReplicatedMergeTree", Some(5)),
        table("d", "b", "Log", Some(1)),
        table("d", "v", "View", None),
    ]);
    host
}

fn target(shards: &[(&str, &str)]) -> World {
    let mut world = world("to", shards.iter().map(|(name, shard)| replica(name, shard)).collect());
    let source = HostWorld { name: "s".into(), shard: "-".to_owned(), ..HostWorld::default() };
    world.targets.insert(
        "from".to_owned(),
        TargetWorld { topology: Topology::Standalone, cluster: None, keeper: false, hosts: vec![source] },
    );
    world
}

fn plan(arguments: &Value, world: World) -> Result<Vec<Operation>, Vec<String>> {
    let promise = json!({ "shards": { "-": { "tables": [{ "database": "d", "table": "a" }] } } });
    let promises = BTreeMap::from([(StepId::from("back-up"), promise)]);
    plan_after(&Verify, arguments, &json!(null), world, promises)
        .operations
        .map_err(|refusals| refusals.into_iter().map(|refusal| refusal.what).collect())
}

#[test]
fn one_reading_operation_per_host() {
    let operations =
        plan(&json!({ "on": "to", "against": "back-up" }), target(&[("r1", "01"), ("r2", "01")])).expect("possible");
    assert_eq!(operations.len(), 2);
    for operation in &operations {
        assert_eq!((operation.effect, operation.wave), (Effect::Read, 0));
        assert_eq!(operation.after, "rows equal backup step `back-up`");
        assert_eq!(operation.object, "database d");
    }
    assert_eq!(operations[0].estimate_rows, Some(6));
}

/// What is always asked: where, and the beginning of the text without the columns.
fn asked(operation: &Operation) -> Vec<String> {
    let always = operation.statements.iter().filter(|statement| statement.only_if.is_none());
    always
        .map(|statement| {
            let place = statement.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
            let again = if statement.again.is_some() { " (again)" } else { "" };
            let text = &statement.text;
            let table = text.find(" FROM system.").map(|at| text[at + 6..].split(' ').next().unwrap_or_default());
            format!("{place}{}{again}", table.unwrap_or(text))
        })
        .collect()
}

const EXACT: &str = "SETTINGS optimize_trivial_count_query = 0, optimize_use_implicit_projections = 0";

#[test]
fn every_table_stands_in_the_statements_and_the_first_replica_is_asked_for_the_others() {
    let operations =
        plan(&json!({ "on": "to", "against": "back-up" }), target(&[("r1", "01"), ("r2", "01")])).expect("possible");
    let counts = format!(
        "SELECT 0 AS number, count() AS counted FROM `d`.`a` UNION ALL SELECT 1 AS number, count() AS counted FROM `d`.`b` \
         UNION ALL SELECT 2 AS number, count() AS counted FROM (SELECT * FROM `d`.`v` LIMIT 0) {EXACT}"
    );
    let settings = format!("SELECT 1 {EXACT}");
    let state = [
        "system.tables",
        "system.replicas (again)",
        "system.replication_queue (again)",
        "system.parts",
        &settings,
        &counts,
    ];
    let health = ["system.detached_parts", "system.mutations"];
    assert_eq!(asked(&operations[0]), [&state[..], &health].concat());
    let first = ["r1: system.tables", "r1: system.replicas"];
    assert_eq!(asked(&operations[1]), [&state[..], &first, &health].concat());
}

#[test]
fn without_a_backup_the_replicas_are_counted_and_hashed_beside_each_other() {
    let arguments = json!({ "on": "to", "databases": ["d"], "content": "replicas", "parts": "ignore", "schema": "ignore",
        "replication": "ignore", "except_tables": ["d.b"] });
    let operations = plan(&arguments, target(&[("r1", "01"), ("r2", "01")])).expect("possible");
    let (settings, a) = (format!("SELECT 1 {EXACT}"), "SELECT 0 AS number, count() AS counted FROM `d`.`a`");
    let here =
        format!("{a} UNION ALL SELECT 1 AS number, count() AS counted FROM (SELECT * FROM `d`.`v` LIMIT 0) {EXACT}");
    let hash = format!("{} {EXACT}", super::count::content_query(&("d".to_owned(), "a".to_owned()), false));
    let r1 = |text: &str| format!("r1: {text}");
    assert_eq!(
        asked(&operations[1]),
        [
            "system.tables",
            "system.parts",
            &settings,
            &here,
            &r1(&settings),
            &r1(&format!("{a} {EXACT}")),
            &hash,
            &r1(&hash)
        ]
    );
}

#[test]
fn what_planning_cannot_know_is_told_in_its_form() {
    let bucket = json!({ "on": "to", "against": { "storage": "s", "path": "a/${run.id}" } });
    let operations = plan(&bucket, target(&[("r1", "01")])).expect("possible");
    assert_eq!(operations[0].object, "the tables of the backup");
    let first = &operations[0].statements[0];
    assert!(first.text.ends_with("WHERE database IN ('${database}') ORDER BY database, name"), "{}", first.text);
    assert_eq!(first.late, ["database"]);
    let cases: Vec<&str> =
        operations[0].statements.iter().filter_map(|statement| statement.only_if.as_deref()).collect();
    assert!(cases.contains(&"there are tables that were not there at planning"), "{cases:?}");
    for statement in operations[0].statements.iter().filter(|statement| statement.text.contains("${table}")) {
        assert!(statement.late == ["table"] && statement.only_if.is_some(), "{statement:?}");
    }
}

#[test]
fn tables_that_are_there_now_are_a_fact() {
    let arguments = json!({ "on": "to", "databases": ["d"] });
    let fact = |world: World| {
        let planned = plan_after(&Verify, &arguments, &json!(null), world, BTreeMap::new());
        planned
            .facts
            .into_iter()
            .map(|fact| format!("{} on {}: {}", fact.subject, fact.host, fact.value))
            .collect::<Vec<_>>()
    };
    let before = fact(target(&[("r1", "01")]));
    assert!(before[0].starts_with("tables that are verified in d on r1: 3 tables ("), "{before:?}");
    let mut more = target(&[("r1", "01")]);
    more.targets.get_mut("to").expect("there").hosts[0].tables.add([table("d", "new", "Log", Some(1))]);
    assert_ne!(fact(more), before);
}

#[test]
fn a_live_source_has_as_many_shards() {
    let arguments = json!({ "on": "to", "against": { "target": "from" }, "databases": ["d"] });
    let operations = plan(&arguments, target(&[("r1", "01")])).expect("possible");
    assert_eq!(operations[0].data.value()["against"], json!({ "live": { "host": "s" } }));
    let problems = plan(&arguments, target(&[("r1", "01"), ("r2", "02")])).expect_err("two shards");
    assert!(problems[0].contains("other shards"), "{problems:?}");
}

#[test]
fn one_backup_is_not_for_several_shards_and_databases_must_be_there() {
    let bucket = json!({ "on": "to", "against": { "storage": "s", "path": "a/b/" } });
    assert!(plan(&bucket, target(&[("r1", "01"), ("r2", "02")])).is_err());
    assert_eq!(
        plan(&bucket, target(&[("r1", "01")])).expect("possible")[0].data.value()["against"],
        json!({ "backup": { "storage": "s", "path": "a/b" } })
    );
    let problems =
        plan(&json!({ "on": "to", "databases": ["d", "e"] }), target(&[("r1", "01")])).expect_err("no database e");
    assert_eq!(problems.len(), 1);
}
