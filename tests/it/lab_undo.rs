//! Runs that are taken back: the world is what it was, or nothing is touched.

use std::collections::BTreeMap;

use clickferry::engine::journal::Entry;

use crate::support::engine::{has_intent, journal};
use crate::support::keeper::{children, exists};
use crate::support::lab::{NODES, files_below, wait_until};
use crate::support::proof::content;
use crate::support::scene::Scene;

/// Databases and tables of a node with their rows and content, the test's own and those beside it.
fn world(scene: &Scene, node: &str) -> BTreeMap<String, String> {
    let list = |sql: &str| scene.on_node(node, sql);
    let mut world = BTreeMap::from([(
        "databases".to_owned(),
        list("SELECT name, engine FROM system.databases WHERE startsWith(name, '{db}') ORDER BY name"),
    )]);
    world.insert(
        "tables".to_owned(),
        list("SELECT database, name, engine FROM system.tables WHERE startsWith(database, '{db}') AND NOT startsWith(name, '.inner_id') ORDER BY ALL"),
    );
    for (table, (rows, hash)) in content(scene, node) {
        world.insert(table, format!("{rows} rows, {hash}"));
    }
    world
}

/// Everything that a run may have changed: all nodes, the bucket, Keeper.
fn all(scene: &Scene) -> (Vec<BTreeMap<String, String>>, Vec<String>, Vec<String>) {
    let bucket = files_below(&scene.lab.dir().join("s3").join(scene.lab.bucket()).join(&scene.database));
    let mut bucket: Vec<String> = bucket.iter().map(|file| file.display().to_string()).collect();
    bucket.sort();
    (NODES.map(|node| world(scene, node)).to_vec(), bucket, keeper_tree(scene, &keeper_path(scene)))
}

fn keeper_path(scene: &Scene) -> String {
    format!("/clickhouse/tables/01/{}", scene.database)
}

/// Everything below a path; ClickHouse itself leaves the empty folder of dropped tables behind.
fn keeper_tree(scene: &Scene, path: &str) -> Vec<String> {
    if !exists(&scene.lab, path) {
        return Vec::new();
    }
    let mut tree = Vec::new();
    for child in children(&scene.lab, path) {
        let child = format!("{path}/{child}");
        tree.push(child.clone());
        tree.extend(keeper_tree(scene, &child));
    }
    tree
}

