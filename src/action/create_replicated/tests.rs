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
    observed.into_value()
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
    let listed: Vec<(&str, Option<u32>)> =
        planned.conversions.iter().map(|one| (one.name.as_str(), one.wave)).collect();
    assert_eq!(listed, [("t", Some(0)), ("mv", Some(1))]);
    // What is written field by field is what is read as a whole.
    for operation in &operations {
        let data: Data = operation.data.read().expect("data");
        assert_eq!(operation.data, crate::plan::data::Data::of(&data));
    }
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
    assert_eq!(planned.operations.as_ref().expect("planned").len(), 4);
    assert_eq!(listed(&planned).len(), 5, "{:?}", listed(&planned));
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
        Place { path: "/p".into(), replica: "r1".into(), replicas: ["r1".into(), "r2".into()].into(), is_inner: true };
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

/// `name: engine before > engine after | why | rows behind | Keeper`.
fn listed(planned: &Planned) -> Vec<String> {
    let line = |one: &crate::plan::conversion::PlannedConversion| {
        let keeper: Vec<String> =
            one.keeper.iter().map(|place| format!("{} {} {}", place.host, place.path, place.replica)).collect();
        format!(
            "{}: {} > {} | {} | {:?} | {}",
            one.name,
            one.engine_before,
            one.engine_after.as_deref().unwrap_or("-"),
            one.why.join("; "),
            one.rows_behind,
            keeper.join(", ")
        )
    };
    planned.conversions.iter().map(line).collect()
}

#[test]
fn every_object_of_the_source_is_listed_with_what_becomes_of_it() {
    let mut source = source(&[
        T,
        MV,
        ("q", "Kafka", "CREATE TABLE d.q (`a` UInt8) ENGINE = Kafka SETTINGS kafka_topic_list = 't'"),
        ("m", "Memory", "CREATE TABLE d.m (`a` UInt8) ENGINE = Memory"),
        ("old", "View", "CREATE VIEW d.old (`a` UInt8) AS SELECT a FROM d.t"),
    ]);
    for view in ["mv", "old", "q"] {
        let at = source.tables.iter().position(|table| table.name == view).expect("there");
        source.tables[at].rows = None;
    }
    let arguments = arguments(&[("except_tables", json!(["q", "m"]))]);
    let planned = plan_with(&CreateReplicated, &arguments, &observed(&[]), both(source, destination()));
    assert!(planned.operations.is_ok());
    let place = |name: &str| format!("r1 /clickhouse/tables/01/d/{name} r1, r2 /clickhouse/tables/01/d/{name} r2");
    assert_eq!(
        listed(&planned),
        [
            "m: Memory > - | `except_tables` names it; not converted: its rows would stay on one replica (Memory) | Some(5) | ".to_owned(),
            "q: Kafka > - | `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (Kafka) | None | ".to_owned(),
            format!("t: MergeTree > ReplicatedMergeTree |  | None | {}", place("t")),
            format!("mv: MaterializedView > MaterializedView with ReplicatedSummingMergeTree |  | None | {}", place("mv")),
            "old: View > View |  | None | ".to_owned(),
        ]
    );
    assert!(planned.notes.is_empty(), "{:?}", planned.notes);
}

