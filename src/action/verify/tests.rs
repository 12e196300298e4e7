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
    host.tables = vec![
        table("d", "a", "ReplicatedMergeTree", Some(5)),
        table("d", "b", "Log", Some(1)),
        table("d", "v", "View", None),
    ];
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
    let texts: Vec<&str> = operations[0].statements.iter().map(|statement| statement.text.as_str()).collect();
    assert_eq!(texts[0], "SELECT count() FROM `d`.`a` -- and 1 tables more");
    assert_eq!(texts[1], "SELECT count() FROM (SELECT * FROM `d`.`v` LIMIT 0)");
    assert!(texts[2].contains("system.replicas"));
    assert_eq!(operations[0].estimate_rows, Some(6));
}

#[test]
fn a_live_source_has_as_many_shards() {
    let arguments = json!({ "on": "to", "against": { "target": "from" }, "databases": ["d"] });
    let operations = plan(&arguments, target(&[("r1", "01")])).expect("possible");
    assert_eq!(operations[0].data["against"], json!({ "live": { "host": "s" } }));
    let problems = plan(&arguments, target(&[("r1", "01"), ("r2", "02")])).expect_err("two shards");
    assert!(problems[0].contains("other shards"), "{problems:?}");
}

#[test]
fn one_backup_is_not_for_several_shards_and_databases_must_be_there() {
    let bucket = json!({ "on": "to", "against": { "storage": "s", "path": "a/b/" } });
    assert!(plan(&bucket, target(&[("r1", "01"), ("r2", "02")])).is_err());
    assert_eq!(
        plan(&bucket, target(&[("r1", "01")])).expect("possible")[0].data["against"],
        json!({ "backup": { "storage": "s", "path": "a/b" } })
    );
    let problems =
        plan(&json!({ "on": "to", "databases": ["d", "e"] }), target(&[("r1", "01")])).expect_err("no database e");
    assert_eq!(problems.len(), 1);
}
