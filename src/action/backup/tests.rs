//! Plans of backups from a hand-made world.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Backup;
use crate::action::planning::{Planned, subjects, table};
use crate::diag::Refusal;
use crate::engine::action::Action;
use crate::engine::context::PlanContext;
use crate::model::environment::Environment;
use crate::model::ids::StepId;
use crate::model::observed::{Database, HostWorld, Table, TargetWorld, World};
use crate::model::runbook::Topology;

/// Plans a step in an environment with the storage `backups`.
pub(crate) fn plan_step(
    action: &dyn Action,
    arguments: &Value,
    observed: &Value,
    mut world: World,
    mut promises: BTreeMap<StepId, Value>,
) -> Planned {
    let environment: Environment = serde_json::from_value(json!({
        "apiVersion": "clickferry/v1", "kind": "Environment", "metadata": { "name": "test" }, "targets": {},
        "storage": { "backups": { "s3": {
            "endpoint": "http://s3:9000", "bucket": "b", "prefix": "p",
            "credentials": { "access_key": { "env": "A" }, "secret_key": { "env": "B" } }
        } } }
    }))
    .expect("environment");
    let (mut facts, mut notes) = (Vec::new(), Vec::new());
    let seen = world.clone();
    let operations = action.plan(&mut PlanContext {
        seen: &seen,
        step: &StepId::from("step"),
        arguments,
        observed,
        world: &mut world,
        environment: &environment,
        facts: &mut facts,
        conversions: &mut Vec::new(),
        notes: &mut notes,
        promises: &mut promises,
    });
    Planned { operations, world, facts, notes, conversions: Vec::new(), promises }
}

/// A server with the database `app` and these tables.
pub(crate) fn server(name: &str, shard: &str, tables: Vec<Table>) -> HostWorld {
    HostWorld {
        name: name.into(),
        shard: shard.into(),
        databases: BTreeMap::from([("app".to_owned(), Database { engine: "Atomic".into(), uuid: "u".into() })]),
        tables: tables.into(),
        ..HostWorld::default()
    }
}

/// A world of one target.
pub(crate) fn target(role: &str, hosts: Vec<HostWorld>) -> World {
    let topology = if hosts.len() == 1 { Topology::Standalone } else { Topology::Replicated };
    World {
        targets: BTreeMap::from([(role.to_owned(), TargetWorld { topology, cluster: None, keeper: false, hosts })]),
    }
}

/// A table with a definition.
pub(crate) fn defined(name: &str, engine: &str, rows: Option<u64>, create: &str) -> Table {
    Table { create_query: create.into(), ..table("app", name, engine, rows) }
}

fn tables() -> Vec<Table> {
    vec![
        table("app", ".inner_id.1", "SummingMergeTree", Some(3)),
        table("app", "jn", "Join", Some(1)),
        table("app", "runs", "MergeTree", Some(5)),
        defined(
            "mv",
            "MaterializedView",
            Some(3),
            "CREATE MATERIALIZED VIEW app.mv (`d` Date) ENGINE = SummingMergeTree ORDER BY d AS SELECT 1",
        ),
        table("app", "v", "View", None),
    ]
}

fn plan(arguments: Value, world: World) -> Planned {
    plan_step(&Backup, &arguments, &Value::Null, world, BTreeMap::new())
}

fn refusals(planned: Planned) -> Vec<Refusal> {
    planned.operations.expect_err("refused")
}

#[test]
fn one_statement_on_a_standalone_server() {
    let planned = plan(
        json!({ "from": "s", "databases": ["app"], "to": "backups", "path": "x/${run.started %Y}", "settings": { "backup_restore_s3_retry_attempts": 5 } }),
        target("s", vec![server("h", "-", tables())]),
    );
    let operations = planned.operations.expect("planned");
    assert_eq!(operations.len(), 1);
    let statement = &operations[0].statements[0];
    assert_eq!(
        statement.text,
        "BACKUP DATABASE `app` TO S3('http://s3:9000/b/p/x/${run.started %Y}${attempt}', ${secret storage.backups.access_key}, \
         ${secret storage.backups.secret_key}) SETTINGS id='${operation.id}', backup_restore_s3_retry_attempts=5 ASYNC"
    );
    assert_eq!(statement.late.len(), 5);
    assert_eq!(operations[0].estimate_rows, Some(8), "runs and mv; of jn no rows are written");
    let promised = &planned.promises[&StepId::from("step")]["shards"]["-"]["tables"];
    let rows: Vec<(&str, Option<u64>)> = promised
        .as_array()
        .expect("list")
        .iter()
        .map(|table| (table["table"].as_str().unwrap_or_default(), table["rows"].as_u64()))
        .collect();
    assert_eq!(rows, [("jn", None), ("mv", Some(3)), ("runs", Some(5)), ("v", None)]);
    assert!(planned.notes.iter().any(|note| note.contains("app.jn (Join)")), "{:?}", planned.notes);
    assert_eq!(
        subjects(&planned.facts),
        [
            "h: definition of app.jn",
            "h: definition of app.mv",
            "h: definition of app.runs",
            "h: definition of app.v",
            "h: tables of `app`"
        ]
    );
}

