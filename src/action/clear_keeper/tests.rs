use std::collections::BTreeMap;

use serde_json::json;

use super::observe::summary;
use super::*;
use crate::action::planning::{Planned, host, plan_in, plan_with, table, world};
use crate::engine::ports::{KeeperNode, KeeperStat};
use crate::model::observed::{HostWorld, World};
use crate::plan::operation::Effect;

const ROLE: &str = "destination";

fn arguments() -> Value {
    json!({ "on": ROLE, "paths": ["/clickhouse/tables/{shard}/d"] })
}

fn node(path: &str) -> KeeperNode {
    let ephemeral = path.ends_with("is_active");
    KeeperNode {
        path: path.to_owned(),
        value: b"host: r1\nport: 9009\n".to_vec(),
        stat: KeeperStat { version: 0, children: 0, ephemeral, created_zxid: 1 },
    }
}

/// A table with the replicas r1 (live) and r9 (stale), below the path.
fn seen(with_stale: bool) -> observe::Subtree {
    let root = "/clickhouse/tables/01/d";
    let mut paths = vec![
        "",
        "/t",
        "/t/metadata",
        "/t/log",
        "/t/replicas",
        "/t/replicas/r1",
        "/t/replicas/r1/host",
        "/t/replicas/r1/is_active",
    ];
    if with_stale {
        paths.extend(["/t/replicas/r9", "/t/replicas/r9/host"]);
    }
    summary(
        &paths.into_iter().map(|path| node(&format!("{root}{path}"))).collect::<Vec<_>>(),
        &Default::default(),
        &Default::default(),
    )
}

fn observed(subtree: &observe::Subtree) -> Value {
    json!({ "paths": { "/clickhouse/tables/01/d": subtree } })
}

/// Plans the step; `with_table` where `r1` had the table when it was looked at.
fn planned(subtree: &observe::Subtree, with_table: bool, world: World) -> Planned {
    let mut before = world.clone();
    if let Some(host) = before.targets.get_mut(ROLE).and_then(|target| target.hosts.first_mut()).filter(|_| with_table)
    {
        host.tables = with_live_table().tables;
    }
    plan_in(&ClearKeeper, &arguments(), &observed(subtree), [before, world], BTreeMap::new())
}

fn with_live_table() -> HostWorld {
    let mut host = host("r1");
    let mut table = table("d", "t", "ReplicatedMergeTree", Some(1));
    table.zookeeper_path = Some("/clickhouse/tables/01/d/t".into());
    table.replica_name = Some("r1".into());
    host.tables.add([table]);
    host
}

#[test]
fn what_earlier_steps_drop_is_no_loss_of_this_one() {
    let plan = planned(&seen(true), true, world(ROLE, vec![host("r1"), host("r2")]));
    let operations = plan.operations.expect("planned");
    assert_eq!(operations.len(), 1);
    assert_eq!(operations[0].statements[0].text, "rmr /clickhouse/tables/01/d");
    assert_eq!(
        (operations[0].effect, operations[0].host.as_ref(), operations[0].lane.as_str()),
        (Effect::Destroy, None, "keeper")
    );
    // The path, the table's own nodes and the stale replica, without the live replica's three nodes.
    assert_eq!(operations[0].loss.keeper_nodes, 7);
    assert!(is_cleared(&plan.promises, ROLE, "/clickhouse/tables/01/d/t"));
    assert!(!is_cleared(&plan.promises, ROLE, "/clickhouse/tables/01/dd"));
    let plan = planned(&seen(false), true, world(ROLE, vec![host("r1")]));
    assert_eq!(plan.operations.expect("planned")[0].loss.keeper_nodes, 1);
}

#[test]
fn nothing_there_is_only_looked_at() {
    let plan = planned(&observe::Subtree::default(), false, world(ROLE, vec![host("r1")]));
    assert_eq!(plan.operations.expect("planned")[0].effect, Effect::Read);
    let plan = planned(&observe::Subtree::default(), true, world(ROLE, vec![host("r1")]));
    assert_eq!(plan.operations.expect("planned")[0].effect, Effect::Write);
}

#[test]
fn live_tables_and_strangers_are_refused() {
    let plan = planned(&seen(false), true, world(ROLE, vec![with_live_table()]));
    let found = plan.operations.expect_err("refused");
    assert!(found[0].found.contains("d.t on r1"), "{found:?}");
    let plan = planned(&seen(false), false, world(ROLE, vec![host("r1")]));
    let found = plan.operations.expect_err("refused");
    assert!(found[0].found.contains("/replicas/r1 (host: r1, port: 9009)"), "{found:?}");
    // A table of another target that may have the same Keeper.
    let mut world = world(ROLE, vec![host("r1")]);
    let mut other = world.targets[ROLE].clone();
    other.keeper = false;
    other.hosts = vec![with_live_table()];
    world.targets.insert("source".into(), other);
    let plan = planned(&seen(false), true, world);
    assert_eq!(plan.operations.expect_err("refused").len(), 1);
}

#[test]
fn unknown_macros_and_no_keeper_are_refused() {
    let arguments = json!({ "on": ROLE, "paths": ["/clickhouse/tables/{layer}/d"] });
    let planned = plan_with(&ClearKeeper, &arguments, &Value::Null, world(ROLE, vec![host("r1")]));
    assert!(planned.operations.expect_err("refused")[0].what.contains("macro"));
    let mut without = world(ROLE, vec![host("r1")]);
    if let Some(target) = without.targets.get_mut(ROLE) {
        target.keeper = false;
    }
    let planned = plan_with(&ClearKeeper, &arguments, &Value::Null, without);
    assert!(planned.operations.expect_err("refused")[0].what.contains("Keeper"));
    assert_eq!(ClearKeeper.check(&json!({ "paths": ["/a/b/{table}"] })).len(), 1);
}

#[test]
fn a_table_at_the_same_path_of_another_keeper_is_another_table() {
    let host = |keeper: &str| json!({ "hosts": [{ "name": "h", "url": "http://h" }], "keeper": { "hosts": [keeper] } });
    let environment: crate::model::environment::Environment = serde_json::from_value(json!({
        "apiVersion": "clickferry/v1", "kind": "Environment", "metadata": { "name": "e" },
        "targets": { "other": host("k1:2181"), "same": host("k2:2181"), ROLE: host("k2:2181") }
    }))
    .expect("an environment");
    let mut world = world(ROLE, vec![with_live_table()]);
    for role in ["other", "same"] {
        world.targets.insert(role.into(), world.targets[ROLE].clone());
    }
    let found: Vec<&str> = observe::sharing(&world, &environment, ROLE).map(|table| table.target).collect();
    assert_eq!(found, [ROLE, "same"]);
}
