//! Plans of restores from a hand-made world.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Restore;
use crate::action::backup::tests::{defined, plan_step, server, target};
use crate::action::planning::{Planned, subjects};
use crate::engine::action::Action;
use crate::model::ids::StepId;
use crate::model::observed::{Table, World};
use crate::plan::operation::Operation;

const RUNS: &str = "CREATE TABLE app.runs (`id` UInt64) ENGINE = MergeTree ORDER BY id";
const RUNS_REPLICATED: &str =
    "CREATE TABLE app.runs (`id` UInt64) ENGINE = ReplicatedMergeTree('/p', '{replica}') ORDER BY id";
const TINY: &str = "CREATE TABLE app.tiny (`version` Int64, `dirty` UInt8) ENGINE = TinyLog";
const TINY_REPLICATED: &str =
    "CREATE TABLE app.tiny (`version` Int64, `dirty` UInt8) ENGINE = ReplicatedMergeTree ORDER BY version";
const VIEW: &str = "CREATE VIEW app.v (`c` UInt64) AS SELECT count() AS c FROM app.runs";

fn entry(table: &str, engine: &str, create: &str, rows: Option<u64>) -> Value {
    json!({ "database": "app", "table": table, "engine": engine, "create_query": create, "rows": rows })
}

fn entries() -> Value {
    json!([
        entry("runs", "MergeTree", RUNS, Some(1234)),
        entry("tiny", "TinyLog", TINY, Some(2)),
        entry("v", "View", VIEW, None)
    ])
}

fn promises(shards: &[&str]) -> BTreeMap<StepId, Value> {
    let shards: serde_json::Map<String, Value> =
        shards.iter().map(|shard| ((*shard).to_owned(), json!({ "tables": entries() }))).collect();
    BTreeMap::from([(StepId::from("back-up"), json!({ "storage": "backups", "shards": shards }))])
}

fn replicas(runs: u64) -> World {
    let tables = |rows| {
        vec![
            Table {
                zookeeper_path: Some("/p".into()),
                ..defined("runs", "ReplicatedMergeTree", Some(rows), RUNS_REPLICATED)
            },
            defined("tiny", "ReplicatedMergeTree", Some(0), TINY_REPLICATED),
        ]
    };
    target("d", vec![server("r1", "01", tables(0)), server("r2", "01", tables(runs))])
}

fn different() -> Value {
    json!({ "allow_different_table_def": true })
}

fn from_step(more: &[(&str, Value)]) -> Value {
    let mut arguments = json!({ "backup": "back-up", "to": "d", "settings": different() });
    for (key, value) in more {
        arguments[*key] = value.clone();
    }
    arguments
}

fn plan(arguments: Value, world: World) -> Planned {
    plan_step(&Restore, &arguments, &Value::Null, world, promises(&["-"]))
}

fn told(planned: Planned) -> String {
    planned.operations.expect_err("refused").iter().map(ToString::to_string).collect()
}

fn words(operations: &[Operation]) -> Vec<String> {
    let host = |operation: &Operation| operation.host.clone().unwrap_or_default().0;
    operations
        .iter()
        .map(|operation| format!("{} {} {} on {}", operation.wave, operation.kind, operation.object, host(operation)))
        .collect()
}

