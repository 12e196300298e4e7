use std::collections::BTreeMap;

use super::*;
use crate::model::environment::Environment;
use crate::model::ids::StepId;
use crate::model::observed::{Database, Table, TargetWorld};
use crate::model::runbook::Topology;
use crate::plan::operation::{Effect, Operation};
use crate::plan::plan_file::Plan;

fn table(name: &str, engine: &str, rows: Option<u64>) -> Table {
    Table {
        database: "d".to_owned(),
        name: name.to_owned(),
        engine: engine.to_owned(),
        uuid: format!("uuid-{name}"),
        create_query: format!("CREATE TABLE d.{name} (`a` UInt8) ENGINE = {engine} ORDER BY a").into(),
        rows,
        ..Table::default()
    }
}

fn world(tables: Vec<Table>) -> World {
    let database = Database { engine: "Atomic".to_owned(), uuid: "u".to_owned() };
    let databases = BTreeMap::from([("d".to_owned(), database)]);
    let host = HostWorld {
        name: "r1".into(),
        shard: "01".to_owned(),
        databases,
        tables: tables.into(),
        ..HostWorld::default()
    };
    let target = TargetWorld { topology: Topology::Replicated, cluster: None, keeper: true, hosts: vec![host] };
    World { targets: BTreeMap::from([("destination".to_owned(), target)]) }
}

fn diff(now: Vec<Table>, after: Vec<Table>) -> HostDiff {
    world_diff(&world(now), &world(after), &Untold::default()).remove(0)
}

fn planned(table: Table) -> Table {
    Table { uuid: String::new(), ..table }
}

#[test]
fn what_is_made_anew_alike_is_no_difference() {
    let now = vec![table("a", "MergeTree", Some(5))];
    let found = diff(now.clone(), now.into_iter().map(planned).collect());
    assert_eq!(found.changes, []);
    assert_eq!((found.same, found.made_anew), (2, vec!["d.a".to_owned()]));
}

#[test]
fn dropped_created_and_changed_objects_are_told_with_both_sides() {
    let mut moved = planned(table("c", "ReplicatedMergeTree", Some(7)));
    moved.zookeeper_path = Some("/t/c".to_owned());
    let found = diff(
        vec![table("a", "MergeTree", Some(5)), table("c", "MergeTree", Some(6))],
        vec![planned(table("b", "Log", Some(0))), moved],
    );
    let words: Vec<(String, Change)> = found.changes.iter().map(|change| (change.full_name(), change.change)).collect();
    assert_eq!(
        words,
        [("d.a".to_owned(), Change::Dropped), ("d.b".to_owned(), Change::Created), ("d.c".to_owned(), Change::Changed)]
    );
    let changed = &found.changes[2];
    assert_eq!(changed.rows, Some(Sides { now: Some(6), expected: Some(7) }));
    assert_eq!(changed.keeper_path, Some(Sides { now: None, expected: Some("/t/c".to_owned()) }));
    assert_eq!(changed.definition.len(), 1, "{changed:?}");
    assert_eq!(found.changes[0].rows, Some(Sides { now: Some(5), expected: None }));
}

#[test]
fn rows_that_merges_change_are_compared_with_none_only() {
    let of = |rows| vec![table("a", "ReplicatedReplacingMergeTree", Some(rows))];
    let about = diff(of(6), of(7));
    assert_eq!((about.changes.len(), about.rows_untold), (0, vec!["d.a".to_owned()]));
    assert_eq!(diff(of(0), of(7)).changes.len(), 1);
    assert_eq!(diff(of(7), of(0)).changes.len(), 1);
}

#[test]
fn a_hidden_table_is_its_view() {
    let mut view = table("v", "MaterializedView", None);
    view.create_query =
        "CREATE MATERIALIZED VIEW d.v (`a` UInt8) ENGINE = MergeTree ORDER BY a AS SELECT a FROM d.s".into();
    let hidden = |name: &str, rows| table(name, "MergeTree", Some(rows));
    let is = vec![view.clone(), hidden(".inner_id.uuid-v", 3)];
    let restored = Table { rows: Some(3), ..planned(view.clone()) };
    assert_eq!(diff(is.clone(), vec![restored, planned(hidden(".inner.v", 0))]).changes, []);
    let emptied = diff(is, vec![planned(view), planned(hidden(".inner.v", 0))]);
    assert_eq!(emptied.changes[0].rows, Some(Sides { now: Some(3), expected: Some(0) }));
}

