use serde_json::json;

use super::gather::Observed;
use super::seen::{SeenReplica, column_differences, replica_differences};
use super::*;
use crate::action::planning::{Planned, host, plan_with, subjects, table, world};
use crate::model::observed::{Database, HostWorld, TargetWorld, World};
use crate::model::runbook::Topology;

const ROLE: &str = "destination";

fn arguments(more: &[(&str, Value)]) -> Value {
    let mut arguments = json!({ "from": "source", "on": ROLE, "database": "d" });
    for (name, value) in more {
        arguments[*name] = value.clone();
    }
    arguments
}

fn source(statements: &[(&str, &str, &str)]) -> HostWorld {
    let mut source = HostWorld { name: "s".into(), shard: "-".into(), ..HostWorld::default() };
    source.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: "u".into() });
    for (name, engine, text) in statements {
        let mut table = table("d", name, engine, Some(5));
        table.create_query = (*text).into();
        source.tables.add([table]);
    }
    source
}

fn destination() -> Vec<HostWorld> {
    ["r1", "r2"]
        .into_iter()
        .map(|name| {
            let mut host = host(name);
            host.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: String::new() });
            host
        })
        .collect()
}

fn both(source: HostWorld, destination: Vec<HostWorld>) -> World {
    let mut world = world(ROLE, destination);
    world.targets.insert(
        "source".into(),
        TargetWorld { topology: Topology::Standalone, cluster: None, keeper: false, hosts: vec![source] },
    );
    world
}

const T: (&str, &str, &str) =
    ("t", "MergeTree", "CREATE TABLE d.t (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192");
const MV: (&str, &str, &str) = (
    "mv",
    "MaterializedView",
    "CREATE MATERIALIZED VIEW d.mv (`a` UInt8) ENGINE = SummingMergeTree ORDER BY a AS SELECT a FROM d.t",
);

fn observed(keeper: &[(&str, &[&str])]) -> Value {
    let observed = Observed {
        keeper: Some(
            keeper
                .iter()
                .map(|(path, replicas)| ((*path).to_owned(), replicas.iter().map(|name| (*name).to_owned()).collect()))
                .collect(),
        ),
        ..Observed::default()
    };
    serde_json::to_value(observed).expect("JSON")
}

fn refusals(planned: Planned) -> Vec<String> {
    planned
        .operations
        .expect_err("refused")
        .into_iter()
        .map(|refusal| format!("{} / {}", refusal.what, refusal.found))
        .collect()
}

#[test]
fn tables_come_before_what_reads_them_and_the_check_comes_last() {
    let planned = plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[MV, T]), destination()));
    let operations = planned.operations.expect("planned");
    let shown: Vec<String> = operations
        .iter()
        .map(|operation| format!("{} {} {}", operation.wave, operation.lane, operation.kind))
        .collect();
    assert_eq!(
        shown,
        [
            "0 r1 create_table",
            "0 r2 create_table",
            "1 r1 create_materialized_view",
            "1 r2 create_materialized_view",
            "2 r1 check",
            "2 r2 check",
        ]
    );
    assert_eq!(
        operations[0].statements[0].text,
        "CREATE TABLE d.t (`a` UInt8) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/d/t', '{replica}') ORDER BY a SETTINGS index_granularity = 8192"
    );
    let r2 = &planned.world.targets[ROLE].hosts[1];
    let made: Vec<(&str, Option<&str>, Option<u64>)> =
        r2.tables.iter().map(|table| (table.name.as_str(), table.zookeeper_path.as_deref(), table.rows)).collect();
    assert_eq!(
        made,
        [
            (".inner.mv", Some("/clickhouse/tables/01/d/mv"), Some(0)),
            ("mv", None, None),
            ("t", Some("/clickhouse/tables/01/d/t"), Some(0)),
        ]
    );
    assert_eq!(r2.tables[2].replica_name.as_deref(), Some("r2"));
    // The database on the replicas is created by an earlier step.
    assert_eq!(
        subjects(&planned.facts),
        [
            ": Keeper path /clickhouse/tables/01/d/mv of a table to create on destination",
            ": Keeper path /clickhouse/tables/01/d/t of a table to create on destination",
            "s: definition of d.mv",
            "s: definition of d.t",
            "s: tables of `d`"
        ]
    );
}

#[test]
fn the_same_again_has_nothing_to_do() {
    let first = plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[T]), destination()));
    let again = plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), first.world);
    let kinds: Vec<String> = again.operations.expect("planned").into_iter().map(|operation| operation.kind).collect();
    assert_eq!(kinds, ["check", "check"]);
}

#[test]
fn an_object_with_another_definition_is_refused() {
    let mut hosts = destination();
    let mut other = table("d", "t", "MergeTree", Some(0));
    other.create_query = T.2.into();
    hosts[1].tables.add([other]);
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[T]), hosts)));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("ENGINE is `MergeTree` instead of `ReplicatedMergeTree`"), "{found:?}");
}

