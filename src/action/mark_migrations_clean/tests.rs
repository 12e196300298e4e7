use serde_json::json;

use super::*;
use crate::action::planning::{host, plan_with, subjects, table, world};
use crate::plan::operation::Effect;

const ROLE: &str = "destination";

fn arguments() -> Value {
    json!({ "on": ROLE, "table": "d.schema_migrations", "version": 42 })
}

fn hosts(engine: &str, path: Option<&str>) -> Vec<crate::model::observed::HostWorld> {
    ["r1", "r2"]
        .into_iter()
        .map(|name| {
            let mut host = host(name);
            let mut table = table("d", "schema_migrations", engine, Some(3));
            table.zookeeper_path = path.map(str::to_owned);
            host.tables.add([table]);
            host
        })
        .collect()
}

fn seen(rows: &[(&str, i64, u64)]) -> Value {
    let entries: serde_json::Map<String, Value> = rows
        .iter()
        .map(|(host, version, dirty)| {
            ((*host).to_owned(), json!({ "uuid": "uuid-schema_migrations", "rows": 3, "last": { "version": version, "dirty": dirty, "sequence": 9 } }))
        })
        .collect();
    Value::Object(entries)
}

#[test]
fn each_history_of_its_own_gets_its_row() {
    let planned = plan_with(
        &MarkMigrationsClean,
        &arguments(),
        &seen(&[("r1", 42, 1), ("r2", 42, 0)]),
        world(ROLE, hosts("TinyLog", None)),
    );
    let operations = planned.operations.expect("planned");
    let effects: Vec<Effect> = operations.iter().map(|operation| operation.effect).collect();
    assert_eq!(effects, [Effect::Write, Effect::Read]);
    assert!(
        operations[0].statements[0]
            .text
            .starts_with("INSERT INTO `d`.`schema_migrations` (version, dirty, sequence) SELECT 42, 0, greatest(")
    );
    assert_eq!(operations[0].before, "version 42, dirty");
    assert_eq!(
        subjects(&planned.facts),
        [
            "r1: definition of d.schema_migrations",
            "r1: last row of `d`.`schema_migrations`",
            "r2: definition of d.schema_migrations",
            "r2: last row of `d`.`schema_migrations`"
        ]
    );
}

#[test]
fn a_replicated_history_gets_one_row() {
    let planned = plan_with(
        &MarkMigrationsClean,
        &arguments(),
        &seen(&[("r1", 42, 1), ("r2", 42, 1)]),
        world(ROLE, hosts("ReplicatedMergeTree", Some("/p"))),
    );
    let operations = planned.operations.expect("planned");
    assert_eq!(operations.len(), 1);
    let data: Data = operations[0].data.read().expect("data");
    assert_eq!(data.hosts.len(), 2);
}

#[test]
fn what_an_earlier_step_creates_is_not_known() {
    let mut hosts = hosts("ReplicatedMergeTree", Some("/p"));
    for host in &mut hosts {
        host.tables[0].uuid = String::new();
    }
    let planned =
        plan_with(&MarkMigrationsClean, &arguments(), &seen(&[("r1", 42, 0), ("r2", 42, 0)]), world(ROLE, hosts));
    let operations = planned.operations.expect("planned");
    assert_eq!(operations[0].effect, Effect::Write);
    assert!(planned.facts.is_empty());
}

#[test]
fn a_missing_table_and_a_strange_version_are_refused() {
    let planned =
        plan_with(&MarkMigrationsClean, &arguments(), &Value::Null, world(ROLE, vec![host("r1"), host("r2")]));
    assert_eq!(planned.operations.map_err(|refusals| refusals.len()), Err(2));
    assert_eq!(MarkMigrationsClean.check(&json!({ "version": -2 })).len(), 1);
    assert_eq!(MarkMigrationsClean.check(&json!({ "version": -1 })).len(), 0);
}
