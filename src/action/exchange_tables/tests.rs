use serde_json::json;

use super::*;
use crate::action::planning::{Planned, host, plan_with, subjects, table, world};
use crate::model::observed::{Database, HostWorld, Table};
use crate::plan::operation::Effect;

const ROLE: &str = "destination";

fn arguments() -> Value {
    json!({ "on": ROLE, "database": "d", "pairs": [{ "table": "runs", "with": "runs_new" }] })
}

/// A replicated table of two replicas, as a server shows it.
fn replicated(name: &str, columns: &str, order: &str) -> Table {
    Table {
        zookeeper_path: Some(format!("/t/{name}")),
        total_replicas: Some(2),
        create_query: format!(
            "CREATE TABLE d.{name} ({columns}) ENGINE = ReplicatedMergeTree('/t/{name}', '{{replica}}') ORDER BY {order}"
        )
        .into(),
        ..table("d", name, "ReplicatedMergeTree", Some(if name == "runs" { 3 } else { 5 }))
    }
}

fn hosts() -> Vec<HostWorld> {
    ["r1", "r2"]
        .into_iter()
        .map(|name| {
            let mut host = host(name);
            host.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: "u".into() });
            let columns = "`id` UInt64, `day` Date";
            host.tables.add([replicated("runs", columns, "id"), replicated("runs_new", columns, "(id, day)")]);
            host
        })
        .collect()
}

fn planned(hosts: Vec<HostWorld>) -> Planned {
    plan_with(&ExchangeTables, &arguments(), &Value::Null, world(ROLE, hosts))
}

/// Refusals of a plan, with what was expected and found.
fn refused(hosts: Vec<HostWorld>) -> Vec<Refusal> {
    planned(hosts).operations.expect_err("refused")
}

#[test]
fn all_hosts_are_looked_at_before_and_after_and_each_is_exchanged_once() {
    let planned = planned(hosts());
    let operations = planned.operations.expect("planned");
    let shown: Vec<(&str, Option<&str>, u32, Effect)> = operations
        .iter()
        .map(|operation| {
            let host = operation.host.as_ref().map(HostName::as_str);
            (operation.kind.as_str(), host, operation.wave, operation.effect)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("look_at", Some("r1"), 0, Effect::Read),
            ("exchange", Some("r1"), 1, Effect::Write),
            ("exchange", Some("r2"), 1, Effect::Write),
            ("compare", Some("r1"), 2, Effect::Read),
        ]
    );
    assert_eq!(operations[1].statements[0].text.as_str(), "EXCHANGE TABLES `d`.`runs` AND `d`.`runs_new`");
    assert_eq!(
        operations[1].after,
        "`d`.`runs` is what `d`.`runs_new` was (at /t/runs_new in Keeper), `d`.`runs_new` is what `d`.`runs` was (at /t/runs in Keeper)"
    );
    assert!(operations.iter().all(|operation| operation.loss.is_nothing()));
    assert_eq!(
        subjects(&planned.facts),
        ["r1", "r2"]
            .iter()
            .flat_map(|host| {
                [
                    "database d",
                    "definition of d.runs",
                    "definition of d.runs_new",
                    "replicas of d.runs",
                    "replicas of d.runs_new",
                ]
                .map(|subject| format!("{host}: {subject}"))
            })
            .collect::<Vec<_>>()
    );
    assert_eq!(planned.notes.len(), 2, "{:#?}", planned.notes);
    assert!(planned.notes[0].contains("ORDER BY is `( id , day )` instead of `id`"), "{:#?}", planned.notes);
    assert!(planned.notes[1].contains("`d`.`runs` is at /t/runs_new from then on"), "{:#?}", planned.notes);
}

