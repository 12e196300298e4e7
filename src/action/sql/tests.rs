//! Planning of `sql` against worlds made by hand.

use serde_json::json;

use super::Sql;
use crate::action::planning::{host, plan_with, subjects, table, world};
use crate::engine::action::Action;
use crate::model::observed::{Database, HostWorld, World};
use crate::plan::operation::{Effect, Operation};

fn replica(name: &str) -> HostWorld {
    let mut host = host(name);
    host.databases.insert("d".to_owned(), Database { engine: "Atomic".to_owned(), uuid: format!("uuid-{name}") });
    let mut replicated = table("d", "r", "ReplicatedMergeTree", Some(100));
    replicated.zookeeper_path = Some("/t/01/d/r".to_owned());
    let view = table("d", "mv", "MaterializedView", None);
    host.tables.add([
        table("d", ".inner_id.uuid-mv", "SummingMergeTree", Some(3)),
        view,
        table("d", "own", "MergeTree", Some(7)),
        replicated,
    ]);
    host
}

fn replicas() -> World {
    world("to", vec![replica("r1"), replica("r2")])
}

fn planned(statements: &[&str], every: &str) -> Vec<Operation> {
    let arguments = json!({ "on": "to", "every": every, "statements": statements });
    plan_with(&Sql, &arguments, &json!(null), replicas()).operations.expect("possible")
}

fn problems(statements: &[&str]) -> Vec<String> {
    let arguments = json!({ "on": "to", "statements": statements });
    let refusals = plan_with(&Sql, &arguments, &json!(null), replicas()).operations.expect_err("impossible");
    refusals.into_iter().map(|refusal| refusal.what).collect()
}

#[test]
fn one_operation_per_statement_and_host_wave_after_wave() {
    let operations = planned(&["SELECT 1; CREATE DATABASE e", "CREATE TABLE e.t (a Int8) ENGINE = Log"], "replica");
    let seen: Vec<(u32, &str, Effect)> =
        operations.iter().map(|operation| (operation.wave, operation.lane.as_str(), operation.effect)).collect();
    assert_eq!(
        seen,
        [
            (0, "r1", Effect::Read),
            (0, "r2", Effect::Read),
            (1, "r1", Effect::Write),
            (1, "r2", Effect::Write),
            (2, "r1", Effect::Write),
            (2, "r2", Effect::Write)
        ]
    );
    assert_eq!(planned(&["SELECT 1"], "any").len(), 1);
}

#[test]
fn a_drop_loses_what_the_world_holds_also_behind_a_view() {
    let operations = planned(&["DROP TABLE d.own, d.mv", "DROP DATABASE d"], "any");
    assert_eq!((operations[0].loss.tables, operations[0].loss.rows), (2, 10));
    assert_eq!((operations[1].loss.tables, operations[1].loss.rows), (1, 100), "the rest of the database");
    assert_eq!(operations[1].object, "database d");
}

#[test]
fn what_reaches_all_replicas_is_charged_once_for_all_of_them() {
    let rows = |statement: &str, every: &str| -> Vec<u64> {
        planned(&[statement], every).iter().map(|operation| operation.loss.rows).collect()
    };
    assert_eq!(rows("TRUNCATE TABLE d.r", "replica"), [200, 0]);
    assert_eq!(rows("ALTER TABLE d.r DELETE WHERE 1", "replica"), [200, 0]);
    assert_eq!(rows("ALTER TABLE d.r DELETE WHERE 1", "any"), [200]);
    assert_eq!(rows("DROP TABLE d.r", "replica"), [100, 100]);
    assert_eq!(rows("DELETE FROM d.own WHERE 1", "replica"), [7, 7]);
}

#[test]
fn the_world_is_left_as_the_statements_leave_it() {
    let arguments = json!({ "on": "to", "statements": ["DROP TABLE d.mv", "TRUNCATE d.own", "CREATE TABLE d.n (a Int8) ENGINE = Log"] });
    let planned = plan_with(&Sql, &arguments, &json!(null), replicas());
    let host = &planned.world.targets["to"].hosts[0];
    let names: Vec<&str> = host.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["n", "own", "r"]);
    assert_eq!(host.table("d", "own").and_then(|table| table.rows), Some(0));
    assert_eq!(
        subjects(&planned.facts),
        [
            "r1: definition of d.mv",
            "r1: definition of d.n",
            "r1: definition of d.own",
            "r1: table d..inner_id.uuid-mv that is to lose rows",
            "r1: table d.own that is to lose rows",
            "r2: definition of d.mv",
            "r2: definition of d.n",
            "r2: definition of d.own",
            "r2: table d..inner_id.uuid-mv that is to lose rows",
            "r2: table d.own that is to lose rows"
        ]
    );
}

