//! `unlock`: of living holders and of dead ones; and `resolve` where the journal is torn.

use crate::support::Output;
use crate::support::engine::{Engine, has_intent, is_done, journal};
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

/// A move that came to its backup.
fn backing_up(scene: &Scene) -> Engine {
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| has_intent(records, "back-up/")), "{}", engine.end(scene));
    wait_until("the backup", || scene.changes().iter().any(|(_, record)| record.statement.starts_with("BACKUP")));
    engine
}

fn run_id(scene: &Scene) -> String {
    scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned()
}

fn resumes(scene: &Scene) {
    scene.quick_bucket();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
}

fn unlock(scene: &Scene, more: &[&str]) -> Output {
    scene.cli(&[&["unlock"], more].concat())
}

#[test]
fn a_living_holder_is_shown_and_keeps_its_locks() {
    for (name, in_bucket) in [("living", false), ("living_bucket", true)] {
        let scene = Scene::new(name).with_orders();
        let scene = if in_bucket { scene.with_state_in_bucket() } else { scene }.slow_bucket();
        let engine = backing_up(&scene);
        let id = run_id(&scene);
        if !in_bucket {
            // The backup outlasts the look at it.
            scene.very_slow_bucket();
        }
        let filters = scene.more_filters();
        let refused = unlock(&scene, &["--run", &id]);
        if in_bucket {
            insta::assert_snapshot!(refused, @"
            exit 3
            --- stdout
            The lock on the state s3://backups/DB-state
              run        RUN
              owner      USER@HOST
              since      WHEN
              process    PID on this machine, running as `clickferry`
              last sign  WHEN by the clock of the store
              holder     alive: its process PID is on this machine, running as `clickferry`
            The lock on the target destination (/clickferry/locks/DB-r1,DB-r2 in Keeper)
              run        RUN
              owner      USER@HOST
              since      WHEN
              process    PID on this machine, running as `clickferry`
              last sign  its session in Keeper
              holder     alive: its process PID is on this machine, running as `clickferry`
            Still at work for run RUN on DB-sa: clickferry-RUN-back-up-1-1 (a statement, for TIME)
            Still at work for run RUN on DB-sa: clickferry-RUN-back-up-1-1 (creating_backup, S3('http://S3/backups/DB/clickhouse-backup/STARTED', '[HIDDEN]', '[HIDDEN]'))
            --- stderr
            refused: the lock on the state s3://backups/DB-state is not removed
              expected  a holder that is gone
              found     alive: its process PID is on this machine, running as `clickferry`
              see it    clickferry status RUN -e environment.yaml
              do this   wait for that run, or stop its process; its lock ends with it, and `clickferry resume` carries on
            refused: the lock on the target destination (/clickferry/locks/DB-r1,DB-r2 in Keeper) is not removed
              expected  a holder that is gone
              found     alive: its process PID is on this machine, running as `clickferry`
              see it    clickferry status RUN -e environment.yaml
              do this   wait for that run, or stop its process; its lock ends with it, and `clickferry resume` carries on
            ");
        } else {
            insta::assert_snapshot!(refused, @"
            exit 3
            --- stdout
            The lock on the state ./state
              run        RUN
              owner      USER@HOST
              since      WHEN
              process    PID on this machine, running as `clickferry`
              last sign  now: the operating system holds the lock for its process
              holder     alive: a lock of the operating system ends with its process
            The lock on the target destination (/clickferry/locks/DB-r1,DB-r2 in Keeper)
              run        RUN
              owner      USER@HOST
              since      WHEN
              process    PID on this machine, running as `clickferry`
              last sign  its session in Keeper
              holder     alive: its process PID is on this machine, running as `clickferry`
            Still at work for run RUN on DB-sa: clickferry-RUN-back-up-1-1 (a statement, for TIME)
            Still at work for run RUN on DB-sa: clickferry-RUN-back-up-1-1 (creating_backup, S3('http://S3/backups/DB/clickhouse-backup/STARTED', '[HIDDEN]', '[HIDDEN]'))
            --- stderr
            refused: the lock on the state ./state is not removed
              expected  a holder that is gone
              found     alive: a lock of the operating system ends with its process
              see it    clickferry status RUN -e environment.yaml
              do this   wait for that run, or stop its process; its lock ends with it, and `clickferry resume` carries on
            refused: the lock on the target destination (/clickferry/locks/DB-r1,DB-r2 in Keeper) is not removed
              expected  a holder that is gone
              found     alive: its process PID is on this machine, running as `clickferry`
              see it    clickferry status RUN -e environment.yaml
              do this   wait for that run, or stop its process; its lock ends with it, and `clickferry resume` carries on
            ");
        }
        drop(filters);
        scene.quick_bucket();
        let done = engine.end(&scene);
        assert_eq!(done.code, Some(0), "{done}");
        let free = unlock(&scene, &[]);
        assert_eq!(free.code, Some(0), "{free}");
        assert_eq!(free.stdout.matches("Nobody holds the lock on").count(), 2, "{free}");
    }
}

#[test]
fn the_locks_of_a_dead_holder_are_removed_with_consent_for_its_run() {
    let scene = Scene::new("dead").with_state_in_bucket().with_orders().slow_bucket();
    backing_up(&scene).kill();
    let id = run_id(&scene);
    let filters = scene.more_filters();
    // The lock in Keeper vanishes with its session, sooner or later.
    wait_until("the end of the session", || unlock(&scene, &[]).stdout.contains("Nobody holds the lock on the target"));
    insta::assert_snapshot!(unlock(&scene, &[]), @"
    exit 3
    --- stdout
    Nobody holds the lock on the target destination (/clickferry/locks/DB-r1,DB-r2 in Keeper).
    The lock on the state s3://backups/DB-state
      run        RUN
      owner      USER@HOST
      since      WHEN
      process    PID on this machine, gone
      last sign  WHEN by the clock of the store
      holder     gone: its process PID was on this machine and is gone
    No server works for run RUN.
    --- stderr
    refused: the lock on the state s3://backups/DB-state was not removed
      expected  --run RUN, or RUN typed at a terminal
      found     no consent, or consent for another run
      see it    clickferry unlock -e environment.yaml
      do this   read who holds it, then consent; nothing was changed
    ");
    let wrong = unlock(&scene, &["--run", "another-run"]);
    assert_eq!(wrong.code, Some(3), "{wrong}");
    let removed = unlock(&scene, &["destination", "--run", &id, "--format", "json"]);
    assert_eq!(removed.code, Some(0), "{removed}");
    let json: serde_json::Value = serde_json::from_str(&removed.stdout).unwrap();
    assert_eq!(json["locks"][0]["verdict"], "gone", "{json:#}");
    assert_eq!(json["locks"][0]["process"], "gone", "{json:#}");
    assert_eq!(json["removed"].as_array().unwrap().len(), 1, "{json:#}");
    drop(filters);
    let free = unlock(&scene, &[]);
    assert_eq!(free.stdout.matches("Nobody holds the lock on").count(), 2, "{free}");
    resumes(&scene);
}

#[test]
fn a_holder_on_another_machine_is_watched_and_its_locks_go_when_it_is_gone() {
    let scene = Scene::new("far").with_state_in_bucket();
    // It waits for a database that nobody makes before the test does.
    let runbook = scene.steps(
        "  - id: wait
    wait_for: { on: source, query: \"SELECT count() FROM system.databases WHERE name = '{db}'\", equals: 1, interval: 100ms }
",
    );
    let database = format!("database={}", scene.database);
    let mut engine = scene.start_elsewhere(&["apply", &runbook, "-p", &database, "-e", "environment.yaml"]);
    assert!(engine.reaches(|records| has_intent(records, "wait/")), "{}", engine.end(&scene));
    let id = run_id(&scene);
    let alive = unlock(&scene, &["--run", &id]);
    assert_eq!(alive.code, Some(3), "{alive}");
    assert!(alive.stdout.contains("alive: it renewed the lock while it was watched"), "{alive}");
    assert!(alive.stdout.contains("alive: its session in Keeper lives"), "{alive}");
    engine.kill();
    // A renewal that was on its way when it died is a sign of life, too.
    let mut gone = unlock(&scene, &["--run", &id]);
    if gone.code == Some(3) {
        gone = unlock(&scene, &["--run", &id]);
    }
    assert_eq!(gone.code, Some(0), "{gone}");
    assert!(gone.stdout.contains("gone: it did not renew the lock for 30 s"), "{gone}");
    assert!(gone.stdout.contains("Nobody holds the lock on the target destination"), "{gone}");
    scene.on_node("standalone", "CREATE DATABASE {db}");
    resumes(&scene);
}

#[test]
fn an_unknown_target_is_told() {
    let scene = Scene::new("unknown");
    let refused = unlock(&scene, &["nowhere"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("its targets: source, server, destination, cluster"), "{refused}");
}

#[test]
fn an_answer_is_written_behind_the_last_whole_record() {
    let scene = Scene::new("answer");
    scene.on_node("standalone", "CREATE DATABASE {db}");
    scene.on_node("standalone", "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.mark();
    let runbook = scene.steps(
        "  - id: slow
    sql:
      on: source
      statements: ['INSERT INTO {{ database }}.t SELECT number + sleepEachRow(0.2) FROM numbers(5) SETTINGS max_block_size = 1']
",
    );
    let database = format!("database={}", scene.database);
    let mut engine = scene.start(&["apply", &runbook, "-p", &database]);
    let running = || {
        scene.on_node(
            "standalone",
            "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%{db}%sleepEachRow%'",
        ) != "0"
    };
    assert!(engine.reaches(|records| has_intent(records, "slow/") && running()));
    engine.kill();
    wait_until("the end of the INSERT", || !running());
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(4), "{stopped}");
    // The last record, which tells that it stopped, was torn.
    let path = scene.runs()[0].join("journal.jsonl");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    let records = journal(&scene.runs()[0]).records;
    let id = run_id(&scene);
    let resolved = scene.cli(&["resolve", &id, "slow/1", "--done", "--reason", "five rows are there"]);
    assert_eq!(resolved.code, Some(0), "{resolved}");
    assert!(resolved.stderr.contains("the last record of the journal was torn"), "{resolved}");
    let after = journal(&scene.runs()[0]);
    assert_eq!((after.records[..records.len()].to_vec(), after.torn_bytes), (records, 0));
    assert!(is_done(&after.records, "slow/1"), "{:#?}", after.records);
    resumes(&scene);
    assert!(scene.changes().iter().filter(|(_, record)| record.statement.starts_with("INSERT")).count() == 1);
}
