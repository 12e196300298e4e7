//! Runs whose state lies in a bucket, or moves there: killed, carried on elsewhere, two at once, asleep.

use clickferry::engine::journal::{Entry, Record};

use crate::support::engine::{Engine, has_intent, is_done, journal};
use crate::support::in_bucket::IN_BUCKET;
use crate::support::lab::wait_until;
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;
use clickferry_lab::{FaultKind, S3Fault};

/// A move that came so far.
fn moving(scene: &Scene, enough: impl Fn(&[Record]) -> bool) -> Engine {
    let mut engine = scene.start_move();
    assert!(engine.reaches(enough), "{}", engine.end(scene));
    engine
}

fn run_id(scene: &Scene) -> String {
    scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_run_begun_in_a_folder_moves_to_a_bucket_and_is_carried_on_on_another_machine() {
    let scene = Scene::new("moves").with_orders();
    scene.write_bucket_environment();
    moving(&scene, |records| is_done(records, "create-tables/3")).kill();
    let folder = scene.runs()[0].clone();
    // The process died while it wrote.
    let path = folder.join("journal.jsonl");
    let mut text = std::fs::read(&path).unwrap();
    text.extend(b"{\"seq\":");
    std::fs::write(&path, text).unwrap();
    let id = run_id(&scene);
    let pushed = scene.test.run(&["state", "push", "state", "-e", IN_BUCKET]);
    assert_eq!(pushed.code, Some(0), "{pushed}");
    assert!(pushed.stdout.contains("a torn last record (7 bytes) was left out"), "{pushed}");
    let before = journal(&folder).records;
    // Here it is not carried on any more: not before, and not after.
    let filters = scene.more_filters();
    insta::assert_snapshot!(scene.cli(&["resume", &id]), @"
    exit 3
    --- stderr
    refused: run RUN in ./state is not the one to carry on
      expected  a run is carried on where it lives, and nowhere else
      found     moved to s3://backups/DB-state, WHEN by USER@HOST
      see it    clickferry state ls
      do this   `clickferry resume RUN` with an environment whose state is there; or bring it back with `clickferry state push`
    ");
    drop(filters);
    let resumed = scene.cli_elsewhere(&["resume", "-e", IN_BUCKET]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(&scene, "2");
    let moved = scene.bucket_state().join("runs").join(&id);
    nothing_was_repeated(&scene, &moved);
    let after = journal(&moved).records;
    assert_eq!(after[..before.len()], before[..]);
    assert!(after.len() > before.len());
    assert_eq!(journal(&folder).records, before);
    assert_eq!(scene.cli(&["resume", &id]).code, Some(3));
    // Brought back, it is what it is there.
    let pulled = scene.test.run(&["state", "pull", &id, "state", "-e", IN_BUCKET]);
    assert_eq!(pulled.code, Some(0), "{pulled}");
    assert_eq!(journal(&folder).records, after);
}

#[test]
fn a_run_begun_in_a_bucket_and_killed_is_carried_on_and_repeats_nothing() {
    let scene = Scene::new("bucket").with_state_in_bucket().with_orders();
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    is_moved(&scene, "2");
    let all = journal(&scene.runs()[0]).records.len();
    for at in (1..=3).map(|part| all * part / 4) {
        let scene = scene.next("killed").with_state_in_bucket().with_orders();
        moving(&scene, |records| records.len() >= at).kill();
        let resumed = scene.cli(&["resume"]);
        assert_eq!(resumed.code, Some(0), "{resumed}");
        is_moved(&scene, "2");
        nothing_was_repeated(&scene, &scene.runs()[0]);
    }
}

#[test]
fn a_run_killed_on_one_machine_is_carried_on_on_another_once_its_lock_has_run_out() {
    let scene = Scene::new("elsewhere").with_state_in_bucket().with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let digest = scene.plan(&runbook, &["-p", "migration=2"]);
    let mut engine = scene.start_elsewhere(&["apply", "plan.json", "--consent", &digest, "-e", "environment.yaml"]);
    assert!(engine.reaches(|records| is_done(records, "create-tables/3")), "{}", engine.end(&scene));
    engine.kill();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert!(resumed.stderr.contains("watching whether that process lives"), "{resumed}");
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
}

#[test]
fn of_two_engines_on_one_state_in_a_bucket_the_second_is_refused() {
    let scene = Scene::new("two_buckets").with_state_in_bucket().with_orders().slow_bucket();
    let first = moving(&scene, |records| has_intent(records, "back-up/"));
    let digest = scene.plan("standalone-to-replicated.yaml", &["-p", "migration=2"]);
    let filters = scene.more_filters();
    insta::assert_snapshot!(scene.cli(&["apply", "plan.json", "--consent", &digest]), @"
    exit 3
    --- stderr
    waiting: run RUN of USER@HOST has the lock of the state; watching whether that process lives
    refused: the state s3://backups/DB-state is locked by run RUN of USER@HOST (pid PID) since WHEN
      expected  no other engine works with this state
      see it    clickferry runs
      do this   wait for that run to end, or stop its process
    ");
    drop(filters);
    scene.quick_bucket();
    let done = first.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.runs().len(), 1);
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
}

#[test]
fn of_engines_that_resume_at_the_same_moment_one_carries_on() {
    let scene = Scene::new("race").with_state_in_bucket().with_orders();
    moving(&scene, |records| is_done(records, "create-tables/3")).kill();
    let mut children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = scene.test.command(&["resume", "-e", "environment.yaml"]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    let mut codes: Vec<Option<i32>> = children.iter_mut().map(|child| child.wait().unwrap().code()).collect();
    codes.sort();
    // Whoever comes when it is over already has nothing to do.
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 1 | 3))) && codes.contains(&Some(0)), "{codes:?}");
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
    let resumed = |record: &&Record| matches!(record.entry, Entry::Resumed { .. });
    assert_eq!(journal(&scene.runs()[0]).records.iter().filter(resumed).count(), 1);
}

