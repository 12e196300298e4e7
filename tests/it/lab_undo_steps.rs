//! The way back of single steps, databases that are set aside, and the point of no return.

use crate::support::engine::{has_intent, is_done, journal};
use crate::support::keeper::{exists, values};
use crate::support::lab::NODES;
use crate::support::proof::content;
use crate::support::scene::Scene;

fn last_run(scene: &Scene) -> String {
    scene.runs().last().unwrap().file_name().unwrap().to_string_lossy().into_owned()
}

/// Runs a command of two parts: it shows a plan, and does it with consent for its digest.
fn with_consent(scene: &Scene, arguments: &[&str]) -> crate::support::Output {
    let mut dry: Vec<&str> = arguments.to_vec();
    dry.extend(["--dry-run", "--format", "json"]);
    let shown = scene.cli(&dry);
    assert_eq!(shown.code, Some(2), "{shown}");
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let digest = plan["digest"].as_str().unwrap()[..12].to_owned();
    let mut real: Vec<&str> = arguments.to_vec();
    real.extend(["--consent", &digest]);
    scene.cli(&real)
}

fn with_table(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene.on_node("standalone", "CREATE DATABASE {db}");
    scene.on_node("standalone", "CREATE TABLE {db}.t (x UInt64) ENGINE = MergeTree ORDER BY x");
    scene.on_node("standalone", "CREATE VIEW {db}.v AS SELECT max(x) AS m FROM {db}.t");
    scene.on_node("standalone", "INSERT INTO {db}.t SELECT number FROM numbers(5)");
    scene.mark();
    scene
}

/// Names and UUIDs of the database and its tables, and the rows.
fn state(scene: &Scene) -> (String, String, crate::support::proof::Content) {
    let databases = "SELECT name, uuid FROM system.databases WHERE startsWith(name, '{db}') ORDER BY name";
    let tables = "SELECT database, name, uuid FROM system.tables WHERE startsWith(database, '{db}') ORDER BY ALL";
    (scene.on_node("standalone", databases), scene.on_node("standalone", tables), content(scene, "standalone"))
}

const KEEP: &str = "  - id: recreate
    recreate_database: { on: source, database: '{{ database }}', keep_old: { for: 168h } }
";