#[test]
fn parts_go_to_one_replica_and_logs_take_three_steps() {
    let planned = plan(from_step(&[]), replicas(0));
    let operations = planned.operations.expect("planned");
    assert_eq!(
        words(&operations),
        [
            "0 restore table app.runs on r1",
            "0 stage temporary copy app.tiny__clickferry_restore on r1",
            "1 insert_into table app.tiny on r1",
            "2 drop temporary copy app.tiny__clickferry_restore on r1",
            "4 define view app.v on r1",
            "4 define view app.v on r2",
        ]
    );
    let texts: Vec<&str> = operations
        .iter()
        .flat_map(|operation| &operation.statements)
        .map(|statement| statement.text.as_str())
        .collect();
    let source = "S3('http://s3:9000/b/p/${step back-up path -}', ${secret storage.backups.access_key}, ${secret storage.backups.secret_key})";
    assert_eq!(
        texts[0],
        format!(
            "RESTORE TABLE `app`.`runs` FROM {source} SETTINGS id='${{operation.id}}', create_database='must exist', create_table='must exist', allow_different_table_def=1 ASYNC"
        )
    );
    // A table that others may write to is never emptied.
    assert!(texts.iter().all(|text| !text.contains("TRUNCATE")));
    // In the order in which they are sent: what an earlier attempt left goes first.
    assert_eq!(texts[1], "DROP TABLE `app`.`tiny__clickferry_restore` SYNC");
    assert_eq!(operations[1].statements[0].only_if.as_deref(), Some("an earlier attempt of this operation left it"));
    assert!(
        texts[2].starts_with("RESTORE TABLE `app`.`tiny` AS `app`.`tiny__clickferry_restore` FROM")
            && texts[2].contains("create_table='create'")
            && !texts[2].contains("allow_")
    );
    assert_eq!(
        texts[3],
        "INSERT INTO `app`.`tiny` (`version`, `dirty`) SELECT `version`, `dirty` FROM `app`.`tiny__clickferry_restore`"
    );
    assert!(operations.iter().all(|operation| operation.loss.is_nothing()));
    // The world afterwards, on both replicas, and no fact about the rows of the source.
    let host = &planned.world.targets["d"].hosts[1];
    assert_eq!(host.table("app", "runs").and_then(|table| table.rows), Some(1234));
    assert!(host.table("app", "v").is_some());
    assert_eq!(
        subjects(&planned.facts),
        [
            "r1: database app",
            "r1: definition of app.runs",
            "r1: definition of app.tiny",
            "r1: definition of app.v",
            "r1: rows of app.runs",
            "r1: rows of app.tiny",
            "r2: database app",
            "r2: definition of app.runs",
            "r2: definition of app.tiny",
            "r2: definition of app.v",
            "r2: rows of app.runs",
            "r2: rows of app.tiny"
        ]
    );
    assert!(!serde_json::to_string(&operations[0].data).unwrap_or_default().contains("1234"));
}

#[test]
fn rows_of_an_existing_backup_stand_in_the_plan() {
    let arguments = json!({ "backup": { "storage": "backups", "path": "old/x" }, "to": "d", "tables": ["app.runs"], "settings": different() });
    let observed = json!({
        "uuid": "u", "timestamp": "t", "objects": 3, "stored_bytes": 9, "objects_digest": "d", "tables": entries()
    });
    let planned = plan_step(&Restore, &arguments, &observed, replicas(0), BTreeMap::new());
    let operations = planned.operations.expect("planned");
    assert!(operations[0].statements[0].text.contains("'http://s3:9000/b/p/old/x'"));
    assert_eq!(
        (operations[0].before.as_str(), operations[0].after.as_str()),
        ("empty on r1, r2", "1 234 rows on r1, r2")
    );
    let backup: Vec<&str> =
        planned.facts.iter().filter(|fact| fact.host.0.is_empty()).map(|fact| fact.value.as_str()).collect();
    assert_eq!(backup, ["UUID u of t, 3 objects with 9 bytes, digest of their names, sizes and ETags 18ac3e7343f0"]);
}

#[test]
fn a_row_on_any_replica_is_in_the_way() {
    let text = told(plan(from_step(&[]), replicas(7)));
    assert!(text.contains("app.runs holds rows already") && text.contains("7 rows on r2"), "{text}");
    let both = json!({ "allow_different_table_def": true, "allow_non_empty_tables": true });
    let operations = plan(from_step(&[("settings", both)]), replicas(7)).operations.expect("planned");
    assert_eq!(operations[0].statements.len(), 1, "rows of others are never removed");
    assert_eq!(operations[0].after, "its rows and the rows of the backup on r1, r2");
}

