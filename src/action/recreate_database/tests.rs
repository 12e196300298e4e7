use serde_json::json;

use super::*;
use crate::action::planning::{host, plan_with, table, world};
use crate::plan::operation::Effect;

fn arguments() -> Value {
    json!({ "on": "destination", "database": "d" })
}

#[test]
fn every_replica_is_dropped_before_any_is_created() {
    let mut r1 = host("r1");
    r1.databases.insert("d".into(), crate::model::observed::Database { engine: "Atomic".into(), uuid: "u-1".into() });
    r1.tables.add([
        table("d", "t", "MergeTree", Some(7)),
        table("d", "v", "View", None),
        table("other", "w", "MergeTree", Some(9)),
    ]);
    r1.tables[2].create_query = "CREATE VIEW other.w AS SELECT * FROM d.t".into();
    let planned = plan_with(&RecreateDatabase, &arguments(), &Value::Null, world("destination", vec![r1, host("r2")]));
    let operations = planned.operations.expect("planned");
    let shown: Vec<(&str, u32, Effect)> = operations
        .iter()
        .map(|operation| (operation.statements[0].text.as_str(), operation.wave, operation.effect))
        .collect();
    assert_eq!(
        shown,
        [
            ("DROP DATABASE `d` SYNC", 0, Effect::Destroy),
            ("CREATE DATABASE `d` ENGINE = Atomic", 1, Effect::Write),
            ("CREATE DATABASE `d` ENGINE = Atomic", 1, Effect::Write),
        ]
    );
    assert_eq!((operations[0].loss.tables, operations[0].loss.rows), (1, 7));
    assert_eq!(planned.notes.len(), 1, "{:?}", planned.notes);
    let subjects: Vec<&str> = planned.facts.iter().map(|fact| fact.subject.as_str()).collect();
    assert_eq!(subjects, ["database d", "database d", "table d.t that is dropped", "table d.v that is dropped"]);
    let after = &planned.world.targets["destination"].hosts[0];
    assert_eq!(after.tables.len(), 1);
    assert_eq!(after.databases["d"].uuid, "");
}

#[test]
fn other_engines_and_running_backups_are_refused_together() {
    let mut r1 = host("r1");
    r1.databases.insert("d".into(), crate::model::observed::Database { engine: "Replicated".into(), uuid: "u".into() });
    r1.running_backups = vec!["b".into()];
    let planned = plan_with(&RecreateDatabase, &arguments(), &Value::Null, world("destination", vec![r1]));
    assert_eq!(planned.operations.map_err(|refusals| refusals.len()), Err(2));
}

#[test]
fn the_servers_own_databases_are_never_dropped() {
    assert_eq!(RecreateDatabase.check(&json!({ "database": "SYSTEM" })).len(), 1);
    assert_eq!(RecreateDatabase.check(&json!({ "database": "d" })).len(), 0);
}

#[test]
fn a_table_that_the_server_would_not_let_go_is_refused_before_others_are_gone() {
    let mut r1 = host("r1");
    r1.databases.insert("d".into(), crate::model::observed::Database { engine: "Atomic".into(), uuid: "u-1".into() });
    r1.tables = vec![table("d", "large", "MergeTree", Some(7)), table("d", "other", "Memory", Some(9))].into();
    let plan = |host: &crate::model::observed::HostWorld, arguments: &Value| {
        plan_with(&RecreateDatabase, arguments, &Value::Null, world("destination", vec![host.clone()])).operations
    };
    // 70 bytes; 0 is no limit, and only the MergeTree family has one.
    for limit in [None, Some(0), Some(70)] {
        r1.max_drop_bytes = limit;
        assert!(plan(&r1, &arguments()).is_ok(), "{limit:?}");
    }
    r1.max_drop_bytes = Some(69);
    let found = plan(&r1, &arguments()).expect_err("refused");
    assert_eq!((found.len(), found[0].found.as_str()), (1, "d.large (70 bytes)"), "{found:?}");
    assert!(found[0].evidence.contains("max_table_size_to_drop"), "{found:?}");
    // Nothing is dropped where it is set aside.
    let kept = json!({ "on": "destination", "database": "d", "keep_old": { "for": "1h" } });
    assert!(plan(&r1, &kept).is_ok());
}
