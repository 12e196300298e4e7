//! Every reason why an object cannot be converted: what the refusal says, what is to be done, and what the list of
//! conversions says where the object is left out.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use super::CreateReplicated;
use super::gather::Observed;
use crate::action::planning::{Planned, host, plan_with, table, world};
use crate::model::observed::{Database, HostWorld, TargetWorld};
use crate::model::runbook::Topology;
use crate::plan::convert::Reason;

const QUERY: &str = "AS SELECT id, arrayJoin(m) AS kv, kv.1 AS k FROM d.t";

/// Name, engine as `system.tables` tells it, what stands behind `CREATE`, and why it cannot be converted.
const CASES: &[(&str, &str, &str, Option<Reason>)] = &[
    ("memory", "Memory", "TABLE d.memory (`a` UInt8) ENGINE = Memory", Some(Reason::Local)),
    ("joined", "Join", "TABLE d.joined (`a` UInt8) ENGINE = Join(ANY, LEFT, a)", Some(Reason::Local)),
    (
        "rocks",
        "EmbeddedRocksDB",
        "TABLE d.rocks (`a` UInt8) ENGINE = EmbeddedRocksDB PRIMARY KEY a",
        Some(Reason::Local),
    ),
    ("file", "File", "TABLE d.file (`a` UInt8) ENGINE = File('CSV')", Some(Reason::Local)),
    ("kafka", "Kafka", "TABLE d.kafka (`a` UInt8) ENGINE = Kafka('h:9092', 't', 'g', 'JSON')", Some(Reason::Queue)),
    (
        "rabbit",
        "RabbitMQ",
        "TABLE d.rabbit (`a` UInt8) ENGINE = RabbitMQ SETTINGS rabbitmq_host_port = 'h:5672', rabbitmq_format = 'JSON'",
        Some(Reason::Queue),
    ),
    (
        "rabbit_secret",
        "RabbitMQ",
        "TABLE d.rabbit_secret (`a` UInt8) ENGINE = RabbitMQ SETTINGS rabbitmq_password = '[HIDDEN]'",
        Some(Reason::Secret),
    ),
    ("nats", "NATS", "TABLE d.nats (`a` UInt8) ENGINE = NATS SETTINGS nats_url = 'h:4222'", Some(Reason::Queue)),
    (
        "s3queue",
        "S3Queue",
        "TABLE d.s3queue (`a` UInt8) ENGINE = S3Queue('http://h/b/*', 'CSV') SETTINGS mode = 'unordered'",
        Some(Reason::Queue),
    ),
    (
        "azurequeue",
        "AzureQueue",
        "TABLE d.azurequeue (`a` UInt8) ENGINE = AzureQueue(mine) SETTINGS mode = 'unordered'",
        Some(Reason::Queue),
    ),
    ("filelog", "FileLog", "TABLE d.filelog (`a` UInt8) ENGINE = FileLog('/x', 'CSV')", Some(Reason::Queue)),
    (
        "postgres",
        "MaterializedPostgreSQL",
        "TABLE d.postgres (`a` UInt8) ENGINE = MaterializedPostgreSQL(mine) PRIMARY KEY a",
        Some(Reason::Queue),
    ),
    (
        "postgres_secret",
        "MaterializedPostgreSQL",
        "TABLE d.postgres_secret (`a` UInt8) ENGINE = MaterializedPostgreSQL('h:5432', 'd', 't', 'u', '[HIDDEN]') PRIMARY KEY a",
        Some(Reason::Secret),
    ),
    (
        "mysql",
        "MySQL",
        "TABLE d.mysql (`a` UInt8) ENGINE = MySQL('h:1', 'd', 't', 'u', '[HIDDEN]')",
        Some(Reason::Secret),
    ),
    ("redis", "Redis", "TABLE d.redis (`a` UInt8) ENGINE = Redis('h:6379') PRIMARY KEY a", Some(Reason::Secret)),
    ("old", "MergeTree", "TABLE d.old (`d` Date, `a` UInt8) ENGINE = MergeTree(d, a, 8192)", Some(Reason::OldSyntax)),
    (
        "refreshed",
        "MaterializedView",
        "MATERIALIZED VIEW d.refreshed REFRESH EVERY 1 DAY (`a` UInt8) ENGINE = MergeTree ORDER BY a AS SELECT 1 AS a",
        Some(Reason::Refreshable),
    ),
    (
        "from_file",
        "Dictionary",
        "DICTIONARY d.from_file (`k` UInt64) PRIMARY KEY k SOURCE(FILE(PATH '/x' FORMAT 'CSV')) LIFETIME(0) LAYOUT(FLAT())",
        Some(Reason::Machine),
    ),
    (
        "from_program",
        "Dictionary",
        "DICTIONARY d.from_program (`k` UInt64) PRIMARY KEY k SOURCE(EXECUTABLE(COMMAND 'x')) LIFETIME(0) LAYOUT(FLAT())",
        Some(Reason::Machine),
    ),
    (
        "pairs",
        "MaterializedView",
        "MATERIALIZED VIEW d.pairs TO d.x (`id` UInt64, `k` String) QUERY",
        Some(Reason::ArrayJoin),
    ),
    ("strange", "Strange", "TABLE d.strange (`a` UInt8) ENGINE = Strange", Some(Reason::Unknown)),
    ("function", "StorageProxy", "TABLE d.function (`a` UInt8) AS numbers(5)", Some(Reason::Unknown)),
    ("window", "WindowView", "WINDOW VIEW d.window (`a` UInt8) AS SELECT 1 AS a", Some(Reason::Unknown)),
    // A plain view is created all the same, and told of.
    ("plain", "View", "VIEW d.plain (`id` UInt64, `k` String) QUERY", None),
];