fn last_run(scene: &Scene) -> String {
    scene.runs().last().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

/// The digest of the undo's plan.
fn digest(scene: &Scene, run: &str, more: &[&str]) -> String {
    let mut arguments = vec!["undo", run, "--dry-run", "-o", "undo.json"];
    arguments.extend(more);
    let shown = scene.cli(&arguments);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan: serde_json::Value =
        serde_json::from_slice(&std::fs::read(scene.test.path().join("undo.json")).unwrap()).unwrap();
    plan["digest"].as_str().unwrap()[..12].to_owned()
}

/// What the undo would do, one line for each operation; nothing in it depends on the width of a name.
fn statements(scene: &Scene, run: &str) -> String {
    let shown = scene.cli(&["undo", run, "--dry-run", "--format", "json"]);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let operations = plan["operations"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    operations
        .iter()
        .map(|one| {
            let is_sequence = |word: &&str| word.len() == 19 && word.bytes().all(|byte| byte.is_ascii_digit());
            let statement = text(&one["statements"][0]["text"]);
            let words = statement.split(' ').map(|word| if is_sequence(&word) { "SEQUENCE" } else { word });
            let statement = words.collect::<Vec<_>>().join(" ");
            let rows = &one["loss"]["rows"];
            format!("{} {} {}: {statement} ({rows} rows)\n", text(&one["id"]), text(&one["kind"]), text(&one["host"]))
        })
        .collect()
}

/// Takes a run back with consent.
fn undo(scene: &Scene, run: &str, more: &[&str]) -> crate::support::Output {
    let digest = digest(scene, run, more);
    let mut arguments = vec!["undo", run, "--consent", &digest];
    arguments.extend(more);
    scene.cli(&arguments)
}

fn moved(name: &str) -> Scene {
    let scene = Scene::new(name).with_orders();
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    scene
}

#[test]
fn a_whole_move_is_taken_back() {
    let scene = Scene::new("back").with_orders();
    let before = all(&scene);
    assert_eq!(scene.start_move().end(&scene).code, Some(0));
    let run = last_run(&scene);
    assert_ne!(all(&scene), before);
    scene.mark();
    let filters = scene.filters();
    insta::assert_snapshot!(statements(&scene, &run), @"
    undo-mark-clean/1 unmark DB-r1: ALTER TABLE `DB`.`schema_migrations` DELETE WHERE version = 2 AND dirty = 0 AND sequence = SEQUENCE SETTINGS mutations_sync = 2 (0 rows)
    undo-restore/1 empty DB-r1: TRUNCATE TABLE `DB`.`schema_migrations` (6 rows)
    undo-restore/2 empty DB-r1: TRUNCATE TABLE `DB`.`orders` (6000 rows)
    undo-restore/3 empty DB-r1: TRUNCATE TABLE `DB`.`daily` (180 rows)
    undo-restore/4 empty DB-r1: TRUNCATE TABLE `DB`.`customers` (200 rows)
    undo-create-tables/1 drop DB-r2: DROP VIEW `DB`.`daily` SYNC (0 rows)
    undo-create-tables/2 drop DB-r1: DROP VIEW `DB`.`daily` SYNC (0 rows)
    undo-create-tables/3 drop DB-r2: DROP TABLE `DB`.`schema_migrations` SYNC (0 rows)
    undo-create-tables/4 drop DB-r1: DROP TABLE `DB`.`schema_migrations` SYNC (0 rows)
    undo-create-tables/5 drop DB-r2: DROP TABLE `DB`.`orders` SYNC (0 rows)
    undo-create-tables/6 drop DB-r1: DROP TABLE `DB`.`orders` SYNC (0 rows)
    undo-create-tables/7 drop DB-r2: DROP TABLE `DB`.`customers` SYNC (0 rows)
    undo-create-tables/8 drop DB-r1: DROP TABLE `DB`.`customers` SYNC (0 rows)
    undo-recreate/1 drop_database DB-r2: DROP DATABASE `DB` SYNC (0 rows)
    undo-recreate/2 drop_database DB-r1: DROP DATABASE `DB` SYNC (0 rows)
    undo-back-up/1 delete DB-sa: delete every object of the backup at clickhouse-backup/STARTED in storage `backups` (0 rows)
    ");
    insta::assert_snapshot!(scene.cli(&["undo", &run]).after_the_plan(), @"
    exit 3
    --- stderr
    refused: no consent was given to this plan
      expected  --consent DIGEST, or the number of destroyed rows typed at a terminal
      found     no terminal to ask at, and no --consent
      see it    clickferry undo RUN --dry-run -e ENVIRONMENT
      do this   read the plan, then give the consent at its end; nothing was changed
    ");
    drop(filters);
    scene.nothing_changed();
    let done = undo(&scene, &run, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(all(&scene), before);
    // It is over: neither carried on with nor taken back twice.
    let filters = scene.filters();
    scene.mark();
    // The matrix before it is as wide as the name of the database.
    let resumed = scene.cli(&["resume", &run]);
    assert_eq!(resumed.code, Some(3), "{resumed}");
    insta::assert_snapshot!(resumed.stderr, @"
    refused: run RUN was taken back by run RUN
      expected  a run that nobody takes back
      found     the undo RUN
      see it    clickferry status RUN
      do this   `clickferry resume RUN` ends an undo that was stopped; to do the work again, apply the runbook anew
    ");
    insta::assert_snapshot!(scene.cli(&["undo", &run]), @"
    exit 0
    --- stderr
    Run RUN: nothing is left to take back.
    ");
    insta::assert_snapshot!(scene.cli(&["undo", &last_run(&scene)]), @"
    exit 3
    --- stderr
    refused: run RUN cannot be taken back
      expected  a run of a runbook
      found     the run `undo of standalone-to-replicated`
      see it    clickferry status RUN
      do this   to do again what it took back, apply the runbook anew
    ");
    drop(filters);
    scene.nothing_changed();
}

/// An undo that is killed when its journal holds enough.
fn killed_when(scene: &Scene, run: &str, enough: impl Fn(&[clickferry::engine::journal::Record]) -> bool) {
    let digest = digest(scene, run, &[]);
    let mut engine = scene.start(&["undo", run, "--consent", &digest]);
    assert!(engine.reaches(enough), "{}", engine.end(scene));
    engine.kill();
}

#[test]
fn an_undo_killed_after_any_record_is_resumed() {
    let scene = moved("count");
    let run = last_run(&scene);
    assert_eq!(undo(&scene, &run, &[]).code, Some(0));
    let records = journal(scene.runs().last().unwrap()).records.len();
    assert!(records > 30, "{records}");
    for at in (1..=5).map(|part| records * part / 6) {
        let scene = scene.next("killed").with_orders();
        let before = all(&scene);
        assert_eq!(scene.start_move().end(&scene).code, Some(0));
        let run = last_run(&scene);
        killed_when(&scene, &run, |records| records.len() >= at);
        let refused = scene.cli(&["undo", &run]);
        assert_eq!(refused.code, Some(3), "{refused}");
        assert!(refused.stderr.contains("which is not over"), "{refused}");
        scene.mark();
        let resumed = scene.cli(&["resume"]);
        assert_eq!(resumed.code, Some(0), "{resumed}");
        assert_eq!(all(&scene), before);
        crate::support::proof::nothing_was_repeated(&scene, scene.runs().last().unwrap());
    }
}

#[test]
fn a_run_that_was_killed_is_taken_back_as_far_as_it_came() {
    let scene = Scene::new("half").with_orders();
    for operation in ["back-up/1", "recreate/2", "create-tables/3", "restore/2", "mark-clean/1"] {
        let scene = scene.next("half").with_orders();
        let before = all(&scene);
        let mut engine = scene.start_move();
        assert!(engine.reaches(|records| has_intent(records, operation)), "{}", engine.end(&scene));
        engine.kill();
        let done = loop {
            // What the servers still work on is waited for.
            let shown = scene.cli(&["undo", &last_run(&scene), "--dry-run"]);
            if shown.code == Some(0) {
                break scene.cli(&["undo", &last_run(&scene)]);
            }
            if !shown.stderr.contains("it still runs") {
                break undo(&scene, &last_run(&scene), &[]);
            }
        };
        assert_eq!(done.code, Some(0), "{operation}: {done}");
        assert_eq!(all(&scene), before, "{operation}");
    }
}

#[test]
fn nothing_is_taken_back_where_somebody_wrote_meanwhile() {
    let scene = moved("wrote");
    let run = last_run(&scene);
    scene.on_node("replica2", "INSERT INTO {db}.customers VALUES (1000, 'new', 1)");
    // One row less and one more: as many rows as before, but not the same.
    scene.on_node("replica1", "ALTER TABLE {db}.orders DELETE WHERE id = 1 SETTINGS mutations_sync = 2");
    scene.on_node("replica1", "INSERT INTO {db}.orders VALUES (5000, '2026-01-02', 1, 'mine')");
    let before = all(&scene);
    scene.mark();
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["undo", &run, "--consent", "000000000000"]), @"
    exit 3
    --- stderr
    refused: run RUN is not taken back: 3 of it cannot be
      expected  everything that is asked for can be taken back, or nothing is
      found     steps that can be: mark-clean, create-tables, recreate, back-up
      see it    clickferry status RUN
      do this   read what follows; `--to STEP` takes back only that step and those after it
    refused: undo-restore/2 empty (table DB.orders): it is not as the run left it, so it is not the run's to take away
      expected  as the run left it on DB-r1, DB-r2: exactly the 6000 rows that the run put there
      found     DB-r1: as many rows, but other blocks: somebody wrote to it; DB-r2: as many rows, but other blocks: somebody wrote to it
      see it    on DB-r1, DB-r2: SELECT count() FROM `DB`.`orders`
      do this   nothing was changed; find out who wrote to it, save what is needed, then take it back by hand
    refused: undo-restore/3 empty (table DB.daily): it is not as the run left it, so it is not the run's to take away
      expected  as the run left it on DB-r1, DB-r2: at most the 180 rows that the run put there
      found     DB-r1: 91 rows instead of 90; DB-r2: 91 rows instead of 90
      see it    on DB-r1, DB-r2: SELECT count() FROM `DB`.`daily`
      do this   nothing was changed; find out who wrote to it, save what is needed, then take it back by hand
    refused: undo-restore/4 empty (table DB.customers): it is not as the run left it, so it is not the run's to take away
      expected  as the run left it on DB-r1, DB-r2: at most the 200 rows that the run put there
      found     DB-r1: 101 rows instead of 100; DB-r2: 101 rows instead of 100
      see it    on DB-r1, DB-r2: SELECT count() FROM `DB`.`customers`
      do this   nothing was changed; find out who wrote to it, save what is needed, then take it back by hand
    ");
    drop(filters);
    scene.nothing_changed();
    assert_eq!(all(&scene), before);
    // The step behind can be taken back by itself, and only it.
    let done = undo(&scene, &run, &["--to", "mark-clean"]);
    assert_eq!(done.code, Some(0), "{done}");
    let state = "SELECT version, dirty FROM {db}.schema_migrations ORDER BY sequence DESC LIMIT 1";
    assert_eq!(scene.on_node("replica2", state), "2\t1");
    assert_eq!(all(&scene).1, before.1);
}

/// Whether an undo of the run was begun, as its journal says.
fn is_marked(scene: &Scene, run: &str) -> bool {
    let records = journal(&scene.state().join("runs").join(run)).records;
    records.iter().any(|record| matches!(record.entry, Entry::Undone { .. }))
}

#[cfg(feature = "torture")]
#[test]
fn an_undo_that_died_before_its_first_record_has_taken_nothing_back() {
    let scene = Scene::new("void").with_orders();
    let mut engine = scene.start_move();
    assert!(engine.reaches(|records| has_intent(records, "create-tables/3")), "{}", engine.end(&scene));
    engine.kill();
    let run = last_run(&scene);
    let consent = digest(&scene, &run, &[]);
    scene.killed_at("after record undone", &["undo", &run, "--consent", &consent]);
    assert!(is_marked(&scene, &run));
    // The run goes on as if nobody had wanted to take it back.
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    crate::support::proof::is_moved(&scene, "2");
    // And it is taken back by an undo that does begin; the record of that one stands.
    let done = undo(&scene, &run, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let resumed = scene.cli(&["resume", &run]);
    assert_eq!(resumed.code, Some(3), "{resumed}");
}

#[cfg(feature = "torture")]
#[test]
fn an_undo_is_begun_behind_a_record_that_was_torn() {
    let scene = moved("torn");
    let run = last_run(&scene);
    let consent = digest(&scene, &run, &[]);
    // The run is over, and what the first undo wrote into its journal came to the half of it.
    scene.killed_at("inside of record undone", &["undo", &run, "--consent", &consent]);
    assert!(journal(&scene.state().join("runs").join(&run)).torn_bytes > 0);
    let done = undo(&scene, &run, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(is_marked(&scene, &run));
}

#[test]
fn an_interrupt_while_an_undo_is_planned_marks_nothing() {
    let scene = moved("planned").slow_bucket();
    let run = last_run(&scene);
    let consent = digest(&scene, &run, &[]);
    scene.very_slow_bucket();
    let engine = scene.start(&["undo", &run, "--consent", &consent]);
    // It holds its locks and asks the bucket, which takes its time.
    let lock = format!("/clickferry/locks/{0}-r1,{0}-r2", scene.database);
    wait_until("the lock of the target", || exists(&scene.lab, &lock));
    engine.signal("INT");
    let ended = engine.end(&scene);
    assert_eq!(ended.code, Some(130), "{ended}");
    assert!(!is_marked(&scene, &run), "{ended}");
    assert_eq!(last_run(&scene), run);
}

#[test]
fn an_undo_that_slept_through_the_life_of_its_lock_deletes_nothing_more() {
    let scene = moved("slept").slow_bucket();
    let run = last_run(&scene);
    let consent = digest(&scene, &run, &[]);
    let count = || all(&scene).1.len();
    let before = count();
    let mut engine = scene.start(&["undo", &run, "--consent", &consent]);
    assert!(engine.reaches(|records| has_intent(records, "undo-back-up/")), "{}", engine.end(&scene));
    scene.very_slow_bucket();
    wait_until("the first object to go", || count() < before);
    engine.signal("STOP");
    let lock = format!("/clickferry/locks/{0}-r1,{0}-r2", scene.database);
    wait_until("the end of its session", || !exists(&scene.lab, &lock));
    let left = count();
    assert!(left > 3, "{left}");
    engine.signal("CONT");
    let woken = engine.end(&scene);
    assert!(matches!(woken.code, Some(1 | 4)), "{woken}");
    assert!(woken.stderr.contains("lock"), "{woken}");
    // The one that was on its way may have gone.
    assert!(count() + 1 >= left, "{} of {left} are left: {woken}", count());
    scene.quick_bucket();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(count(), 0);
}
