//! What surrounds the engine fails: Keeper, the object store, the disk under the journal, the clock.

use std::time::Duration;

use clickferry::engine::journal::Record;

use crate::support::Output;
use crate::support::bucket;
use crate::support::engine::{Engine, has_intent, is_done, journal};
use crate::support::lab::wait_until;
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;
use clickferry_lab::{FaultKind, S3Fault};

/// `make torture` sets it: everything is tried, for as long as it takes.
fn is_whole() -> bool {
    std::env::var_os("CLICKFERRY_TORTURE").is_some()
}

/// Something is away.
fn away(short: u64, whole: u64) {
    std::thread::sleep(Duration::from_secs(if is_whole() { whole } else { short }));
}

fn has_seen(scene: &Scene, node: &str, statement: &str) -> bool {
    scene.changes().iter().any(|(at, record)| *at == node && record.statement.starts_with(statement))
}

/// The engine came to its end, or stopped and said how to carry on; then it is carried on with to the end.
fn comes_through(scene: &Scene, ended: &Output) {
    if ended.code != Some(0) {
        assert!(matches!(ended.code, Some(1 | 4)), "{ended}");
        assert!(ended.stderr.contains("clickferry resume"), "{ended}");
        let resumed = scene.cli(&["resume"]);
        assert_eq!(resumed.code, Some(0), "before: {ended}\nnow: {resumed}");
    }
    is_moved(scene, "2");
    nothing_was_repeated(scene, &scene.runs()[0]);
}

/// A move that came so far.
fn moving(scene: &Scene, enough: impl Fn(&[Record]) -> bool) -> Engine {
    let mut engine = scene.start_move();
    assert!(engine.reaches(enough), "{}", engine.end(scene));
    engine
}

#[test]
fn keeper_that_comes_back_costs_a_resume_at_most() {
    let lab = Scene::alone("keeper");
    let operations = ["restore/", "recreate/", "create-tables/", "mark-clean/"];
    for operation in operations.into_iter().take(if is_whole() { 4 } else { 1 }) {
        let scene = lab.next("back").with_orders().slow_bucket();
        let engine = moving(&scene, |records| has_intent(records, operation));
        scene.lab.kill("keeper").unwrap();
        // Longer than the session of the lock, which lives 10 s.
        away(13, 60);
        scene.lab.start_node("keeper").unwrap();
        scene.quick_bucket();
        comes_through(&scene, &engine.end(&scene));
    }
}

#[test]
fn keeper_that_stays_away_ends_the_run_with_its_name() {
    let scene = Scene::alone("gone").with_orders();
    let engine = moving(&scene, |records| has_intent(records, "create-tables/"));
    scene.lab.kill("keeper").unwrap();
    let ended = engine.end(&scene);
    assert!(matches!(ended.code, Some(1 | 4)), "{ended}");
    assert!(ended.stderr.contains("Keeper"), "{ended}");
    scene.lab.start_node("keeper").unwrap();
    comes_through(&scene, &ended);
}

#[test]
fn a_store_that_fails_for_a_while_costs_a_resume_at_most() {
    let lab = Scene::alone("store");
    for (operation, node, statement) in [("back-up/", "standalone", "BACKUP"), ("restore/", "replica1", "RESTORE")] {
        let scene = lab.next("busy").with_orders().slow_bucket();
        let engine = moving(&scene, |records| has_intent(records, operation) && has_seen(&scene, node, statement));
        scene.lab.fault_s3(S3Fault::new(FaultKind::Status(503))).unwrap();
        away(5, 30);
        scene.quick_bucket();
        comes_through(&scene, &engine.end(&scene));
    }
}

