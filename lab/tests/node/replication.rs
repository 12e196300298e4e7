//! Parts of every kind go from node to node, and a killed node comes back.

use crate::nodes::{CLUSTER, Pair, shared};

#[test]
fn parts_with_projections_are_fetched_compact_and_wide() {
    let pair = shared();
    for (table, settings) in [("compact", ""), ("wide", "SETTINGS min_bytes_for_wide_part = 0")] {
        pair.one.run(&format!(
            "CREATE TABLE {table} ON CLUSTER {CLUSTER} (id UInt64, s LowCardinality(String), v Float64, at DateTime, \
             PROJECTION sums (SELECT s, sum(v) GROUP BY s), PROJECTION sorted (SELECT * ORDER BY s, id)) \
             ENGINE = ReplicatedMergeTree ORDER BY id TTL at + INTERVAL 50 YEAR {settings}"
        ));
        // Larger than what is sent at once, so that a file goes over in pieces.
        pair.one.run(&format!(
            "INSERT INTO {table} SELECT number, toString(number % 9), sipHash64(number) / 3, now() FROM numbers(200000)"
        ));
        pair.two.run(&format!("INSERT INTO {table} VALUES (1000000, 'from two', 1, now())"));
        pair.one.run(&format!("SYSTEM SYNC REPLICA {table}"));
        pair.two.run(&format!("SYSTEM SYNC REPLICA {table}"));
        for query in [
            format!("SELECT count(), sum(cityHash64(*)) FROM {table}"),
            format!("SELECT s, sum(v) FROM {table} GROUP BY s ORDER BY s"),
            format!("SELECT name, part_type, rows FROM system.parts WHERE table = '{table}' AND active ORDER BY name"),
            format!(
                "SELECT parent_name, name, rows FROM system.projection_parts WHERE table = '{table}' AND active \
                 ORDER BY parent_name, name"
            ),
        ] {
            assert_eq!(pair.one.run(&query), pair.two.run(&query), "{query}");
        }
        let kind = if table == "wide" { "Wide" } else { "Compact" };
        let kinds = format!("SELECT DISTINCT part_type FROM system.parts WHERE table = '{table}' AND active");
        assert_eq!(pair.two.run(&kinds).trim(), kind);
        assert!(!pair.two.run(&format!("CHECK TABLE {table}")).contains("\t0\t"));
        pair.one.run(&format!("DROP TABLE {table} ON CLUSTER {CLUSTER} SYNC"));
    }
}

#[test]
fn each_node_is_a_server_of_its_own() {
    let pair = shared();
    let who = "SELECT serverUUID(), displayName(), hostName(), getMacro('replica')";
    let (one, two) = (pair.one.run(who), pair.two.run(who));
    assert!(one.ends_with("\tr1\tr1\tr1\n") && two.ends_with("\tr2\tr2\tr2\n"), "{one}{two}");
    assert_ne!(one[..36], two[..36]);
    assert!(!one.starts_with("00000000"));
    assert_eq!(pair.two.request().body("SELECT 1").send().header("x-clickhouse-server-display-name"), Some("r2"));
    let hosts = format!("SELECT count() FROM system.clusters WHERE cluster = '{CLUSTER}'");
    assert_eq!(pair.one.run(&hosts), "2\n");
}

#[test]
fn on_cluster_runs_on_every_host_and_fails_as_a_server_does() {
    let pair = shared();
    let rows = pair.one.run(&format!("CREATE DATABASE clustered ON CLUSTER {CLUSTER}"));
    let lines: Vec<Vec<&str>> = rows.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines.len(), 2, "{rows}");
    assert_eq!((lines[0][2], lines[0][3], lines[0][4], lines[0][5]), ("0", "", "1", "0"));
    assert_eq!(lines[1][4], "0");

    let again = pair.one.fails(&format!("CREATE DATABASE clustered ON CLUSTER {CLUSTER}"));
    assert_eq!(again.code(), 82, "{}", again.text());
    let again = pair.one.request().url("distributed_ddl_output_mode", "never_throw");
    let again = again.body(format!("CREATE DATABASE clustered ON CLUSTER {CLUSTER} FORMAT JSONEachRow"));
    assert!(again.send().text().contains("\"status\":82,"));
    assert_eq!(pair.one.fails("CREATE DATABASE x ON CLUSTER nowhere").code(), 701);

    pair.one.run(&format!(
        "CREATE TABLE clustered.t ON CLUSTER {CLUSTER} (a Int8) ENGINE = ReplicatedMergeTree ORDER BY a"
    ));
    // Adding the column on one replica is enough; on both it would fail.
    pair.one.run(&format!("ALTER TABLE clustered.t ON CLUSTER {CLUSTER} ADD COLUMN b Int8"));
    pair.two.until("SELECT count() FROM system.columns WHERE database = 'clustered' AND table = 't'", "2");
    pair.one.run(&format!("DROP DATABASE clustered ON CLUSTER {CLUSTER} SYNC"));
}

#[test]
fn a_killed_node_comes_back_with_its_tables_and_catches_up() {
    let pair = Pair::start();
    pair.one.run(&format!("CREATE TABLE t ON CLUSTER {CLUSTER} (a UInt64) ENGINE = ReplicatedMergeTree ORDER BY a"));
    pair.one.run("INSERT INTO t SELECT number FROM numbers(1000)");
    pair.two.until("SELECT count() FROM t", "1000");
    let uuid = pair.two.run("SELECT serverUUID()");

    pair.two.stop(libc::SIGKILL);
    pair.one.run("INSERT INTO t VALUES (5000)");
    let reply = pair.one.fails(&format!("CREATE DATABASE x ON CLUSTER {CLUSTER}"));
    assert_eq!(reply.code(), 159);
    assert!(reply.text().contains(&format!("127.0.0.1:{}", pair.two.port)), "{}", reply.text());
    let log = std::fs::read_to_string(pair.two.dir.join("statements.jsonl")).unwrap();
    assert!(log.contains("\"event\":\"start\""), "{log}");

    pair.two.start();
    pair.two.until("SELECT count() FROM t", "1001");
    pair.two.until("SELECT is_readonly FROM system.replicas", "0");
    assert_eq!(pair.two.run("SELECT serverUUID()"), uuid);
    pair.two.run("INSERT INTO t VALUES (6000)");
    pair.one.until("SELECT count() FROM t", "1002");

    // A node that is asked to end leaves Keeper at once and starts again on its tables.
    pair.two.stop(libc::SIGTERM);
    pair.one.until("SELECT active_replicas FROM system.replicas", "1");
    pair.two.start();
    pair.two.until("SELECT count() FROM t", "1002");
}