#[test]
fn a_database_that_was_set_aside_comes_back_with_everything_in_it() {
    let scene = with_table("aside");
    let before = state(&scene);
    let runbook = scene.steps(KEEP);
    let done = scene.apply(&runbook, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM system.tables WHERE database = '{db}'"), "0");
    let run = last_run(&scene);
    let listed = scene.cli(&["purge"]);
    let kept = format!("{run}  {0}_old_{1} on {0}-sa, 2 tables  kept until ", scene.database, run.replace('-', "_"));
    assert!(listed.code == Some(0) && listed.stdout.starts_with(&kept), "{listed}");
    let done = with_consent(&scene, &["undo", &run]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(state(&scene), before);
    let listed = scene.cli(&["purge", "--list"]);
    assert_eq!(listed.stdout, "No run of this state has set a database aside.\n");
}

#[test]
fn a_database_that_was_set_aside_is_purged_with_consent_of_its_own() {
    let scene = with_table("purge");
    let runbook = scene.steps(&KEEP.replace("168h", "1ms"));
    assert_eq!(scene.apply(&runbook, &[]).code, Some(0));
    let run = last_run(&scene);
    let aside = format!("{}_old_{}", scene.database, run.replace('-', "_"));
    // Another database of that name is not the one that was set aside.
    scene.on_node("standalone", &format!("RENAME DATABASE {aside} TO {aside}_mine"));
    scene.on_node("standalone", &format!("CREATE DATABASE {aside}"));
    let refused = with_consent(&scene, &["purge"]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("the database is not as the run left it"), "{refused}");
    scene.on_node("standalone", &format!("DROP DATABASE {aside}"));
    scene.on_node("standalone", &format!("RENAME DATABASE {aside}_mine TO {aside}"));
    // The purge that was begun and refused is carried on with, or begun anew.
    scene.mark();
    let filters = scene.filters();
    let without = scene.cli(&["purge"]);
    insta::assert_snapshot!(without.after_the_plan(), @"
    exit 3
    --- stderr
    refused: no consent was given to this plan
      expected  --consent DIGEST, or the number of destroyed rows typed at a terminal
      found     no terminal to ask at, and no --consent
      see it    clickferry purge --dry-run -e ENVIRONMENT
      do this   read the plan, then give the consent at its end; nothing was changed
    ");
    drop(filters);
    scene.nothing_changed();
    // While another run holds the locks, nothing is planned and nobody is asked.
    let waiting = scene.steps("  - id: wait\n    wait_for: { on: source, query: \"SELECT count() FROM system.databases WHERE name = '{db}_go'\", equals: 1, interval: 100ms }\n");
    let mut other = scene.start(&["apply", &waiting, "-p", &format!("database={}", scene.database)]);
    assert!(other.reaches(|records| has_intent(records, "wait/")));
    let locked = scene.cli(&["purge"]);
    assert_eq!(locked.code, Some(3), "{locked}");
    assert!(!locked.stderr.contains("consent") && locked.stderr.contains("lock"), "{locked}");
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    assert_eq!(other.end(&scene).code, Some(0));
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    let done = with_consent(&scene, &["purge", &run]);
    assert_eq!(done.code, Some(0), "{done}");
    let left = "SELECT count() FROM system.databases WHERE startsWith(name, '{db}_old')";
    assert_eq!(scene.on_node("standalone", left), "0");
    let filters = scene.filters();
    let output = scene.cli(&["undo", &run]);
    insta::assert_snapshot!(output.to_string().replace(&run.replace('-', "_"), "LABEL"), @"
    exit 3
    --- stderr
    refused: run RUN is not taken back: 1 of it cannot be
      expected  everything that is asked for can be taken back, or nothing is
      found     steps that can be: none of them
      see it    clickferry status RUN
      do this   read what follows; `--to STEP` takes back only that step and those after it
    refused: recreate/1 set_aside (database `DB`): the database that was set aside is not there any longer
      expected  UUID UUID called `DB_old_LABEL`
      found     no database of that UUID
      see it    on DB-sa: SELECT engine, toString(uuid) AS uuid FROM system.databases WHERE name = 'DB_old_LABEL'
      do this   it was purged, renamed or dropped, so there is no way back to it
    ");
    drop(filters);
}

#[test]
fn a_database_that_would_not_stay_apart_is_not_set_aside() {
    let scene = with_table("stays");
    scene
        .on_node("standalone", "CREATE MATERIALIZED VIEW {db}.m ENGINE = MergeTree ORDER BY x AS SELECT x FROM {db}.t");
    let runbook = scene.steps(KEEP);
    let database = format!("database={}", scene.database);
    scene.mark();
    let _filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["plan", &runbook, "-p", &database]), @"
    exit 1
    --- stderr
    error: step `recreate`: the database `DB` on DB-sa cannot be set aside (`keep_old`)
      expected  an Atomic database of tables and views that name nothing outside themselves
      found     `m` is a view that names tables of the former name: after a restart of the server it would be fed by the new ones, and write into them
      see it    on DB-sa: SELECT name, engine, create_table_query FROM system.tables WHERE database = 'DB'
      do this   leave `keep_old` out and put a `backup` step before this one, or drop these objects in an earlier step
    ");
    scene.nothing_changed();
}

#[test]
fn what_was_dropped_has_no_way_back_and_the_undo_says_so() {
    let scene = with_table("gone");
    let runbook = scene.steps(
        "  - id: recreate
    recreate_database: { on: source, database: '{{ database }}' }
  - id: add
    sql: { on: source, statements: ['CREATE TABLE {{ database }}.n (x UInt64) ENGINE = MergeTree ORDER BY x'], undo: ['DROP TABLE {{ database }}.n SYNC'], undo_loss: { tables: 1, rows: 0 } }
",
    );
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(
        &runbook,
        &text.replace("steps:\n  - id: rec", "guards: { loss: { tables: 2, rows: 5 } }\nsteps:\n  - id: rec"),
    );
    let done = scene.apply(&runbook, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.mark();
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["undo", &last_run(&scene)]), @"
    exit 3
    --- stderr
    refused: run RUN is not taken back: 1 of it cannot be
      expected  everything that is asked for can be taken back, or nothing is
      found     steps that can be: add
      see it    clickferry status RUN
      do this   read what follows; `--to STEP` takes back only that step and those after it
    refused: recreate/1 drop_database (database `DB` on DB-sa) cannot be taken back
      expected  a way back for every operation
      found     the database was dropped, with 2 tables; nothing of it is left
      do this   restore it from a backup; the next time, `keep_old` in the step sets it aside instead
    ");
    drop(filters);
    scene.nothing_changed();
    let done = with_consent(&scene, &["undo", &last_run(&scene), "--to", "add"]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(scene.on_node("standalone", "SELECT count() FROM system.tables WHERE database = '{db}'"), "0");
}

#[test]
fn statements_and_commands_are_taken_back_by_what_their_author_wrote() {
    let scene = with_table("authored");
    let before = state(&scene);
    let runbook = scene.steps(
        "  - id: column
    sql:
      on: source
      statements: ['ALTER TABLE {{ database }}.t ADD COLUMN y UInt8 DEFAULT 7']
      probe: { query: \"SELECT count() FROM system.columns WHERE database = '{db}' AND table = 't' AND name = 'y'\", done_when: 1 }
      undo: ['ALTER TABLE {{ database }}.t DROP COLUMN y']
      undo_probe: { query: \"SELECT count() FROM system.columns WHERE database = '{db}' AND table = 't' AND name = 'y'\", done_when: 0 }
      undo_loss: { tables: 0, rows: 0 }
  - id: command
    run:
      command: [sh, -c, 'echo made > made.txt']
      undo: { command: [rm, made.txt], probe: { command: [test, '!', -e, made.txt] } }
",
    );
    let done = scene.cli(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(scene.test.path().join("made.txt").exists());
    let done = with_consent(&scene, &["undo", &last_run(&scene)]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!scene.test.path().join("made.txt").exists());
    assert_eq!(state(&scene), before);
}

#[test]
fn a_history_gets_its_former_last_row_again() {
    let scene = with_table("history");
    for (table, engine) in [("log", "TinyLog"), ("tree", "MergeTree ORDER BY sequence"), ("none", "Log")] {
        let columns = "(version Int64, dirty UInt8, sequence UInt64)";
        scene.on_node("standalone", &format!("CREATE TABLE {{db}}.{table} {columns} ENGINE = {engine}"));
        if table != "none" {
            scene.on_node("standalone", &format!("INSERT INTO {{db}}.{table} VALUES (4, 1, 10)"));
        }
    }
    let step = |table: &str| {
        format!(
            "  - id: {table}\n    mark_migrations_clean: {{ on: source, table: '{{{{ database }}}}.{table}', version: 4 }}\n"
        )
    };
    let runbook = scene.steps(&["log", "tree", "none"].map(step).concat());
    let done = scene.cli(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert_eq!(done.code, Some(0), "{done}");
    let rows = |table: &str| {
        scene.on_node("standalone", &format!("SELECT version, dirty FROM {{db}}.{table} ORDER BY sequence"))
    };
    assert_eq!((rows("log"), rows("tree"), rows("none")), ("4\t1\n4\t0".into(), "4\t1\n4\t0".into(), "4\t0".into()));
    let done = with_consent(&scene, &["undo", &last_run(&scene)]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!((rows("log"), rows("tree"), rows("none")), ("4\t1\n4\t0\n4\t1".into(), "4\t1".into(), String::new()));
}

#[test]
fn what_was_removed_from_keeper_is_made_again_and_never_over_something_else() {
    let scene = Scene::new("import");
    let path = format!("/clickhouse/tables/01/{}", scene.database);
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        let engine = format!("ReplicatedMergeTree('{path}/t', '{node}') ORDER BY x");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.t (x UInt64) ENGINE = {engine}"));
    }
    scene.on_node("replica1", "INSERT INTO {db}.t SELECT number FROM numbers(10)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.t");
    for node in &NODES[1..] {
        scene.on_node(node, "DETACH TABLE {db}.t PERMANENTLY");
    }
    let before = values(&scene.lab, &path);
    assert!(before.len() > 20, "{before:#?}");
    let runbook = scene
        .steps("  - id: clear\n    clear_keeper: { on: destination, paths: ['/clickhouse/tables/{shard}/{db}'] }\n");
    let done = scene.apply(&runbook, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let run = last_run(&scene);
    assert!(!exists(&scene.lab, &path));
    // A new table stands there now.
    let engine = format!("ReplicatedMergeTree('{path}/t', 'replica1') ORDER BY y");
    scene.on_node("replica1", &format!("CREATE TABLE {{db}}.other (y UInt8) ENGINE = {engine}"));
    let there = values(&scene.lab, &path);
    let refused = with_consent(&scene, &["undo", &run]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("something else is in Keeper where the nodes were"), "{refused}");
    assert_eq!(values(&scene.lab, &path), there);
    scene.on_node("replica1", "DROP TABLE {db}.other SYNC");
    // The undo was begun and stopped at its gate; it is carried on with.
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(values(&scene.lab, &path), before);
    for node in &NODES[1..] {
        scene.on_node(node, "DROP DATABASE {db} SYNC");
    }
}

#[test]
fn the_point_of_no_return_is_asked_for_once_more() {
    let scene = with_table("point");
    let runbook = scene.steps(
        "  - id: add
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (100)'], probe: { query: 'SELECT count() FROM {{ database }}.t WHERE x = 100', done_when: 1 } }
  - id: flip
    point_of_no_return: true
    sql: { on: source, statements: ['INSERT INTO {{ database }}.t VALUES (200)'], probe: { query: 'SELECT count() FROM {{ database }}.t WHERE x = 200', done_when: 1 } }
",
    );
    let database = format!("database={}", scene.database);
    let shown = scene.cli(&["plan", &runbook, "-p", &database]);
    assert!(shown.stdout.contains("no way back after this step"), "{shown}");
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["apply", &runbook, "-p", &database, "--no-return", "add"]), @"
    exit 1
    --- stderr

    no-such-step

      × `--no-return add` names no point of no return of this plan
      help: the plan marks flip with `point_of_no_return`
    ");
    scene.nothing_changed();
    insta::assert_snapshot!(scene.cli(&["apply", &runbook, "-p", &database]).after_the_plan(), @"
    exit 3
    --- stderr
    Run RUN: steps on DB
    [1/2] add
      ✓ add/1 insert into DB.t on DB-sa  TIME
    [2/2] flip
    refused: step `flip` is the point of no return, and nobody said that it may begin
      expected  its name typed at the terminal, or `--no-return flip`
      found     neither
      see it    clickferry status RUN
      do this   look at what was done so far, then `clickferry resume RUN --no-return flip`; or `clickferry undo RUN`
    ");
    drop(filters);
    assert_eq!(
        scene.on_node("standalone", "SELECT groupArray(x) FROM (SELECT x FROM {db}.t WHERE x >= 100 ORDER BY x)"),
        "[100]"
    );
    let again = scene.cli(&["resume"]);
    assert_eq!(again.code, Some(3), "{again}");
    assert!(!has_intent(&journal(&scene.runs()[0]).records, "flip/"));
    let done = scene.cli(&["resume", "--no-return", "flip"]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(is_done(&journal(&scene.runs()[0]).records, "flip/1"));
    assert_eq!(scene.on_node("standalone", "SELECT max(x) FROM {db}.t"), "200");
}

#[cfg(feature = "torture")]
#[test]
fn an_export_that_cannot_be_read_for_a_while_is_not_taken_for_none() {
    let scene = Scene::new("export");
    let path = format!("/clickhouse/tables/01/{}", scene.database);
    scene.on_node("replica1", "CREATE DATABASE {db}");
    let engine = format!("ReplicatedMergeTree('{path}/t', 'replica1') ORDER BY x");
    scene.on_node("replica1", &format!("CREATE TABLE {{db}}.t (x UInt64) ENGINE = {engine}"));
    scene.on_node("replica1", "DETACH TABLE {db}.t PERMANENTLY");
    let before = values(&scene.lab, &path);
    let runbook = scene
        .steps("  - id: clear\n    clear_keeper: { on: destination, paths: ['/clickhouse/tables/{shard}/{db}'] }\n");
    let digest = scene.plan(&runbook, &[]);
    // Everything is removed, and nobody has looked yet what was.
    scene.killed_at("before record outcome clear/1 done", &["apply", "plan.json", "--consent", &digest]);
    assert!(!exists(&scene.lab, &path));
    let export = scene.runs()[0].join("keeper/clear-1.json");
    let aside = scene.test.path().join("aside");
    std::fs::rename(&export, &aside).unwrap();
    std::fs::create_dir(&export).unwrap();
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(1), "{stopped}");
    assert!(stopped.stderr.contains("cannot be read"), "{stopped}");
    std::fs::remove_dir(&export).unwrap();
    std::fs::rename(&aside, &export).unwrap();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    let done = with_consent(&scene, &["undo", &last_run(&scene)]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(values(&scene.lab, &path), before);
    scene.on_node("replica1", "DROP DATABASE {db} SYNC");
}