#[test]
fn another_definition_must_be_allowed_and_must_fit() {
    let text = told(plan(from_step(&[("settings", json!({}))]), replicas(0)));
    assert!(text.contains("engine ReplicatedMergeTree") && text.contains("allow_different_table_def"), "{text}");
    let mut world = replicas(0);
    for host in &mut world.targets.get_mut("d").expect("there").hosts {
        host.tables[0].create_query = RUNS_REPLICATED.replace("ORDER BY id", "ORDER BY tuple()").into();
        host.tables[1].create_query = TINY_REPLICATED.replace(", `dirty` UInt8", "").into();
    }
    let text = told(plan(from_step(&[]), world));
    assert!(text.contains("sorts or partitions its rows differently") && text.contains("without dirty"), "{text}");
}

#[test]
fn tables_that_are_missing_are_not_created_on_one_of_several_replicas() {
    let mut world = replicas(0);
    world.targets.get_mut("d").expect("there").hosts[1].tables.retain(|table| table.name != "runs");
    assert!(told(plan(from_step(&[]), world)).contains("app.runs is not on every replica"));
    let empty = || target("d", vec![server("r1", "01", Vec::new()), server("r2", "01", Vec::new())]);
    assert!(told(plan(from_step(&[]), empty())).contains("app.runs is not there"));
    let later = plan(from_step(&[("created_by_earlier_step", json!(true))]), empty()).operations.expect("planned");
    assert_eq!(words(&later)[0], "0 restore table app.runs on r1");
    let alone = plan(from_step(&[]), target("d", vec![server("r1", "01", Vec::new())])).operations.expect("planned");
    assert_eq!(
        words(&alone),
        ["0 restore table app.runs on r1", "0 restore table app.tiny on r1", "4 define view app.v on r1"]
    );
    assert!(
        alone[0].statements[0].text == "DROP TABLE `app`.`runs` SYNC"
            && alone[0].statements[0].only_if.is_some()
            && alone[0].statements[1].text.contains("create_table='create'")
    );
}

#[test]
fn shards_are_matched_or_named() {
    let world = || target("d", vec![server("a", "01", Vec::new()), server("b", "02", Vec::new())]);
    assert!(told(plan(from_step(&[]), world())).contains("`shard:`"));
    let named = plan(from_step(&[("shard", json!("02"))]), world()).operations.expect("planned");
    assert!(named.iter().all(|operation| operation.host.clone().unwrap_or_default().0 == "b"));
    let matched = plan_step(&Restore, &from_step(&[]), &Value::Null, world(), promises(&["01", "02"]))
        .operations
        .expect("planned");
    assert!(matched[0].statements[1].text.contains("${step back-up path 01}"));
    let foreign = plan_step(&Restore, &from_step(&[]), &Value::Null, world(), promises(&["1", "2"]));
    assert!(told(foreign).contains("the shards of the backup are not those of the target"));
}

#[test]
fn views_fed_by_an_insert_are_in_the_way() {
    let mut world = replicas(0);
    for host in &mut world.targets.get_mut("d").expect("there").hosts {
        host.tables.add([defined(
            "mv",
            "MaterializedView",
            None,
            "CREATE MATERIALIZED VIEW app.mv TO app.x (`v` Int64) AS SELECT version AS v FROM app.tiny",
        )]);
    }
    let text = told(plan(from_step(&[]), world));
    assert!(text.contains("would also feed the materialized views") && text.contains("app.mv"), "{text}");
}

#[test]
fn selections_and_settings_are_checked() {
    let text = told(plan(from_step(&[("tables", json!(["app.nosuch"])), ("databases", json!(["x"]))]), replicas(0)));
    assert!(
        text.contains("app.nosuch is not in the backup") && text.contains("database x is not in the backup"),
        "{text}"
    );
    let arguments =
        json!({ "backup": { "storage": "b", "path": "x/${run.id}" }, "to": "d", "settings": { "create_table": 1 } });
    let pointers: Vec<String> = Restore.check(&arguments).into_iter().map(|error| error.pointer).collect();
    assert_eq!(pointers, ["/settings/create_table", "/backup/path"]);
}