#[test]
fn macros_must_tell_replicas_apart() {
    let mut hosts = destination();
    hosts[1].identity.macros.insert("replica".into(), "r1".into());
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[T]), hosts)));
    assert!(found[0].contains("two servers would be one replica"), "{found:?}");
    let mut hosts = destination();
    hosts[1].identity.macros.remove("replica");
    hosts[0].identity.macros.remove("shard");
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[T]), hosts)));
    assert!(found.iter().filter(|line| line.contains("lacks macros")).count() == 2, "{found:?}");
    let mut hosts = destination();
    hosts[1].shard = "02".into();
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&[T]), hosts)));
    assert!(found[0].contains("two shards would have one path"), "{found:?}");
}

#[test]
fn everything_that_cannot_be_replicated_is_listed_in_one_go() {
    let statements = [
        T,
        ("m1", "Memory", "CREATE TABLE d.m1 (`a` UInt8) ENGINE = Memory"),
        ("m2", "Memory", "CREATE TABLE d.m2 (`a` UInt8) ENGINE = Memory"),
        ("old", "MergeTree", "CREATE TABLE d.old (`a` Date) ENGINE = MergeTree(a, a, 8192)"),
        ("v", "MaterializedView", "CREATE MATERIALIZED VIEW d.v TO d.t (`a` UInt8) AS SELECT a FROM d.m1"),
    ];
    let mut hosts = destination();
    hosts[0].databases.clear();
    let found =
        refusals(plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&statements), hosts)));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.iter().any(|line| line.contains("2 tables whose rows would stay on one replica")));
    let arguments = arguments(&[("except_tables", json!(["m1", "d.m2", "old", "v"]))]);
    let planned = plan_with(&CreateReplicated, &arguments, &observed(&[]), both(source(&statements), destination()));
    assert_eq!(planned.operations.expect("planned").len(), 4);
    assert_eq!(planned.notes.len(), 4, "{:?}", planned.notes);
    let found = refusals(plan_with(
        &CreateReplicated,
        &self::arguments(&[("except_tables", json!(["m3"]))]),
        &observed(&[]),
        both(source(&[T]), destination()),
    ));
    assert!(found[0].contains("`except_tables` names `m3`"), "{found:?}");
}

#[test]
fn what_is_left_in_keeper_must_be_cleared_first() {
    let path = "/clickhouse/tables/01/d/t";
    let seen = observed(&[(path, &["r1", "r9"])]);
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &seen, both(source(&[T]), destination())));
    assert!(found[0].contains("replicas r1, r9"), "{found:?}");
    let promises = std::collections::BTreeMap::from([(
        "clear".into(),
        json!({ "keeper_cleared": { "target": ROLE, "paths": ["/clickhouse/tables/01/d"] } }),
    )]);
    let planned = crate::action::planning::plan_after(
        &CreateReplicated,
        &arguments(&[]),
        &seen,
        both(source(&[T]), destination()),
        promises,
    );
    assert!(planned.operations.is_ok());
    // Replicas of tables that earlier steps drop leave with them.
    let mut used = seen;
    used["keeper"][path] = json!(["r1"]);
    let mut before = destination();
    let mut dropped = table("d", "t", "ReplicatedMergeTree", Some(1));
    (dropped.zookeeper_path, dropped.replica_name) = (Some(path.into()), Some("r1".into()));
    before[0].tables.add([dropped]);
    let worlds = [both(source(&[T]), before), both(source(&[T]), destination())];
    let planned =
        crate::action::planning::plan_in(&CreateReplicated, &arguments(&[]), &used, worlds, Default::default());
    assert!(planned.operations.is_ok());
}

#[test]
fn paths_without_a_table_or_with_a_uuid_are_mistakes() {
    let mistakes = |path: &str, replica: &str| {
        CreateReplicated.check(&arguments(&[("path", json!(path)), ("replica", json!(replica))])).len()
    };
    assert_eq!(mistakes("/a/{shard}/{database}/{table}", "{replica}"), 0);
    assert_eq!(mistakes("/a/{shard}/x", "{replica}"), 1);
    assert_eq!(mistakes("/a/{uuid}/{table}", "r1"), 2);
}

#[test]
fn created_things_are_compared_by_what_matters() {
    let place =
        Place { path: "/p".into(), replica: "r1".into(), replicas: vec!["r1".into(), "r2".into()], is_inner: true };
    let mut seen = SeenReplica {
        table: ".inner_id.u-1".into(),
        path: "/p".into(),
        replica: "r1".into(),
        is_readonly: false,
        total: 1,
        active: 1,
    };
    assert!(replica_differences("mv", "u-1", &place, std::slice::from_ref(&seen), None).is_empty());
    assert_eq!(replica_differences("mv", "u-1", &place, std::slice::from_ref(&seen), Some(2)).len(), 1);
    seen.is_readonly = true;
    assert_eq!(replica_differences("mv", "u-1", &place, std::slice::from_ref(&seen), None), ["`mv` is read-only"]);
    assert_eq!(replica_differences("mv", "u-2", &place, &[seen], None).len(), 1);
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(column_differences(&columns(&["a UInt8", "b UInt8"]), &columns(&["b UInt8", "a UInt8"])).len(), 1);
    assert_eq!(column_differences(&columns(&["a UInt8"]), &columns(&["a UInt16"])).len(), 2);
}
