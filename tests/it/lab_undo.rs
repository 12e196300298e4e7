//! Runs that are taken back: the world is what it was, or nothing is touched.

use std::collections::BTreeMap;

use crate::support::engine::{has_intent, journal};
use crate::support::keeper::{children, exists};
use crate::support::lab::{NODES, files_below};
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
    insta::assert_snapshot!(scene.cli(&["undo", &run, "--dry-run", "--summary"]), @"
    exit 2
    --- stdout
    Plan of undo of standalone-to-replicated on DB
      Takes run RUN back, in reverse order

      destination  DB-r1  http://REPLICA1  26.7.2.1  shard 01
      destination  DB-r2  http://REPLICA2  26.7.2.1  shard 01
      source       DB-sa  http://STANDALONE  26.7.2.1
      with database = DB, migration = 2

    DESTROYED  14 tables, 6 386 rows, SIZE
                                                                        tables         rows        bytes
      - table DB.schema_migrations                                              undo-restore/1
          on DB-r1                                                 2            6          SIZE
      - table DB.orders                                                         undo-restore/2
          on DB-r1                                                 2        6 000          SIZE
      - table DB.daily                                                          undo-restore/3
          on DB-r1                                                 2          180          SIZE
      - table DB.customers                                                      undo-restore/4
          on DB-r1                                                 2          200          SIZE
      - materialized view `DB`.`daily`                               undo-create-tables/1 to 2
          on DB-r2                                                     nothing that holds rows
          on DB-r1                                                     nothing that holds rows
      - table `DB`.`schema_migrations`                               undo-create-tables/3 to 4
          on DB-r2                                                 1            0          SIZE
          on DB-r1                                                 1            0          SIZE
      - table `DB`.`orders`                                          undo-create-tables/5 to 6
          on DB-r2                                                 1            0          SIZE
          on DB-r1                                                 1            0          SIZE
      - table `DB`.`customers`                                       undo-create-tables/7 to 8
          on DB-r2                                                 1            0          SIZE
          on DB-r1                                                 1            0          SIZE
      - database `DB`                                                     undo-recreate/1 to 2
          on DB-r2                                                     nothing that holds rows
          on DB-r1                                                     nothing that holds rows
      - backup clickhouse-backup/STARTED                                        undo-back-up/1
          on DB-sa                                                 0            0     SIZE
      total, every replica's copy counted                                   14        6 386     SIZE
      the runbook allows at most                                            14        6 386     no limit
      within what the runbook allows

    CHANGED OTHERWISE
      ~ unmark table `DB`.`schema_migrations` on DB-r1             undo-mark-clean/1
        now: version 2, clean, as the run left it; then: version 2, dirty

    HOW IT IS CHECKED
      ~ unmark table `DB`.`schema_migrations`                            after undo-mark-clean
        the migrator's own query answers it on 2 hosts
      - empty 4 tables                                                                after undo-restore
        no rows on DB-r1, DB-r2, nothing under way between them
      - drop 4 objects                                                          after undo-create-tables
        no such object, and nothing of it in system.dropped_tables
      - drop database `DB`                                                 after undo-recreate
        no database of that UUID, none of its tables in system.dropped_tables
      - delete backup clickhouse-backup/STARTED                             after undo-back-up
        the listing is empty

    1. undo-verify  (verify)
       Takes back: Compare every table on every replica with the backup.
       left out: nothing to take back

    2. undo-mark-clean  (mark_migrations_clean)
       Takes back: Leave schema_migrations so that the migrator finds this version, clean, on every
       replica.
       ~ unmark table `DB`.`schema_migrations` on DB-r1      write undo-mark-clean/1
         before  version 2, clean, as the run left it
         after   version 2, dirty

    3. undo-restore  (restore)
       Takes back: Load the rows on one replica of each shard; the other replicas fetch them.
       - empty 4 tables on DB-r1                                   destroy undo-restore/1 to 4
         takes 8 tables, 6 386 rows, SIZE
         in DB: schema_migrations, orders, daily, customers
         before  as the run left it on DB-r1, DB-r2: exactly the 6 rows that the run
                 put there (schema_migrations)
                 as the run left it on DB-r1, DB-r2: exactly the 6000 rows that the
                 run put there (orders)
                 as the run left it on DB-r1, DB-r2: at most the 180 rows that the
                 run put there (daily)
                 as the run left it on DB-r1, DB-r2: at most the 200 rows that the
                 run put there (customers)
         after   empty on DB-r1, DB-r2

    4. undo-create-tables  (create_replicated)
       Takes back: Create every table on every replica, MergeTree engines as their Replicated forms.
       - drop 4 objects on DB-r2, DB-r1            destroy undo-create-tables/1 to 8
         takes 6 tables, 0 rows, SIZE
         in `DB`: daily, schema_migrations, orders, customers
         before  as the run left it on <host>: no rows
         after   gone

    5. undo-clear-keeper  (clear_keeper)
       Takes back: Remove what earlier attempts left in Keeper; otherwise the tables could not be
       created.
       left out: nothing to take back

    6. undo-recreate  (recreate_database)
       Takes back: Start from an empty database on every replica.
       - drop database `DB` on DB-r2, DB-r1   destroy undo-recreate/1 to 2
         before  on DB-r2: as the run created it: UUID UUID,
                 no tables
                 on DB-r1: as the run created it: UUID UUID,
                 no tables
         after   gone

    7. undo-back-up  (backup)
       Takes back: Write the source's database to the bucket.
       - delete backup clickhouse-backup/STARTED on DB-sa     destroy undo-back-up/1
         takes 0 tables, 0 rows, SIZE
         before  only objects that the backup's own manifest names, or that an attempt of the run left
         after   nothing at clickhouse-backup/STARTED

    WHAT STANDS FOR WHAT
      <name> is the name of each object
      <host> is the name of each host

    16 operations: 15 destroy, 1 write, 0 read. The plan rests on 6 facts that must still hold at apply:
    3 identity, 3 version.
    Digest DIGEST
    --- stderr
    Take it back: clickferry undo RUN --consent DIGEST -e environment.yaml
    ");
    insta::assert_snapshot!(scene.cli(&["undo", &run]).after_the_plan(), @"
    exit 3
    --- stderr
    refused: no consent was given to this plan
      expected  --consent DIGEST, or the number of destroyed rows typed at a terminal
      found     no terminal to ask at, and no --consent
      see it    clickferry plan RUNBOOK -e ENVIRONMENT
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
    insta::assert_snapshot!(scene.cli(&["resume", &run]), @"
    exit 3
    --- stdout

     table                           expected rows  DB-r1  DB-r2
     DB.customers          100            ✓ 100            ✓ 100
     DB.daily              90             ✓ 90             ✓ 90
     DB.orders             3 000          ✓ 3 000          ✓ 3 000
     DB.schema_migrations  4              ✓ 4              ✓ 4

    4 tables on 2 servers: 8 pass
    --- stderr
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
