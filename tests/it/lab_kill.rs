//! Engines and servers that die in the middle, and what `resume` makes of it.

use clickferry::engine::journal::{Entry, Record};

use crate::support::engine::{has_intent, is_done, journal};
use crate::support::lab::{files_below, wait_until};
use crate::support::proof::{is_moved, nothing_was_repeated};
use crate::support::scene::Scene;
use crate::support::sent::Run;

/// Moves the database in an engine that is killed as soon as the journal holds enough.
fn killed_when(scene: &Scene, enough: impl Fn(&[Record]) -> bool) {
    let mut engine = scene.start_move();
    assert!(engine.reaches(enough), "{}", engine.end(scene));
    engine.kill();
}

/// Resumes the run to its end: the state that was promised, and nothing sent twice to get there.
fn resumes(scene: &Scene) -> String {
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_moved(scene, "2");
    nothing_was_repeated(scene, scene.runs().last().unwrap());
    resumed.stderr
}

/// Whether a node has been sent a statement that begins so.
fn has_seen(scene: &Scene, node: &str, statement: &str) -> bool {
    scene.changes().iter().any(|(at, record)| *at == node && record.statement.starts_with(statement))
}

#[test]
fn an_engine_killed_after_any_record_is_resumed_and_repeats_nothing() {
    let scene = Scene::new("whole").with_orders();
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    let all = journal(&scene.runs()[0]).records.len();
    assert!(all > 30, "{all}");
    for at in (1..=8).map(|part| all * part / 9) {
        let scene = scene.next("killed").with_orders();
        killed_when(&scene, |records| records.len() >= at);
        resumes(&scene);
    }
}

#[test]
fn an_engine_killed_while_it_empties_a_filled_destination_is_resumed() {
    let scene = Scene::new("filled").with_orders();
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    let raised =
        scene.runbook("standalone-to-replicated", |text| text.replace("tables: 0, rows: 0", "tables: 10, rows: 10000"));
    for operation in ["recreate/1", "clear-keeper/1"] {
        scene.mark();
        let digest = scene.plan(&raised, &["-p", "migration=2"]);
        let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
        assert!(engine.reaches(|records| has_intent(records, operation)), "{}", engine.end(&scene));
        engine.kill();
        resumes(&scene);
    }
}

#[test]
fn an_engine_killed_while_a_server_works_asks_it_how_that_ended() {
    let scene = Scene::new("working").with_orders().slow_bucket();
    killed_when(&scene, |records| has_intent(records, "back-up/") && has_seen(&scene, "standalone", "BACKUP"));
    let mut engine = scene.start(&["resume"]);
    assert!(engine.reaches(|_| scene.runs().first().is_some_and(|run| {
        let records = journal(run).records;
        is_done(&records, "back-up/1") && has_intent(&records, "restore/") && has_seen(&scene, "replica1", "RESTORE")
    })));
    engine.kill();
    let told = resumes(&scene);
    let records = journal(&scene.runs()[0]).records;
    for operation in ["back-up/", "restore/"] {
        let asked = |record: &Record| matches!(&record.entry, Entry::Probed { operation: id, .. } if id.as_str().starts_with(operation));
        assert!(records.iter().any(asked), "{operation} was not asked for:\n{told}");
    }
}

#[test]
fn a_replica_that_dies_during_the_restore_is_waited_for_or_told_and_nothing_is_lost() {
    let scene = Scene::alone("dies");
    for node in ["replica1", "replica2"] {
        let scene = scene.next(node).with_orders().slow_bucket();
        let mut engine = scene.start_move();
        assert!(engine.reaches(|records| has_intent(records, "restore/") && has_seen(&scene, "replica1", "RESTORE")));
        scene.lab.kill(node).unwrap();
        if node == "replica2" {
            // The other replica comes to the end of what it was sent.
            let restoring = "SELECT count() FROM system.backups WHERE status = 'RESTORING'";
            wait_until("the end of the restore", || scene.on_node("replica1", restoring) == "0");
        }
        scene.lab.start_node(node).unwrap();
        scene.quick_bucket();
        let ended = engine.end(&scene);
        if ended.code != Some(0) {
            assert!(matches!(ended.code, Some(1 | 4)), "{ended}");
            assert!(ended.stderr.contains("clickferry resume"), "{ended}");
            resumes(&scene);
        }
        is_moved(&scene, "2");
        nothing_was_repeated(&scene, &scene.runs()[0]);
    }
}