#[test]
fn later_steps_see_each_table_under_its_new_name_and_none_of_it_as_a_fact() {
    let mut hosts = hosts();
    hosts[0].detached_parts.insert("d.runs".into(), 2);
    hosts[0].mutations = vec!["d.runs_new: DELETE WHERE 1".into()];
    let after = planned(hosts).world.targets[ROLE].hosts[0].clone();
    let runs = after.table("d", "runs").expect("there");
    assert_eq!(
        (runs.uuid.as_str(), runs.rows, runs.zookeeper_path.as_deref()),
        ("uuid-runs_new", Some(5), Some("/t/runs_new"))
    );
    assert!(
        runs.create_query.starts_with("CREATE TABLE `d`.`runs` (`id`")
            && runs.create_query.contains("ORDER BY (id, day)")
    );
    assert_eq!(crate::action::facts::definition(&after, "d", "runs"), None);
    let lost = crate::action::facts::loses(&after.name, runs, "dropped").expect("a fact");
    assert_eq!(lost.subject, "table d.runs_new, d.runs by then, that is dropped");
    assert!(lost.query.contains("name = 'runs_new'") && lost.value == "5 rows, UUID uuid-runs_new", "{lost:?}");
    assert_eq!((after.detached_parts.get("d.runs"), after.detached_parts.get("d.runs_new")), (None, Some(&2)));
    assert_eq!(after.mutations, ["d.runs: DELETE WHERE 1"]);
    // A third table gets the name in another step: the words are those of what stands there by then.
    let mut third = after.clone();
    third.tables.add([replicated("runs_third", "`id` UInt64, `day` Date", "id")]);
    let third = alone(&third);
    let arguments = json!({ "on": ROLE, "pairs": [{ "table": "d.runs", "with": "d.runs_third" }] });
    let planned = plan_with(&ExchangeTables, &arguments, &Value::Null, world(ROLE, vec![third]));
    let operations = planned.operations.expect("planned");
    assert_eq!(operations.len(), 1, "one host needs no comparing");
    let Data::Exchange(swap) = operations[0].data.read().expect("data") else { panic!("{:?}", operations[0]) };
    assert_eq!(swap.uuids, [Some("uuid-runs_new".to_owned()), Some("uuid-runs_third".to_owned())]);
}

/// One host whose tables have no other replicas.
fn alone(host: &HostWorld) -> HostWorld {
    let mut host = host.clone();
    host.tables.change_all(|_| true, |table| table.total_replicas = Some(1));
    host
}

#[test]
fn a_table_that_an_earlier_step_makes_is_told_apart_at_its_gate() {
    let mut hosts = hosts();
    for host in &mut hosts {
        host.tables.add([Table {
            create_query: "CREATE TABLE d.runs_new AS d.runs".into(),
            uuid: String::new(),
            ..table("d", "runs_new", "", Some(0))
        }]);
        host.tables.change("d", "runs", |table| table.zookeeper_path = None);
    }
    let operations = planned(hosts).operations.expect("planned");
    let Data::Exchange(swap) = operations[1].data.read().expect("data") else { panic!("{:?}", operations[1]) };
    assert_eq!(swap.uuids, [Some("uuid-runs".to_owned()), None]);
    assert_eq!(operations[1].before, "`d`.`runs` is one table, `d`.`runs_new` another");
}

#[test]
fn a_half_done_exchange_is_refused_with_what_each_host_says() {
    let mut hosts = hosts();
    for (name, path) in [("runs", "/t/runs_new"), ("runs_new", "/t/runs")] {
        hosts[1].tables.change("d", name, |table| table.zookeeper_path = Some(path.into()));
    }
    let found = refused(hosts.clone());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].what, "step `step`: the replicas do not agree which tables `d`.`runs` and `d`.`runs_new` are");
    assert_eq!(
        found[0].found,
        "`d`.`runs` is /t/runs on r1, /t/runs_new on r2\n`d`.`runs_new` is /t/runs_new on r1, /t/runs on r2"
    );
    assert!(found[0].evidence.starts_with("on r1: SELECT database, table, zookeeper_path FROM system.replicas"));
    // Two shards have tables of their own.
    hosts[1].shard = "02".into();
    for host in &mut hosts {
        *host = alone(host);
    }
    assert!(planned(hosts).operations.is_ok());
}

#[test]
fn a_replica_that_the_environment_does_not_name_would_be_left_behind() {
    let mut hosts = hosts();
    hosts[0].tables.change("d", "runs", |table| table.total_replicas = Some(3));
    let found = refused(hosts);
    assert_eq!((found.len(), found[0].found.as_str()), (1, "3 replicas"), "{found:#?}");
    assert!(found[0].evidence.ends_with("system.zookeeper WHERE path = '/t/runs/replicas'"), "{found:#?}");
}

#[test]
fn different_columns_are_refused_unless_they_are_meant() {
    let mut hosts = hosts();
    for host in &mut hosts {
        host.tables.add([replicated("runs_new", "`id` UInt64, `day` DateTime, `more` String", "id")]);
    }
    let found = refused(hosts.clone());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].what.ends_with("have different columns on r1, r2"), "{found:#?}");
    assert_eq!(
        found[0].found,
        "`day` is Date in `d`.`runs` and DateTime in `d`.`runs_new`\n`more` String is in `d`.`runs_new` only"
    );
    let mut meant = arguments();
    meant["allow_different_columns"] = json!(true);
    assert!(plan_with(&ExchangeTables, &meant, &Value::Null, world(ROLE, hosts)).operations.is_ok());
}