#[test]
fn keys_refused_from_the_middle_on_are_told_and_the_run_is_carried_on_later() {
    let lab = Scene::alone("denied");
    for (operation, node, statement) in [("back-up/", "standalone", "BACKUP"), ("restore/", "replica1", "RESTORE")] {
        let scene = lab.next("keys").with_orders().slow_bucket();
        let engine = moving(&scene, |records| has_intent(records, operation) && has_seen(&scene, node, statement));
        scene.lab.fault_s3(S3Fault::new(FaultKind::Status(403))).unwrap();
        let ended = engine.end(&scene);
        assert!(matches!(ended.code, Some(1 | 4)), "{ended}");
        assert!(ended.stderr.contains("403") || ended.stderr.contains("refused the keys"), "{ended}");
        scene.quick_bucket();
        comes_through(&scene, &ended);
    }
}

#[test]
fn cut_connections_to_the_store_are_no_end() {
    let lab = Scene::alone("cut");
    for after in [3, 20] {
        let scene = lab.next("cut").with_orders();
        scene.lab.fault_s3(S3Fault::new(FaultKind::Cut).after(after).times(6)).unwrap();
        let ended = scene.start_move().end(&scene);
        scene.lab.fault_s3_off().unwrap();
        comes_through(&scene, &ended);
    }
}

