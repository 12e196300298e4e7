//! Real servers of 18.16, from the distribution's packages: looked at, run on, and their errors told.

use clickferry_lab::{Engine, Lab, Options, Size};

use crate::support::TestEnvironment;

const RUNBOOK: &str = r#"
apiVersion: clickferry/v1
kind: Runbook
metadata: { name: old-server }
targets:
  cluster: { topology: replicated, min_replicas: 2 }
steps:
  - id: create
    sql:
      on: cluster
      statements:
        - "CREATE TABLE default.events (id UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/events', '{replica}') ORDER BY id"
  - id: fill
    sql:
      on: cluster
      every: any
      statements: ["INSERT INTO default.events SELECT number FROM system.numbers LIMIT 18"]
      probe: { query: "SELECT count() FROM default.events", done_when: 18 }
  - id: fetched
    wait_for: { on: cluster, query: "SELECT count() FROM default.events", equals: 18, within: 1m }
  - id: check
    assert: { on: cluster, query: "SELECT max(id) FROM default.events", equals: 17 }
"#;

#[test]
fn servers_of_18_16_are_looked_at_and_run_on() {
    let size = Size { engine: Engine::Server, ..Size::default() };
    let lab = Lab::start(Options { size, ..Options::default() }).unwrap();
    let environment = lab.environment_file();
    let environment = environment.to_str().unwrap();
    let test = TestEnvironment::new();
    let seen = test.run(&["inspect", "cluster", "-e", environment]);
    assert_eq!(seen.code, Some(0), "{seen}");
    assert_eq!(seen.stdout.matches("ClickHouse 18.16").count(), 2, "{seen}");
    test.write("r.yaml", RUNBOOK);
    let applied = test.run(&["apply", "r.yaml", "-e", environment]);
    assert_eq!(applied.code, Some(0), "{applied}");
    for node in ["replica1", "replica2"] {
        assert_eq!(lab.query(node, "SELECT count() FROM default.events").unwrap().trim(), "18");
    }
    // The second time the table is there: told at planning, and nothing is sent.
    let again = test.run(&["apply", "r.yaml", "-e", environment]);
    assert_eq!(again.code, Some(1), "{again}");
    assert!(again.stderr.contains("default.events"), "{again}");
}