#[test]
fn what_cannot_be_exchanged_is_refused_in_one_go() {
    let mut hosts = hosts();
    hosts[0].tables.retain(|table| table.name != "runs_new");
    hosts[0].tables.change("d", "runs", |table| table.promised_by = Some("restore".into()));
    hosts[1].tables.change("d", "runs", |table| table.engine = "MaterializedView".into());
    hosts[1].tables.change("d", "runs_new", |table| {
        table.create_query =
            "CREATE TABLE d.runs_new (`a` UInt8) ENGINE = ReplicatedMergeTree('/t/{table}', 'r') ORDER BY a".into();
    });
    hosts[1].running_backups = vec!["b".into()];
    let found = refused(hosts);
    let what: Vec<&str> =
        found.iter().map(|refusal| refusal.what.strip_prefix("step `step`: ").unwrap_or_default()).collect();
    assert_eq!(
        what,
        [
            "backups or restores run on r2",
            "`d`.`runs` on r1 is promised by the step `restore` of this plan",
            "the table `d`.`runs_new` will not be there on r1",
            "`d`.`runs` on r2 is no table",
            "`d`.`runs_new` on r2 cannot be renamed (error 48)",
        ]
    );
    assert!(
        found.iter().all(|refusal| refusal.evidence.starts_with("on r") && !refusal.action.is_empty()),
        "{found:#?}"
    );
}

#[test]
fn only_atomic_databases_exchange_host_by_host() {
    for (engine, told) in
        [("Ordinary", "engine Ordinary"), ("Replicated", "carries one statement to all of its replicas")]
    {
        let mut hosts = hosts();
        for host in &mut hosts {
            host.databases.insert("d".into(), Database { engine: engine.into(), uuid: "u".into() });
        }
        let found = refused(hosts);
        assert!(found.iter().all(|refusal| refusal.found.contains(told)), "{found:#?}");
    }
}

#[test]
fn who_goes_by_a_name_is_told() {
    let mut hosts = hosts();
    for host in &mut hosts {
        host.tables.add([
            Table { create_query: "CREATE VIEW d.v AS SELECT id FROM d.runs".into(), ..table("d", "v", "View", None) },
            Table {
                create_query: "CREATE MATERIALIZED VIEW d.m TO d.runs_new (`id` UInt64) AS SELECT id FROM d.other"
                    .into(),
                ..table("d", "m", "MaterializedView", None)
            },
            table("d", "other", "MergeTree", Some(1)),
        ]);
    }
    let notes = planned(hosts).notes;
    let told = notes.iter().find(|note| note.contains("goes by the name")).expect("a note");
    assert!(told.contains("is named in d.m (MaterializedView), d.v (View). ") && !told.contains("other ("), "{told}");
}

#[test]
fn mistakes_in_the_pairs_are_told_with_their_place() {
    let check = |pairs: Value, database: Option<&str>| -> Vec<String> {
        let mut arguments = json!({ "on": ROLE, "pairs": pairs });
        if let Some(database) = database {
            arguments["database"] = json!(database);
        }
        ExchangeTables
            .check(&arguments)
            .into_iter()
            .map(|error| format!("{}: {}", error.pointer, error.message))
            .collect()
    };
    let pair = |table: &str, with: &str| json!({ "table": table, "with": with });
    assert!(check(json!([pair("d.a", "e.b"), pair("d.c", "d.d")]), None).is_empty());
    assert!(check(json!([pair("a", "b")]), Some("d")).is_empty());
    assert_eq!(check(json!([pair("a", "d.b")]), None), ["/pairs/0/table: expected `database.table`"]);
    assert_eq!(check(json!([pair("a", "a")]), Some("d")), ["/pairs/0/with: `d`.`a` cannot be exchanged with itself"]);
    assert_eq!(
        check(json!([pair("a", "b"), pair("c", "a")]), Some("d")),
        ["/pairs/1/with: `d`.`a` stands in pair 1 already"]
    );
    assert_eq!(
        check(json!([pair("system.a", "d.b")]), None),
        ["/pairs/0/table: `system` belongs to the server itself"]
    );
}