/// The next reason; a new one does not compile before it has its place here.
fn after(reason: Reason) -> Option<Reason> {
    match reason {
        Reason::Local => Some(Reason::Queue),
        Reason::Queue => Some(Reason::Secret),
        Reason::Secret => Some(Reason::OldSyntax),
        Reason::OldSyntax => Some(Reason::Refreshable),
        Reason::Refreshable => Some(Reason::Machine),
        Reason::Machine => Some(Reason::ArrayJoin),
        Reason::ArrayJoin => Some(Reason::Unknown),
        Reason::Unknown => None,
    }
}

fn planned(except: &[&str]) -> Planned {
    let mut source = HostWorld { name: "s".into(), shard: "-".into(), ..HostWorld::default() };
    source.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: "u".into() });
    let t = ("t", "MergeTree", "TABLE d.t (`id` UInt64, `m` Map(String, String)) ENGINE = MergeTree ORDER BY id", None);
    for (name, engine, text, _) in CASES.iter().chain([&t]) {
        let mut table = table("d", name, engine, None);
        table.engine_full = text.split_once("ENGINE = ").map_or("", |(_, engine)| engine).into();
        table.create_query = format!("CREATE {}", text.replace("QUERY", QUERY)).into();
        source.tables.add([table]);
    }
    let mut replica = host("r1");
    replica.databases.insert("d".into(), Database { engine: "Atomic".into(), uuid: "u".into() });
    let mut world = world("destination", vec![replica]);
    let source = TargetWorld { topology: Topology::Standalone, cluster: None, keeper: false, hosts: vec![source] };
    world.targets.insert("source".into(), source);
    let arguments = json!({ "from": "source", "on": "destination", "database": "d", "except_tables": except });
    let observed = Observed { keeper: Some(BTreeMap::new()), ..Observed::default() }.into_value();
    plan_with(&CreateReplicated, &arguments, &observed, world)
}