#[test]
fn an_engine_that_slept_through_the_life_of_its_lock_adds_nothing_to_what_another_carried_on() {
    let scene = Scene::new("sleeper").with_state_in_bucket().with_orders();
    let sleeper = moving(&scene, |records| is_done(records, "recreate/1"));
    sleeper.signal("STOP");
    // The same run, carried on while its first engine is still there.
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert!(resumed.stderr.contains("watching whether that process lives"), "{resumed}");
    is_moved(&scene, "2");
    let (run, sent) = (scene.runs()[0].clone(), scene.changes().len());
    let before = journal(&run).records;
    sleeper.signal("CONT");
    let woken = sleeper.end(&scene);
    assert!(matches!(woken.code, Some(1 | 4)), "{woken}");
    assert!(woken.stderr.contains("lock"), "{woken}");
    assert_eq!(journal(&run).records, before, "{woken}");
    assert_eq!(scene.changes().len(), sent, "the woken engine sent something: {woken}");
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &run);
}

#[test]
fn a_store_that_ignores_conditions_is_refused_before_anything_is_touched() {
    let scene = Scene::alone("ignores").with_state_in_bucket().with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let digest = scene.plan(&runbook, &["-p", "migration=2"]);
    scene.lab.fault_s3(S3Fault::new(FaultKind::IgnoreConditions)).unwrap();
    let _filters = scene.more_filters();
    insta::assert_snapshot!(scene.cli(&["apply", "plan.json", "--consent", &digest]), @"
    exit 3
    --- stderr
    refused: the state s3://backups/DB-state cannot be locked
      expected  it refuses to create an object that exists (If-None-Match: *), with status 412
      found     the same object was created twice, the second over the first
      do this   two engines could not be kept apart here; keep the state in a store that honours conditional writes, or in a folder (`state: { directory: ... }`)
    ");
    scene.nothing_changed();
    assert!(scene.runs().is_empty());
}

#[test]
fn a_state_in_a_bucket_that_is_away_for_a_while_costs_a_resume_at_most() {
    let scene = Scene::alone("away").with_state_in_bucket().with_orders();
    let engine = moving(&scene, |records| is_done(records, "create-tables/3"));
    scene.lab.fault_s3(S3Fault::new(FaultKind::Cut).path(&scene.state_prefix())).unwrap();
    let ended = engine.end(&scene);
    scene.lab.fault_s3_off().unwrap();
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("clickferry resume"), "{ended}");
    let sent = scene.changes().len();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{ended}{resumed}");
    assert!(scene.changes().len() >= sent);
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
}

#[test]
fn a_run_in_a_bucket_is_cancelled_from_elsewhere() {
    let scene = Scene::new("stopped").with_state_in_bucket().with_orders().slow_bucket();
    let engine = moving(&scene, |records| has_intent(records, "back-up/"));
    wait_until("the backup", || scene.changes().iter().any(|(_, record)| record.statement.starts_with("BACKUP")));
    let cancelled = scene.cli_elsewhere(&["cancel", &run_id(&scene), "-e", "environment.yaml"]);
    let ended = engine.end(&scene);
    assert_eq!((cancelled.code, ended.code), (Some(0), Some(130)), "{cancelled}{ended}");
    scene.quick_bucket();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(&scene, "2");
}