/// The restarted server has forgotten the backup; what lies in the bucket says how it ended.
#[test]
fn a_source_that_dies_during_the_backup_leaves_a_dead_prefix_and_another_one_is_taken() {
    let scene = Scene::alone("source_dies").with_orders().slow_bucket();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| has_intent(records, "back-up/") && has_seen(&scene, "standalone", "BACKUP")));
    let running = "SELECT count() FROM system.backups WHERE status = 'CREATING_BACKUP'";
    wait_until("the backup", || scene.on_node("standalone", running) == "1");
    let in_bucket = || files_below(&scene.lab.dir().join("s3").join(scene.lab.bucket()).join(&scene.database));
    wait_until("something in the bucket", || !in_bucket().is_empty());
    scene.lab.kill("standalone").unwrap();
    let is_whole = |file: &std::path::PathBuf| file.file_name().is_some_and(|name| name == ".backup");
    assert!(!in_bucket().iter().any(is_whole), "the backup was complete before the node was killed");
    scene.lab.start_node("standalone").unwrap();
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM system.backups"), "0");
    scene.quick_bucket();
    let ended = engine.end(&scene);
    if ended.code != Some(0) {
        assert!(matches!(ended.code, Some(1 | 4)), "{ended}");
        assert!(ended.stderr.contains("clickferry resume"), "{ended}");
        resumes(&scene);
    }
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
    assert_eq!(in_bucket().iter().filter(|file| is_whole(file)).count(), 1);
    let attempts: Vec<String> = journal(&scene.runs()[0])
        .records
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Intent { operation, query_id, .. } if operation.as_str() == "back-up/1" => Some(query_id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
}

/// The statement that stands in the plan for this case, and before the one that it clears the way for.
#[test]
fn what_a_dead_server_left_beside_a_table_is_dropped_first_as_planned() {
    let scene = Scene::alone("remainder").with_orders().slow_bucket();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| has_intent(records, "restore/")));
    scene.very_slow_bucket();
    let beside =
        "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'schema_migrations__clickferry_restore'";
    wait_until("the table beside", || scene.on_node("replica1", beside) == "1");
    scene.lab.kill("replica1").unwrap();
    scene.lab.start_node("replica1").unwrap();
    scene.quick_bucket();
    let ended = engine.end(&scene);
    if ended.code != Some(0) {
        resumes(&scene);
    }
    is_moved(&scene, "2");
    let run = scene.runs().pop().unwrap();
    let plan = serde_json::from_slice(&std::fs::read(run.join("plan.json")).unwrap()).unwrap();
    Run::new(&scene, &plan, &run).changes_as_planned();
    let table = format!("DROP TABLE `{}`.`schema_migrations__clickferry_restore` SYNC", scene.database);
    let changes = scene.changes();
    let drops: Vec<&str> = changes
        .iter()
        .filter(|(_, record)| record.statement == table)
        .map(|(_, record)| record.query_id.rsplit_once("-restore-").unwrap().1)
        .collect();
    // By the second attempt of the operation that fills the table beside, and by the one that ends with it.
    let [first, second] = drops[..] else { panic!("{drops:?}") };
    assert!(first.ends_with("-2-1") && second.ends_with("-1"), "{drops:?}");
}

#[test]
fn an_interrupt_stops_at_a_safe_point_and_the_rest_is_done_later() {
    let scene = Scene::new("interrupted").with_orders();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| is_done(records, "recreate/")));
    engine.signal("INT");
    let stopped = engine.end(&scene);
    assert_eq!(stopped.code, Some(130), "{stopped}");
    assert!(stopped.stderr.contains("clickferry resume"), "{stopped}");
    let records = journal(&scene.runs()[0]).records;
    assert!(matches!(records.last().map(|record| &record.entry), Some(Entry::Stopped { .. })), "{:?}", records.last());
    resumes(&scene);
}

#[test]
fn a_second_interrupt_stops_waiting_and_what_the_server_did_meanwhile_counts() {
    let scene = Scene::new("detached").with_orders().slow_bucket();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| has_intent(records, "back-up/") && has_seen(&scene, "standalone", "BACKUP")));
    engine.signal("INT");
    engine.has_told("stopping at the next safe point");
    engine.signal("INT");
    let stopped = engine.end(&scene);
    assert_eq!(stopped.code, Some(130), "{stopped}");
    resumes(&scene);
}

#[test]
fn a_torn_last_record_is_cut_off_and_told() {
    let scene = Scene::new("cut").with_orders();
    killed_when(&scene, |records| is_done(records, "create-tables/3"));
    let file = std::fs::OpenOptions::new().write(true).open(scene.runs()[0].join("journal.jsonl")).unwrap();
    file.set_len(file.metadata().unwrap().len() - 7).unwrap();
    let told = resumes(&scene);
    assert!(told.contains("torn"), "{told}");
}

