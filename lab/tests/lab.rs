//! The laboratory as its users meet it: the program, its processes, its folder.
//!
//! What needs no ClickHouse 26.7 runs on the server engine, whose nodes start in a tenth of a second.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may stop")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clickferry_lab::{Engine, FaultKind, Health, Lab, LabError, Options, S3Fault, SeedSettings, Size};
use support::{Folder, alive, eventually, lab, ok, processes_in};

/// Small and quick: real servers of Debian.
fn servers() -> Options {
    let size = Size { engine: Engine::Server, ..Size::default() };
    Options { size, binary: Some(support::binary()), ..Options::default() }
}

#[test]
fn up_status_kill_start_down_leave_nothing() {
    let folder = Folder::new();
    let up = ok(lab(&folder, &["up", "--engine", "server", "--detach"]));
    assert!(up.contains("environment.yaml") && up.contains("clickferry-lab seed tracing"), "{up}");
    let again = lab(&folder, &["up", "--engine", "server", "--detach"]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("already runs"), "{again:?}");

    let report = support::status(&folder);
    let pids = support::pids(&report);
    assert_eq!(pids.len(), 5, "{report}");
    assert_eq!(report["nodes"][2]["name"], "replica2");
    for secret in ["clickhouse-password", "s3-secret-key"] {
        let secret = std::fs::read_to_string(folder.path().join("secrets").join(secret)).unwrap();
        assert!(pids.iter().all(|pid| !support::command_line(*pid).contains(&secret)), "a secret is in an argument");
        assert!(!std::fs::read_to_string(folder.path().join("environment.yaml")).unwrap().contains(&secret));
    }

    ok(lab(&folder, &["kill", "replica2"]));
    assert_eq!(support::status(&folder)["nodes"][2]["state"], "down");
    ok(lab(&folder, &["start", "replica2"]));
    ok(lab(&folder, &["pause", "keeper"]));
    assert_eq!(support::status(&folder)["keeper"]["state"], "paused");
    ok(lab(&folder, &["fault", "keeper", "resume"]));
    ok(lab(&folder, &["stop", "standalone"]));
    let report = support::status(&folder);
    assert_eq!((&report["nodes"][0]["state"], &report["nodes"][2]["state"]), (&"down".into(), &"up".into()));
    let unknown = lab(&folder, &["kill", "replica9"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("standalone, replica1, replica2"), "{unknown:?}");

    let pids = support::pids(&report);
    ok(lab(&folder, &["down"]));
    assert!(pids.iter().all(|pid| !alive(*pid)), "a process survived");
    assert!(!folder.path().exists() && processes_in(folder.path()).is_empty());
    ok(lab(&folder, &["down"]));
}

#[test]
fn a_killed_supervisor_is_cleaned_up_by_down_and_by_up() {
    let folder = Folder::new();
    for next in ["down", "up"] {
        ok(lab(&folder, &["up", "--engine", "server", "--detach"]));
        let report = support::status(&folder);
        let pids = support::pids(&report);
        support::kill_9(report["supervisor"].as_i64().unwrap());
        // The kernel ends the children of the supervisor with it.
        eventually("the children end", || pids.iter().all(|pid| !alive(*pid)));
        let status = lab(&folder, &["status"]);
        assert!(!status.status.success() && String::from_utf8_lossy(&status.stderr).contains("is dead"), "{status:?}");
        assert!(folder.path().join("lab.json").exists());
        if next == "down" {
            ok(lab(&folder, &["down"]));
            assert!(!folder.path().exists());
        }
    }
    ok(lab(&folder, &["up", "--engine", "server", "--detach"]));
    assert_eq!(support::status(&folder)["nodes"][0]["state"], "up");
    ok(lab(&folder, &["down"]));
    assert!(!folder.path().exists());
}

#[test]
fn a_folder_with_other_things_is_refused() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path()).unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years").unwrap();
    for command in [&["down"][..], &["up", "--engine", "server", "--detach"]] {
        let refused = lab(&folder, command);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is not a laboratory"), "{refused:?}");
    }
    assert!(folder.path().join("thesis.txt").exists());
}

#[test]
fn a_laboratory_ends_with_the_process_that_holds_it() {
    let folder = Folder::new();
    let mut holder = support::bound(&folder);
    eventually("it serves", || lab(&folder, &["status"]).status.success());
    let pids = support::pids(&support::status(&folder));
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert!(!folder.path().exists() && pids.iter().all(|pid| !alive(*pid)));
}

#[test]
fn two_servers_replicate_and_run_statements_on_the_cluster() {
    let lab = Lab::start(servers()).unwrap();
    lab.query("replica1", "CREATE DATABASE shop ON CLUSTER lab").unwrap();
    let table = "CREATE TABLE shop.t ON CLUSTER lab (day Date, x UInt64) \
                 ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/t', '{replica}') PARTITION BY day ORDER BY x";
    assert_eq!(lab.query("replica1", table).unwrap().lines().count(), 2);
    let insert = "INSERT INTO shop.t SELECT toDate('2026-01-01'), number FROM system.numbers LIMIT 1000";
    lab.query("replica1", insert).unwrap();
    let count = || lab.query("replica2", "SELECT count() FROM shop.t").unwrap_or_default();
    eventually("the rows arrive", || count() == "1000\n");
    lab.kill("replica2").unwrap();
    let gone = lab.query("replica2", "SELECT 1").unwrap_err();
    assert_eq!((gone.code, gone.status), (0, 0));
    lab.start_node("replica2").unwrap();
    eventually("the replica is back", || count() == "1000\n");
    let names = "SELECT name FROM system.zookeeper WHERE path = '/clickhouse/tables/01/shop/t/replicas' ORDER BY name";
    eventually("both are in keeper", || {
        lab.query("replica1", names).is_ok_and(|names| names == "replica1\nreplica2\n")
    });
    assert_eq!(lab.query("standalone", "SELECT nonsense").unwrap_err().code, 47);
    let old = lab.seed_tracing("standalone", &SeedSettings::default()).unwrap_err();
    assert!(matches!(old, LabError::Invalid(_)) && old.to_string().contains("18."), "{old}");
    let dir = lab.dir().to_path_buf();
    lab.down();
    assert!(!dir.exists());
}

#[test]
fn the_s3_endpoint_fails_as_told() {
    let lab = Lab::start(servers()).unwrap();
    let address = lab.s3_endpoint().trim_start_matches("http://").to_owned();
    // Unsigned requests are refused, which tells a working store from a faulty one here.
    let get = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "GET /backups HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_or_else(|_| String::new(), |_| answer)
    };
    let unsigned = get();
    assert!(unsigned.contains("<Code>AccessDenied</Code><Message>Signature"), "{unsigned}");
    lab.fault_s3(S3Fault::new(FaultKind::Status(503)).times(2)).unwrap();
    assert!(get().contains("503") && get().contains("SlowDown") && get().contains("403"));
    lab.fault_s3(S3Fault::new(FaultKind::Cut)).unwrap();
    assert_eq!(get(), "");
    lab.fault_s3(S3Fault::new(FaultKind::DelayMs(300)).times(1)).unwrap();
    let begin = Instant::now();
    assert!(get().contains("403") && begin.elapsed() >= Duration::from_millis(300));
    let report = lab.status().unwrap();
    assert_eq!((report.s3.fault, report.s3.requests), (None, 6));
    assert!(report.nodes.iter().all(|node| node.state == Health::Up));
}