/// Every object is deleted, and no deletion is answered: the bucket is asked what is left, and nothing else goes.
#[test]
fn a_backup_whose_deletion_is_never_answered_is_gone_and_what_lies_beside_it_is_not() {
    let scene = Scene::alone("deleted").with_orders();
    let backup = scene.runbook("backup", |text| text);
    let done = scene.apply(&backup, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let written = bucket::keys(&scene, "");
    assert!(written.len() > 10, "{written:?}");
    let beside = format!("{}-beside", written[0].rsplit_once('/').unwrap().0);
    bucket::put(&scene, &beside, b"of somebody else");
    let run = scene.runs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let shown = scene.cli(&["undo", &run, "--dry-run", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    scene.lab.fault_s3(S3Fault::new(FaultKind::LoseAnswer).method("DELETE")).unwrap();
    let undone = scene.cli(&["undo", &run, "--consent", &plan["digest"].as_str().unwrap()[..12]]);
    assert_eq!(undone.code, Some(1), "{undone}");
    assert!(undone.stderr.contains("Carry on: clickferry resume"), "{undone}");
    let left = bucket::keys(&scene, "").len();
    assert!((2..=written.len()).contains(&left), "{left} of {}: {undone}", written.len());
    scene.lab.fault_s3_off().unwrap();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(bucket::keys(&scene, ""), [beside]);
}

#[test]
fn a_full_disk_under_the_journal_ends_the_run_before_anything_more_is_started() {
    let scene = Scene::new("full").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let digest = scene.plan(&runbook, &["-p", "migration=2"]);
    // Small enough that plan and environment fit and the journal does not; what was written is kept for the resume.
    let plan = std::fs::metadata(scene.test.path().join("plan.json")).unwrap().len();
    let size = plan / 1024 + 24;
    let script = format!(
        "mkdir -p state kept; mount -t tmpfs -o size={size}k none state; set +e; \"$@\"; code=$?; cp -r state/. kept; exit $code"
    );
    let ended = scene.cli_within(&script, &["apply", "plan.json", "--consent", &digest]);
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("No space left on device"), "{ended}");
    let kept = scene.test.path().join("kept/runs");
    let run = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let records = journal(&run).records;
    assert!(records.len() > 2, "the disk was full before anything was done: {records:?}");
    let last = records.iter().rev().find_map(|record| match &record.entry {
        clickferry::engine::journal::Entry::Intent { query_id, .. } => Some(query_id.clone()),
        _ => None,
    });
    let sent = scene.changes();
    let (_, latest) = sent.last().unwrap();
    assert!(
        records.iter().any(|record| matches!(&record.entry, clickferry::engine::journal::Entry::Intent { query_id, .. } if latest.query_id.starts_with(query_id.as_str()))),
        "{latest:?} was sent without an intent; last intent {last:?}"
    );
    let resumed = scene.cli(&["resume", "--state", "kept"]);
    assert_eq!(resumed.code, Some(0), "{ended}{resumed}");
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &run);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_refused_before_anything_is_sent() {
    let scene = Scene::new("readonly").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let digest = scene.plan(&runbook, &["-p", "migration=2"]);
    let script = "mkdir -p state; mount -t tmpfs -o ro none state; exec \"$@\"";
    let ended = scene.cli_within(script, &["apply", "plan.json", "--consent", &digest]);
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("Read-only file system"), "{ended}");
    scene.nothing_changed();
}

#[test]
fn a_clock_set_back_between_two_processes_and_within_one_changes_nothing() {
    let scene = Scene::new("clock").with_orders().slow_bucket();
    let engine = moving(&scene, |records| is_done(records, "recreate/1"));
    engine.kill();
    // A day earlier, and within the process once more an hour earlier.
    scene.test.write("time", "-1d");
    let mut command = scene.test.command(&["resume", "-e", "environment.yaml"]);
    command.env("LD_PRELOAD", "libfaketime.so.1").env("FAKETIME_TIMESTAMP_FILE", scene.test.path().join("time"));
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let library = ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime"].join(":");
    command.env("LD_LIBRARY_PATH", library);
    let mut resumed = Engine::spawn(&scene, command);
    assert!(resumed.reaches(|_| has_intent(&journal(&scene.runs()[0]).records, "restore/")));
    scene.test.write("time", "-25h");
    let ended = resumed.end(&scene);
    assert_eq!(ended.code, Some(0), "{ended}");
    let records = journal(&scene.runs()[0]).records;
    assert!(records.windows(2).any(|pair| pair[1].at < pair[0].at), "the clock was not set back");
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
}

#[test]
fn an_engine_that_slept_longer_than_its_lock_lives_writes_and_starts_nothing_more() {
    let scene = Scene::new("asleep").with_orders();
    let engine = moving(&scene, |records| is_done(records, "recreate/1"));
    engine.signal("STOP");
    let before = std::fs::read(scene.runs()[0].join("journal.jsonl")).unwrap();
    // The lock of the sleeper vanishes with its session; another engine moves the database in a run of its own.
    let runbook =
        scene.runbook("standalone-to-replicated", |text| text.replace("tables: 0, rows: 0", "tables: 10, rows: 10000"));
    let first = scene.runs()[0].clone();
    let state = ["--state", "other"];
    let database = format!("database={}", scene.database);
    let arguments =
        [&["plan", &runbook, "-p", &database, "-p", "migration=2", "-o", "second.json"][..], &state].concat();
    let mut done = None;
    wait_until("the second engine gets the lock", || {
        let planned = scene.cli(&arguments);
        assert!(matches!(planned.code, Some(0 | 2)), "{planned}");
        let plan: serde_json::Value =
            serde_json::from_slice(&std::fs::read(scene.test.path().join("second.json")).unwrap()).unwrap();
        let digest = plan["digest"].as_str().unwrap()[..12].to_owned();
        let applied = scene.cli(&[&["apply", "second.json", "--consent", &digest][..], &state].concat());
        let is_refused = applied.code == Some(3);
        if !is_refused {
            done = Some(applied);
        }
        !is_refused
    });
    let done = done.unwrap();
    assert_eq!(done.code, Some(0), "{done}");
    is_moved(&scene, "2");
    let sent = scene.changes().len();
    engine.signal("CONT");
    let woken = engine.end(&scene);
    assert!(matches!(woken.code, Some(1 | 4)), "{woken}");
    assert!(woken.stderr.contains("lock"), "{woken}");
    assert_eq!(std::fs::read(first.join("journal.jsonl")).unwrap(), before, "{woken}");
    assert_eq!(scene.changes().len(), sent, "the woken engine sent something: {woken}");
    is_moved(&scene, "2");
}