#[test]
fn what_goes_with_a_table_is_lost_unless_the_table_stays() {
    let mut now = world(vec![table("a", "MergeTree", None), table("b", "MergeTree", None)]);
    let host = &mut now.targets.get_mut("destination").unwrap().hosts[0];
    host.detached_parts = BTreeMap::from([("d.a".to_owned(), 3), ("d.b".to_owned(), 1)]);
    host.waiting_files = BTreeMap::from([("d.a".to_owned(), 2)]);
    // Tables of the server itself are no objects of a plan.
    host.detached_parts.insert("system.query_log".to_owned(), 1);
    let moved = Table { renamed_from: Some(("d".into(), "b".into())), ..table("c", "MergeTree", None) };
    let after = world(vec![planned(table("a", "MergeTree", None)), moved]);
    let found = world_diff(&now, &after, &Untold::default()).remove(0);
    let lost = LostWith { table: "d.a".into(), detached_parts: 3, waiting_files: 2, waiting_rows: 0 };
    assert_eq!(found.lost, [lost]);
    assert_eq!(world_diff(&now, &now, &Untold::default())[0].lost, []);
    // Set aside with its database.
    let aside: Vec<Table> = ["a", "b"]
        .iter()
        .map(|name| Table { database: "kept".into(), ..table(name, "MergeTree", None) })
        .map(|table| Table { uuid: format!("{}-1", table.name), ..table })
        .collect();
    for (at, table) in aside.iter().enumerate() {
        now.targets.get_mut("destination").unwrap().hosts[0].tables[at].uuid.clone_from(&table.uuid);
    }
    assert_eq!(world_diff(&now, &world(aside), &Untold::default())[0].lost, []);
}

/// A plan that clears `/x`, in which these nodes and tables stand.
fn clearing(outside: &[&str], tables: &[(&str, &[&str])]) -> Plan {
    let known: BTreeMap<&str, _> = tables
        .iter()
        .map(|(path, replicas)| (*path, serde_json::json!({ "replicas": replicas, "children": [] })))
        .collect();
    let mut operation = Operation::new(&StepId::from("s"), "clear_keeper", "clear", "Keeper path /x", Effect::Destroy)
        .with_data(&serde_json::json!({ "path": "/x", "planned": { "outside": outside, "tables": known } }));
    operation.target = Some("destination".to_owned());
    let mut plan: Plan = serde_json::from_value(serde_json::json!({
        "format_version": 1, "tool_version": "t", "runbook": "r", "summary": "s", "runbook_digest": "d",
        "runbook_text": "x", "runbook_file": "f", "environment": "e", "parameters": {}, "hosts": [],
        "steps": [], "operations": [], "facts": [], "guards": {}, "notes": [], "digest": ""
    }))
    .unwrap();
    plan.operations.push(operation);
    plan
}

#[test]
fn what_vanishes_from_keeper_is_told_once_and_of_its_own_keeper() {
    let environment = |source: &str| -> Environment {
        let host = |keeper: &str| serde_json::json!({ "hosts": [{ "name": "h", "url": "http://h" }], "keeper": { "hosts": [keeper] } });
        serde_json::from_value(serde_json::json!({
            "apiVersion": "clickferry/v1", "kind": "Environment", "metadata": { "name": "e" },
            "targets": { "source": host(source), "destination": host("k1:2181") }
        }))
        .unwrap()
    };
    let found = |plan: &Plan, environment: &Environment, now: &World, after: &World| -> Vec<String> {
        let found = keeper_diff(plan, environment, now, after);
        found.into_iter().map(|one| format!("{:?} {}", one.object, one.path)).collect()
    };
    let none = world(Vec::new());
    let plan = clearing(&["/x", "/x/left", "/x/left/over"], &[("/x/ghost", &[]), ("/x/t", &["r1", "r9"])]);
    let mut at_t = table("t", "ReplicatedMergeTree", None);
    (at_t.zookeeper_path, at_t.replica_name) = (Some("/x/t".to_owned()), Some("r1".to_owned()));
    let there = world(vec![at_t.clone()]);
    assert_eq!(
        found(&plan, &environment("k1:2181"), &there, &none),
        ["Table /x/ghost", "Replica /x/t/replicas/r9", "Node /x/left"]
    );
    assert_eq!(
        found(&clearing(&["/x"], &[("/x/ghost", &[])]), &environment("k1:2181"), &none, &none),
        ["Table /x/ghost"]
    );
    // What another target has in a Keeper of its own is not what stands in this one.
    let mut elsewhere = none.clone();
    let target = there.targets["destination"].clone();
    elsewhere.targets.insert("source".to_owned(), target);
    let plan = clearing(&["/x"], &[("/x/t", &["r1"])]);
    assert_eq!(found(&plan, &environment("k1:2181"), &elsewhere, &elsewhere), Vec::<String>::new());
    assert_eq!(found(&plan, &environment("k2:2181"), &elsewhere, &elsewhere), ["Table /x/t"]);
}