#[test]
fn each_reason_is_refused_with_what_was_found_and_what_to_do() {
    let refusals = planned(&[]).operations.expect_err("refused");
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join(""), @r#"
    step `step`: 4 tables whose rows would stay on one replica
      expected  engines of the MergeTree family
      found     d.file: File
                d.joined: Join
                d.memory: Memory
                d.rocks: EmbeddedRocksDB
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["file", "joined", "memory", "rocks"]`, or change their engine on the source
    step `step`: 7 tables that would take rows out of a queue as soon as it exists
      expected  no consumers before the data is moved
      found     d.azurequeue: AzureQueue
                d.filelog: FileLog
                d.kafka: Kafka
                d.nats: NATS
                d.postgres: MaterializedPostgreSQL
                d.rabbit: RabbitMQ
                d.s3queue: S3Queue
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["azurequeue", "filelog", "kafka", "nats", "postgres", "rabbit", "s3queue"]`, or create them by hand after the move
    step `step`: 4 statements with a password or key, shown or hidden
      expected  statements without secrets: a plan is read by people, and the new servers would need the secret in it
      found     d.mysql: a value that is hidden ([HIDDEN])
                d.postgres_secret: a value that is hidden ([HIDDEN])
                d.rabbit_secret: a value that is hidden ([HIDDEN])
                d.redis: engine Redis with its arguments
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["mysql", "postgres_secret", "rabbit_secret", "redis"]`, or put the secret into a named collection of every server and name that in the definition on the source
    step `step`: 1 table in the old syntax of MergeTree, which has no ORDER BY
      expected  ENGINE = MergeTree ... ORDER BY
      found     d.old: MergeTree
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["old"]`, or create them by hand with ORDER BY
    step `step`: 1 materialized view with a refresh of its own
      expected  views that ClickHouse allows over replicated tables
      found     d.refreshed: REFRESH
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["refreshed"]`, or create them by hand after the data is there
    step `step`: 2 dictionaries filled from a file or program of the source's machine
      expected  sources that every new server reaches
      found     d.from_file: SOURCE(FILE(...))
                d.from_program: SOURCE(EXECUTABLE(...))
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["from_file", "from_program"]`, or copy the file or program to every new server and create them by hand
    step `step`: 1 materialized view with the name of an arrayJoin among what it puts out, and no column for it
      expected  a query whose columns are those of the view (newer servers answer error 8, THERE_IS_NO_COLUMN)
      found     d.pairs: `arrayJoin(m) AS kv`, of which `kv.1` or another part is read; rewrite: `FROM ... ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v` (for an array of tuples: `ARRAY JOIN m AS kv`)
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["pairs"]`, or change their query on the source into the form with ARRAY JOIN that stands behind each
    step `step`: 3 statements not understood
      expected  tables, views and dictionaries of known engines
      found     d.function: no ENGINE
                d.strange: engine Strange
                d.window: `CREATE WINDOW` is not a table, dictionary, view or materialized view
      see it    on s: SELECT name, create_table_query FROM system.tables WHERE database = 'd'
      do this   leave them out with `except_tables: ["function", "strange", "window"]`, or create them by hand
    "#);
    // Each in the refusal of its reason, and no reason without a case.
    let mut reason = Some(Reason::Local);
    for refusal in &refusals {
        let Some(now) = reason else { panic!("one refusal too many: {refusal}") };
        let of_reason: Vec<&str> = CASES.iter().filter(|(.., why)| *why == Some(now)).map(|(name, ..)| *name).collect();
        assert!(!of_reason.is_empty(), "{now:?}");
        assert!(refusal.what.contains(&format!(" {} ", of_reason.len())), "{now:?}: {refusal}");
        for name in of_reason {
            assert!(refusal.found.contains(&format!("d.{name}: ")) && refusal.action.contains(&format!("\"{name}\"")));
        }
        reason = after(now);
    }
    assert_eq!(reason, None);
}

#[test]
fn what_is_left_out_for_a_reason_stands_in_the_list_with_it() {
    let names: Vec<&str> = CASES.iter().filter(|(.., why)| why.is_some()).map(|(name, ..)| *name).collect();
    let planned = planned(&names);
    assert!(planned.operations.is_ok());
    let mut told = String::new();
    for entry in &planned.conversions {
        let behind = if entry.rows_untold { ", with rows that nobody counts" } else { "" };
        let after = entry.engine_after.as_deref().unwrap_or("nothing");
        let _ = writeln!(told, "{}: {} -> {after}{behind}", entry.name, entry.engine_before);
        for why in &entry.why {
            let _ = writeln!(told, "  {why}");
        }
    }
    insta::assert_snapshot!(told, @"
    azurequeue: AzureQueue -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (AzureQueue)
    file: File -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its rows would stay on one replica (File)
    filelog: FileLog -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (FileLog)
    from_file: Dictionary -> nothing
      `except_tables` names it; not converted: it is filled from a file or program of the source's machine (SOURCE(FILE(...)))
    from_program: Dictionary -> nothing
      `except_tables` names it; not converted: it is filled from a file or program of the source's machine (SOURCE(EXECUTABLE(...)))
    function: StorageProxy -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its statement is not understood (no ENGINE)
    joined: Join -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its rows would stay on one replica (Join)
    kafka: Kafka -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (Kafka)
    memory: Memory -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its rows would stay on one replica (Memory)
    mysql: MySQL -> nothing
      `except_tables` names it; not converted: its statement holds a password or key, or hides it (a value that is hidden ([HIDDEN]))
    nats: NATS -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (NATS)
    old: MergeTree -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: it is in the old syntax of MergeTree, which has no ORDER BY (MergeTree)
    pairs: MaterializedView -> nothing
      `except_tables` names it; not converted: its query puts out the name of an arrayJoin, for which the view has no column (`arrayJoin(m) AS kv`, of which `kv.1` or another part is read; rewrite: `FROM ... ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v` (for an array of tuples: `ARRAY JOIN m AS kv`))
    postgres: MaterializedPostgreSQL -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (MaterializedPostgreSQL)
    postgres_secret: MaterializedPostgreSQL -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its statement holds a password or key, or hides it (a value that is hidden ([HIDDEN]))
    rabbit: RabbitMQ -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (RabbitMQ)
    rabbit_secret: RabbitMQ -> nothing
      `except_tables` names it; not converted: its statement holds a password or key, or hides it (a value that is hidden ([HIDDEN]))
    redis: Redis -> nothing
      `except_tables` names it; not converted: its statement holds a password or key, or hides it (engine Redis with its arguments)
    refreshed: MaterializedView -> nothing
      `except_tables` names it; not converted: it refreshes itself (REFRESH)
    rocks: EmbeddedRocksDB -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its rows would stay on one replica (EmbeddedRocksDB)
    s3queue: S3Queue -> nothing
      `except_tables` names it; not converted: it would take rows out of its queue as soon as it exists (S3Queue)
    strange: Strange -> nothing, with rows that nobody counts
      `except_tables` names it; not converted: its statement is not understood (engine Strange)
    window: WindowView -> nothing
      `except_tables` names it; not converted: its statement is not understood (`CREATE WINDOW` is not a table, dictionary, view or materialized view)
    t: MergeTree -> ReplicatedMergeTree
    plain: View -> View
      has `arrayJoin(m) AS kv`, of which `kv.1` or another part is read: not every version and not every analyzer finds `kv` there (error 47), above all where the query is sent on to other replicas; the form that all understand is `FROM ... ARRAY JOIN mapKeys(m) AS k, mapValues(m) AS v` (for an array of tuples: `ARRAY JOIN m AS kv`)
    ");
}