#[test]
fn what_the_servers_lack_is_refused_before_anything_is_done() {
    let hot = "CREATE TABLE d.hot (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS storage_policy = 'hot', index_granularity = 8192";
    let disk = "CREATE TABLE d.disk (`a` UInt8) ENGINE = MergeTree ORDER BY a SETTINGS disk = 'fast', index_granularity = 8192";
    let spread = "CREATE TABLE d.spread (`a` UInt8) ENGINE = Distributed('far', 'd', 't')";
    let statements = [T, ("hot", "MergeTree", hot), ("disk", "MergeTree", disk), ("spread", "Distributed", spread)];
    let world = |have: &[&str]| {
        let mut hosts = destination();
        for host in &mut hosts {
            host.storage = crate::model::storage::Storage::of_one_disk(1);
            host.clusters = Some(Vec::new());
        }
        for name in have {
            hosts[0].storage.policies.insert((*name).to_owned(), vec!["default".to_owned()]);
            hosts[0].storage.disks.insert((*name).to_owned(), 1);
            hosts[0].clusters = Some(vec![(*name).to_owned()]);
        }
        hosts
    };
    let plan = |hosts| plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&statements), hosts));
    let found = refusals(plan(world(&["hot"])));
    assert_eq!(found.len(), 3, "{found:#?}");
    for words in [
        "d.hot would not be created: the storage policy `hot` is missing on r2",
        "d.disk would not be created: the disk `fast` is missing on r1, r2",
        "d.spread would not be created: the cluster `far` is missing on r1, r2",
    ] {
        assert!(found.iter().any(|line| line.contains(words)), "{words}: {found:#?}");
    }
    let view = "CREATE VIEW d.v (`a` UInt8) DEFINER = `nobody` SQL SECURITY DEFINER AS SELECT a FROM d.t";
    let mut users = observed(&[]);
    users["users"] = json!({ "r1": ["default", "nobody"], "r2": ["default"] });
    let views = || both(source(&[T, ("v", "View", view)]), destination());
    let found = refusals(plan_with(&CreateReplicated, &arguments(&[]), &users, views()));
    assert!(found[0].contains("d.v would not be created: the user `nobody` is missing on r2"), "{found:#?}");
    let untold = plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), views());
    assert!(untold.notes[0].contains("the user `nobody` must exist"), "{:?}", untold.notes);
    // Servers that do not tell are no reason to refuse, and the reviewer is told.
    let planned = plan(destination());
    assert!(planned.operations.is_ok());
    assert!(
        planned.notes.iter().any(|note| note.contains("the storage policy `hot` must exist")),
        "{:?}",
        planned.notes
    );
}

#[test]
fn what_reads_from_elsewhere_is_told_or_refused() {
    let dictionary = |source: &str| {
        format!(
            "CREATE DICTIONARY d.x (`a` UInt8) PRIMARY KEY a SOURCE(CLICKHOUSE({source})) LIFETIME(MIN 0 MAX 1) LAYOUT(FLAT())"
        )
    };
    let plan = |name: &str, engine: &str, text: &str| {
        let statements = [T, (name, engine, text)];
        plan_with(&CreateReplicated, &arguments(&[]), &observed(&[]), both(source(&statements), destination()))
    };
    for from in ["DB 'gone' TABLE 't'", "HOST 'localhost' DB 'gone' TABLE 't'", "QUERY 'SELECT a FROM gone.t'"] {
        let found = refusals(plan("x", "Dictionary", &dictionary(from)));
        assert!(found[0].contains("d.x needs what will not be there"), "{from}: {found:?}");
    }
    for from in ["DB 'd' TABLE 't'", "TABLE 't'", "HOST 'elsewhere' DB 'gone' TABLE 't'"] {
        assert!(plan("x", "Dictionary", &dictionary(from)).operations.is_ok(), "{from}");
    }
    for (engine, text) in [
        ("View", "CREATE VIEW d.v (`a` UInt8) AS SELECT a FROM gone.t"),
        ("Buffer", "CREATE TABLE d.v (`a` UInt8) ENGINE = Buffer('gone', 't', 1, 10)"),
        ("Distributed", "CREATE TABLE d.v (`a` UInt8) ENGINE = Distributed('c', 'gone', 't')"),
    ] {
        let planned = plan("v", engine, text);
        assert!(planned.operations.is_ok(), "{engine}");
        assert!(planned.notes.iter().any(|note| note.contains("gone.t, which is not there")), "{:?}", planned.notes);
    }
    let view = "CREATE MATERIALIZED VIEW d.v TO d.t (`a` UInt8) AS SELECT a FROM gone.t";
    assert!(refusals(plan("v", "MaterializedView", view))[0].contains("d.v needs what will not be there"));
}