#[test]
fn a_source_that_is_written_to_gives_the_same_plan() {
    let arguments = json!({ "from": "s", "databases": ["app"], "to": "backups", "path": "x" });
    let plan_with = |rows| {
        let mut tables = tables();
        tables[2].rows = Some(rows);
        let planned = plan(arguments.clone(), target("s", vec![server("h", "-", tables)]));
        let mut operations = planned.operations.expect("planned");
        (operations[0].estimate_rows, operations[0].estimate_bytes) = (None, None);
        (serde_json::to_string(&operations).expect("json"), planned.facts)
    };
    assert_eq!(plan_with(5), plan_with(500));
}

#[test]
fn every_shard_has_a_folder_of_its_own() {
    let hosts = vec![server("a1", "01", tables()), server("a2", "01", tables()), server("b1", "02", tables())];
    let planned = plan(json!({ "from": "s", "databases": ["app"], "to": "backups", "path": "x" }), target("s", hosts));
    let operations = planned.operations.expect("planned");
    let seen: Vec<(&str, bool)> = operations
        .iter()
        .map(|operation| {
            let path =
                format!("/p/x/shard-{}${{attempt}}'", operation.data.value()["shard"].as_str().unwrap_or_default());
            (operation.host.as_ref().map_or("-", |host| host.as_str()), operation.statements[0].text.contains(&path))
        })
        .collect();
    assert_eq!(seen, [("a1", true), ("b1", true)]);
    assert!(planned.notes.iter().any(|note| note.contains("not replicated")), "{:?}", planned.notes);
}

#[test]
fn exceptions_stand_last_and_other_databases_with_some_become_tables() {
    let mut host = server("h", "-", tables());
    host.databases.insert("b".to_owned(), Database::default());
    host.tables.add([table("b", "x", "Log", None), table("b", "y", "Log", None)]);
    let arguments = json!({ "from": "s", "databases": ["b", "app"], "except_tables": ["b.x", "app.v", "app.jn"], "to": "backups", "path": "x" });
    let operations = plan(arguments, target("s", vec![host])).operations.expect("planned");
    let text = &operations[0].statements[0].text;
    assert!(
        text.starts_with("BACKUP TABLE `b`.`y`, DATABASE `app` EXCEPT TABLES `app`.`v`, `app`.`jn` TO S3("),
        "{text}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut host = server("h", "-", tables());
    host.tables.change("app", "runs", |table| table.is_readonly = true);
    let arguments =
        json!({ "from": "s", "databases": ["app", "nosuch"], "tables": ["app.gone"], "to": "backups", "path": "x" });
    let observed = json!({ "taken": { "x": [".backup"] } });
    let planned = plan_step(&Backup, &arguments, &observed, target("s", vec![host]), BTreeMap::new());
    let told: Vec<String> = refusals(planned).into_iter().map(|refusal| refusal.what).collect();
    for part in ["path x", "`nosuch`", "`app`.`gone`", "app.runs is read-only"] {
        assert!(told.iter().any(|what| what.contains(part)), "{part}: {told:?}");
    }
}

#[test]
fn arguments_that_the_schema_lets_pass() {
    let pointers =
        |arguments: Value| -> Vec<String> { Backup.check(&arguments).into_iter().map(|error| error.pointer).collect() };
    assert_eq!(pointers(json!({ "from": "s", "to": "b", "path": "x.zip" })), ["/path", ""]);
    assert_eq!(
        pointers(json!({ "from": "s", "to": "b", "path": "x", "databases": ["a"], "except_tables": ["b.t"] })),
        ["/except_tables/0"]
    );
}
