//! A large plan, made up: what a move of many tables to a cluster of several replicas becomes.

use clickferry::model::ids::{HostName, OperationId, StepId};
use clickferry::plan::fact::Fact;
use clickferry::plan::operation::{Effect, Loss, Operation};
use clickferry::plan::plan_file::{PLAN_VERSION, Plan};
use clickferry::plan::statement::Statement;
use clickferry::plan::text_diff::TextDiff;
use serde_json::{Value, json};

/// A plan that drops a database of `tables` on each of `hosts`, creates the tables, loads and verifies them.
pub fn large_plan(tables: usize, hosts: usize) -> Plan {
    let names: Vec<HostName> = (1..=hosts).map(|number| HostName(format!("replica{number}"))).collect();
    let mut operations = Vec::new();
    operations.extend(numbered("recreate", names.iter().map(|host| drop(host, tables)).collect()));
    let objects = (0..tables).map(table_name);
    operations.extend(numbered(
        "create-tables",
        objects
            .clone()
            .enumerate()
            .flat_map(|(at, table)| names.iter().map(move |host| create(at, &table, host)))
            .collect(),
    ));
    operations.extend(numbered("restore", objects.clone().map(|table| restore(&table, &names)).collect()));
    operations.extend(numbered("verify", names.iter().map(|host| verify(host, tables)).collect()));
    let facts = names.iter().flat_map(|host| {
        objects.clone().map(move |table| {
            Fact::new(
                host,
                format!("table default.{table} that is dropped"),
                "400 rows, UUID 1b9d6bcd, definition 6a1f",
                "SELECT uuid FROM system.tables",
            )
        })
    });
    let steps = [
        ("recreate", "recreate_database"),
        ("create-tables", "create_replicated"),
        ("restore", "restore"),
        ("verify", "verify"),
    ];
    let plan: Plan = serde_json::from_value(json!({
        "format_version": PLAN_VERSION,
        "tool_version": "0.0.0",
        "runbook": "many-tables",
        "summary": "Move a database of many tables",
        "runbook_digest": "",
        "runbook_text": "",
        "runbook_file": "many-tables.yaml",
        "environment": "staging",
        "parameters": {},
        "hosts": names.iter().enumerate().map(|(at, name)| planned_host(at, name)).collect::<Vec<_>>(),
        "steps": steps.iter().map(|(id, action)| step(id, action)).collect::<Vec<_>>(),
        "operations": [],
        "facts": [],
        "guards": { "loss": { "tables": 100_000, "rows": 100_000_000 } },
        "notes": [],
        "digest": ""
    }))
    .unwrap();
    Plan { operations, facts: facts.collect(), ..plan }.sealed()
}

fn table_name(number: usize) -> String {
    format!("events_{number:04}")
}

fn numbered(step: &str, mut operations: Vec<Operation>) -> Vec<Operation> {
    for (at, operation) in operations.iter_mut().enumerate() {
        operation.id = OperationId(format!("{step}/{}", at + 1));
    }
    operations
}

fn planned_host(at: usize, name: &HostName) -> Value {
    json!({
        "target": "destination",
        "name": name,
        "url": format!("http://clickhouse-{at}:8123"),
        "shard": "01",
        "version": "26.7.2.1",
        "identity": format!("uuid 0000-{at} on clickhouse-{at}")
    })
}

fn step(id: &str, action: &str) -> Value {
    json!({
        "id": id,
        "action": action,
        "description": null,
        "arguments": null,
        "skipped": null,
        "on_failure": "stop",
        "retry": null,
        "timeout_ms": null,
        "confirm": null,
        "point_of_no_return": false
    })
}

fn drop(host: &HostName, tables: usize) -> Operation {
    let held: Vec<Value> = (0..tables).map(|at| json!({ "name": table_name(at), "rows": 400 })).collect();
    let count = tables as u64;
    Operation::new(
        &StepId::from("recreate"),
        "recreate_database",
        "drop_database",
        "database `default`",
        Effect::Destroy,
    )
    .on("destination", host)
    .statement(Statement::exact("DROP DATABASE `default` SYNC"))
    .loses(Loss { tables: count, rows: count * 400, bytes: count * 9000, keeper_nodes: 0 })
    .promises(format!("{tables} tables"), "gone", "not in system.databases")
    .with_data(&json!({ "tables": held }))
}

fn create(at: usize, table: &str, host: &HostName) -> Operation {
    // Every seventh table has another engine, as in life.
    let (engine, arguments) = if at % 7 == 3 { ("ReplacingMergeTree", ", modified_at") } else { ("MergeTree", "") };
    let columns: String =
        (0..12).map(|column| format!(", `column_{column}` LowCardinality(String) DEFAULT 'nothing, really'")).collect();
    let definition = |engine: &str| {
        format!(
            "CREATE TABLE default.{table} (`id` UUID, `modified_at` DateTime64(6, 'UTC'){columns}) ENGINE = {engine} PARTITION BY toYYYYMM(modified_at) ORDER BY id SETTINGS index_granularity = 8192"
        )
    };
    let replicated = definition(&format!(
        "Replicated{engine}('/clickhouse/tables/{{shard}}/default/{table}', '{{replica}}'{arguments})"
    ));
    let plain = definition(&if arguments.is_empty() { engine.to_owned() } else { format!("{engine}(modified_at)") });
    Operation::new(
        &StepId::from("create-tables"),
        "create_replicated",
        "create_table",
        format!("table `default`.`{table}`"),
        Effect::Write,
    )
    .on("destination", host)
    .made_from(TextDiff::between(format!("default.{table} on standalone"), &plain, &replicated))
    .statement(Statement::exact(replicated))
    .promises(
        "not there",
        format!("Replicated{engine} at /clickhouse/tables/01/default/{table} as {host}"),
        "definition, columns, Keeper path and replica name as planned, writable",
    )
}

fn restore(table: &str, hosts: &[HostName]) -> Operation {
    let text = format!(
        "RESTORE TABLE `default`.`{table}` FROM S3('https://bucket/${{step back-up path -}}', ${{secret storage.backups.access_key}}, ${{secret storage.backups.secret_key}}) SETTINGS id='${{operation.id}}' ASYNC"
    );
    let mut operation =
        Operation::new(&StepId::from("restore"), "restore", "restore", format!("table default.{table}"), Effect::Write)
            .on("destination", &hosts[0])
            .statement(Statement::late(text))
            .promises(
                "empty on every replica",
                "the rows of the backup on every replica",
                "rows equal the manifest on every replica",
            );
    operation.estimate_rows = Some(400);
    operation.estimate_bytes = Some(9000);
    operation
}

fn verify(host: &HostName, tables: usize) -> Operation {
    let names: Vec<String> = (0..tables).map(table_name).collect();
    let counts = names.chunks(100).map(|batch| {
        let one = |(at, name)| format!("SELECT {at} AS number, count() AS counted FROM `default`.`{name}`");
        let all: Vec<String> = batch.iter().enumerate().map(one).collect();
        Statement::exact(format!("{} SETTINGS optimize_trivial_count_query = 0", all.join(" UNION ALL ")))
    });

    Operation::new(&StepId::from("verify"), "verify", "verify", "database default", Effect::Read)
        .on("destination", host)
        .statements(counts)
        .promises("", "rows equal backup step `back-up`", "every table counted by reading it")
}