#[test]
fn a_changed_byte_in_the_journal_is_refused_and_nothing_is_touched() {
    let scene = Scene::new("flipped").with_orders();
    killed_when(&scene, |records| is_done(records, "create-tables/3"));
    let path = scene.runs()[0].join("journal.jsonl");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.iter().position(|&byte| byte == b'\n').unwrap() + 12;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    scene.mark();
    let _filters = scene.filters();
    let run = scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    insta::assert_snapshot!(scene.cli(&["resume", &run]), @"
    exit 1
    --- stderr
    error: the journal is damaged
      expected  an unbroken chain of records
      found     line 2 is not a record: unknown field `au`, expected one of `seq`, `at`, `entry`, `prev`, `sum` at line 1 column N in ./state/runs/RUN/journal.jsonl
      see it    head -c 2000 ./state/runs/RUN/journal.jsonl
      do this   do not resume on it: bring back an undamaged copy of the state, or look at the servers and plan anew
    ");
    // Without a name it is not passed over in silence.
    assert!(scene.cli(&["resume"]).stderr.contains("the journal is damaged"));
    scene.nothing_changed();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_second_engine_on_the_same_target_is_refused_and_told_who_holds_it() {
    let scene = Scene::new("two").with_orders().slow_bucket();
    let mut first = scene.start_move();
    assert!(first.reaches(|records| has_intent(records, "back-up/")));
    wait_until("the backup", || has_seen(&scene, "standalone", "BACKUP"));
    let filters = scene.filters();
    let digest = scene.plan("standalone-to-replicated.yaml", &["-p", "migration=2"]);
    let arguments = ["apply", "plan.json", "--consent", &digest];
    insta::assert_snapshot!(scene.cli(&arguments), @"
    exit 3
    --- stderr
    refused: the state ./state is locked by run RUN of USER@HOST (pid PID) since WHEN
      expected  no other engine works with this state
      see it    clickferry runs
      do this   wait for that run to end, or stop its process
    ");
    insta::assert_snapshot!(scene.cli(&[&arguments[..], &["--state", "other"]].concat()), @"
    exit 3
    --- stderr
    refused: the target `destination` cannot be locked
      expected  no other engine works on this target
      found     the target is locked by run RUN of USER@HOST since WHEN
      see it    the node /clickferry/locks/DB-r1,DB-r2 in Keeper
      do this   wait for that run, or stop it; its lock vanishes with its process and the session time-out
    ");
    drop(filters);
    let done = first.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.runs().len(), 1);
    assert!(!scene.test.path().join("other/runs").exists());
    is_moved(&scene, "2");
    nothing_was_repeated(&scene, &scene.runs()[0]);
}

/// The names of hosts are a matter of each environment; the servers behind them are the same.
#[test]
fn an_environment_that_names_the_servers_otherwise_is_kept_away_all_the_same() {
    let scene = Scene::new("names").with_orders().slow_bucket();
    let mut first = scene.start_move();
    assert!(first.reaches(|records| has_intent(records, "back-up/")));
    wait_until("the backup", || has_seen(&scene, "standalone", "BACKUP"));
    scene.very_slow_bucket();
    let names = |text: String| text.replace(&format!("{}-r", scene.database), &format!("{}-node", scene.database));
    scene.environment(names);
    let digest = scene.plan("standalone-to-replicated.yaml", &["-p", "migration=2"]);
    let filters = scene.filters();
    let arguments = ["apply", "plan.json", "--consent", &digest, "--state", "other"];
    insta::assert_snapshot!(scene.cli(&arguments), @"
    exit 3
    --- stderr
    refused: the target `destination` cannot be locked
      expected  no other engine works on this target
      found     the target is locked by run RUN of USER@HOST since WHEN
      see it    the node /clickferry/locks/server-UUID in Keeper
      do this   wait for that run, or stop it; its lock vanishes with its process and the session time-out
    ");
    // A server without a Keeper cannot be locked; what runs on it is seen.
    let runbook = scene.steps("  - id: make\n    sql: { on: source, statements: ['CREATE DATABASE {db}_more'] }\n");
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    let alone = text.replace("  destination: { topology: replicated }\n", "");
    scene.test.write(&runbook, &alone);
    let database = format!("database={}", scene.database);
    let refused = scene.cli(&["apply", &runbook, "-p", &database, "--summary", "--state", "other"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("another run of clickferry is at work on the target `source`"), "{refused}");
    drop(filters);
    scene.quick_bucket();
    let done = first.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn a_run_is_not_carried_on_on_other_servers_than_those_of_its_plan() {
    let scene = Scene::new("other_servers").with_orders();
    killed_when(&scene, |records| is_done(records, "create-tables/2"));
    let urls = ["replica1", "replica2"].map(|node| scene.lab.node(node).unwrap().url);
    scene.environment(|text| text.replace(&urls[0], "?").replace(&urls[1], &urls[0]).replace('?', &urls[1]));
    scene.mark();
    let refused = scene.cli(&["resume"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert!(refused.stderr.contains("another server answers for"), "{refused}");
    scene.nothing_changed();
    scene.environment(|text| text);
    resumes(&scene);
}
