//! The laboratory with ClickHouse 26.7: the data set, backups through S3, replication, killed nodes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may stop")]

mod support;

use std::sync::{Mutex, PoisonError};

use clickferry_lab::{FaultKind, Lab, LabError, S3Fault, SeedSettings};
use support::eventually;

fn small(database: &str, seed: u64) -> SeedSettings {
    SeedSettings { database: database.to_owned(), rows: 20_000, seed, dirty: false }
}

/// The tables of the data set that hold rows of their own, as one hash of names, counts and contents.
fn fingerprint(lab: &Lab, node: &str, database: &str) -> String {
    let tables = [
        "runs",
        "runs_key_value",
        "errors_daily",
        "feedbacks",
        "sessions",
        "payloads",
        "`trace-links`",
        "tenants",
        "model_prices",
        "annotation_queue",
        "exports",
        "schema_migrations",
    ];
    let query = |table: &str| format!("SELECT count(), sum(cityHash64(*)) FROM {table}");
    let mut lines: Vec<String> =
        tables.iter().map(|table| lab.query_in(node, database, &query(table)).unwrap()).collect();
    let merged = "SELECT count(), countMerge(runs), sumMerge(tokens), maxMerge(slowest), uniqExactMerge(sessions) \
                  FROM run_stats_hourly";
    lines.push(lab.query_in(node, database, merged).unwrap());
    lines.concat()
}

/// The fault switch is one for all tests of this process.
fn whole_store() -> std::sync::MutexGuard<'static, ()> {
    static STORE: Mutex<()> = Mutex::new(());
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bucket(lab: &Lab, prefix: &str) -> String {
    let (access_key, secret_key) = lab.s3_keys();
    format!("S3('{}/{}/{prefix}', '{access_key}', '{secret_key}')", lab.s3_endpoint(), lab.bucket())
}

#[test]
fn the_same_seed_makes_the_same_data() {
    let lab = Lab::shared();
    let [one, two, other] = ["one", "two", "other"].map(|prefix| lab.fresh_database(prefix));
    let seeded = lab.seed_tracing("standalone", &small(&one, 7)).unwrap();
    lab.seed_tracing("standalone", &small(&two, 7)).unwrap();
    lab.seed_tracing("standalone", &SeedSettings { dirty: true, ..small(&other, 8) }).unwrap();
    assert!((19_000..30_000).contains(&seeded.rows()), "{}", seeded.table());
    assert_eq!(fingerprint(lab, "standalone", &one), fingerprint(lab, "standalone", &two));
    assert_ne!(fingerprint(lab, "standalone", &one), fingerprint(lab, "standalone", &other));
    // As golang-migrate asks it.
    let version = "SELECT version, dirty FROM `schema_migrations` ORDER BY sequence DESC LIMIT 1";
    assert_eq!(lab.query_in("standalone", &one, version).unwrap(), "87\t0\n");
    assert_eq!(lab.query_in("standalone", &other, version).unwrap(), "87\t1\n");
    let again = lab.seed_tracing("standalone", &small(&one, 7)).unwrap_err();
    assert!(matches!(again, LabError::Invalid(_)) && again.to_string().contains("to be empty"), "{again}");
}

#[test]
fn a_backup_through_s3_restores_the_same_data_on_another_node() {
    let lab = Lab::shared();
    let _store = whole_store();
    let database = lab.fresh_database("backup");
    lab.seed_tracing("standalone", &small(&database, 1)).unwrap();
    let target = bucket(lab, &lab.fresh_prefix("backup"));
    lab.query("standalone", &format!("BACKUP DATABASE {database} TO {target}")).unwrap();
    lab.query("replica1", &format!("RESTORE DATABASE {database} FROM {target}")).unwrap();
    assert_eq!(fingerprint(lab, "standalone", &database), fingerprint(lab, "replica1", &database));
    let handle = format!("SELECT dictGet('{database}.tenants_dictionary', 'handle', toUInt64(3))");
    assert_eq!(lab.query("replica1", &handle).unwrap(), "tenant-3\n");
    let secret = lab.s3_keys().1;
    let log = lab.statements("standalone").unwrap();
    assert!(log.iter().any(|record| record.statement.starts_with("BACKUP DATABASE") && record.code == Some(0)));
    assert!(log.iter().all(|record| !record.statement.contains(secret)), "a secret is in the statement log");
}

#[test]
fn faults_of_the_store_reach_a_backup() {
    let lab = Lab::shared();
    let _store = whole_store();
    let database = lab.fresh_database("fault");
    lab.query("standalone", &format!("CREATE DATABASE {database}")).unwrap();
    lab.query_in("standalone", &database, "CREATE TABLE t (x UInt8) ENGINE = MergeTree ORDER BY x").unwrap();
    let backup = |prefix: &str| {
        let target = bucket(lab, &lab.fresh_prefix(prefix));
        lab.query("standalone", &format!("BACKUP DATABASE {database} TO {target}"))
    };
    lab.fault_s3(S3Fault::new(FaultKind::Status(403))).unwrap();
    let refused = backup("refused").unwrap_err();
    lab.fault_s3_off().unwrap();
    assert_eq!(refused.code, 499, "{refused}");
    lab.fault_s3(S3Fault::new(FaultKind::Status(503)).times(2)).unwrap();
    assert!(backup("slow").unwrap().contains("BACKUP_CREATED"), "the engine tries again");
    assert_eq!(lab.status().unwrap().s3.fault, None);
}

#[test]
fn a_replica_that_was_killed_catches_up() {
    let lab = Lab::shared();
    let (database, path) = (lab.fresh_database("repl"), lab.fresh_keeper_path("repl"));
    for node in ["replica1", "replica2"] {
        lab.query(node, &format!("CREATE DATABASE {database}")).unwrap();
        let engine = format!("ReplicatedMergeTree('{path}/{{shard}}/t', '{{replica}}')");
        lab.query_in(node, &database, &format!("CREATE TABLE t (x UInt64) ENGINE = {engine} ORDER BY x")).unwrap();
    }
    lab.kill("replica2").unwrap();
    lab.query_in("replica1", &database, "INSERT INTO t SELECT number FROM numbers(1000)").unwrap();
    lab.start_node("replica2").unwrap();
    eventually("the rows arrive", || {
        lab.query_in("replica2", &database, "SELECT count() FROM t").is_ok_and(|count| count == "1000\n")
    });
    lab.pause("replica2").unwrap();
    lab.resume("replica2").unwrap();
    lab.kill("keeper").unwrap();
    lab.start_node("keeper").unwrap();
    eventually("a write is possible again", || {
        lab.query_in("replica1", &database, "INSERT INTO t SELECT 1 WHERE 0").is_ok()
            && lab.query_in("replica1", &database, "INSERT INTO t VALUES (0)").is_ok()
    });
    assert_eq!(lab.query_in("replica2", &database, "SELECT sum(x) FROM t").unwrap(), "499500\n");
}