#[test]
fn everything_impossible_is_told_in_one_go() {
    let found = problems(&[
        "DROP TABLE d.none",
        "CREATE DATABASE d",
        "CREATE TABLE e.t (a Int8) ENGINE = Log",
        "DROP TABLE IF EXISTS system.parts",
        "INSERT INTO d.r SELECT 1",
    ]);
    assert_eq!(found.len(), 9, "{found:#?}");
    assert!(found.iter().any(|what| what.contains("more than once")), "{found:#?}");
    assert_eq!(planned(&["DROP TABLE IF EXISTS d.none"], "any")[0].loss.rows, 0);
    assert_eq!(planned(&["INSERT INTO d.r SELECT 1"], "shard").len(), 1);
}

#[test]
fn what_a_truncate_empties_behind_its_table_is_charged_and_a_drop_of_it_is_not() {
    let loss = |engine: &str, statement: &str| {
        let mut replica = replica("r1");
        replica.tables.add([table("d", "window", engine, None)]);
        let arguments = json!({ "on": "to", "every": "any", "statements": [statement] });
        let planned = plan_with(&Sql, &arguments, &json!(null), world("to", vec![replica]));
        let operations = planned.operations.expect("possible");
        (operations[0].loss.tables, planned.notes.iter().any(|note| note.contains("d.window")))
    };
    for engine in ["S3", "GCS", "AzureBlobStorage", "IcebergS3", "DeltaLake", "Redis", "Alias", "File"] {
        assert_eq!(loss(engine, "TRUNCATE TABLE d.window"), (1, true), "{engine}");
        assert_eq!(loss(engine, "DROP TABLE d.window").0, 0, "{engine}");
    }
    assert_eq!(loss("Merge", "TRUNCATE TABLE d.window").0, 0);
}

#[test]
fn a_declared_loss_stands_where_none_can_be_told() {
    let arguments = json!({ "on": "to", "statements": ["ALTER TABLE d.own DROP DETACHED PARTITION ALL"], "loss": { "tables": 0, "rows": 5 } });
    let operations = plan_with(&Sql, &arguments, &json!(null), replicas()).operations.expect("possible");
    assert_eq!(operations.iter().map(|operation| operation.loss.rows).collect::<Vec<_>>(), [5, 5]);
}

#[test]
fn mistakes_have_their_place() {
    let pointers = |arguments: serde_json::Value| -> Vec<String> {
        Sql.check(&arguments).into_iter().map(|error| error.pointer).collect()
    };
    let probe = json!({ "query": "SELECT 1", "done_when": 1 });
    assert!(pointers(json!({ "on": "to", "statements": ["DROP TABLE d.t"], "probe": probe })).is_empty());
    assert_eq!(
        pointers(json!({ "on": "to", "statements": ["DROP TABLE d.t", "DROP TABLE d.u"], "probe": probe })),
        ["/probe"]
    );
    assert_eq!(
        pointers(json!({ "on": "to", "statements": ["SELECT 1", "DROP TABLE d.t ON CLUSTER c"] })),
        ["/statements/1"]
    );
    assert_eq!(pointers(json!({ "on": "to", "statements": ["DROP TABLE t"] })), ["/statements/0"]);
    assert!(pointers(json!({ "on": "to", "database": "d", "statements": ["DROP TABLE t"] })).is_empty());
    assert_eq!(
        pointers(
            json!({ "on": "to", "statements": ["SELECT 1"], "expect": { "query": "DROP TABLE a.b", "equals": 1 } })
        ),
        ["/expect/query"]
    );
}

#[test]
fn planned_twice_is_the_same() {
    let once =
        || serde_json::to_string(&planned(&["DROP DATABASE d", "CREATE DATABASE d"], "replica")).expect("plain data");
    assert_eq!(once(), once());
}

#[test]
fn what_the_server_would_not_let_go_is_refused_unless_the_statement_lifts_the_limit() {
    let mut replica = replica("r1");
    replica.max_drop_bytes = Some(69);
    let refused = |statement: &str| {
        let arguments = json!({ "on": "to", "statements": [statement] });
        let planned = plan_with(&Sql, &arguments, &json!(null), world("to", vec![replica.clone()]));
        planned.operations.err().map(|found| found[0].what.clone())
    };
    for statement in ["DROP TABLE d.own", "TRUNCATE TABLE d.own", "DROP DATABASE d", "TRUNCATE DATABASE d"] {
        let found = refused(statement);
        assert!(found.as_ref().is_some_and(|what| what.contains("(359)")), "{statement}: {found:?}");
    }
    assert_eq!(refused("DROP TABLE d.mv"), None);
    assert_eq!(refused("DELETE FROM d.own WHERE 1"), None);
    assert_eq!(refused("DROP TABLE d.own SETTINGS max_table_size_to_drop = 0"), None);
}
