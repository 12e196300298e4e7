//! Tables that get each other's names on real replicas: done, killed, answers lost, taken back, refused.

use crate::support::Output;
use crate::support::cutter::{Cut, Cutter, way_to};
use crate::support::drift::refused;
use crate::support::engine::has_intent;
use crate::support::exchange::{REPLICAS, SWAP, WAIT, end, names, rebuild, sent, swapped, told, two_tables, undo};
use crate::support::lab::wait_until;
use crate::support::sent::Run;

#[test]
fn exchange_gives_two_tables_each_others_names_on_all_replicas_and_an_undo_takes_it_back() {
    let scene = two_tables("exchange");
    for node in REPLICAS {
        scene.on_node(node, "CREATE TABLE {db}.seen (id UInt64) ENGINE = MergeTree ORDER BY id");
        scene.on_node(node, "CREATE MATERIALIZED VIEW {db}.follows TO {db}.seen AS SELECT id FROM {db}.runs");
    }
    let before = names(&scene);
    let runbook = scene.steps(SWAP);
    let database = format!("database={}", scene.database);
    scene.mark();
    // Lines are broken where the name of the database makes them too long.
    let flat = |output: Output| {
        output.to_string().split_whitespace().collect::<Vec<_>>().join(" ").replace(&scene.database, "DB")
    };
    let plan = flat(scene.cli(&["plan", &runbook, "-p", &database]));
    for words in [
        "DESTROYED Nothing.",
        "~ exchange table `DB`.`runs` with `DB`.`runs_new` on DB-r1, DB-r2",
        "`DB`.`runs` is what `DB`.`runs_new` was (at /clickhouse/tables/01/DB/runs_new in Keeper)",
        "EXCHANGE TABLES `DB`.`runs` AND `DB`.`runs_new`",
        "behind the name `DB`.`runs`, from then on: ORDER BY is `( day , id )` instead of `id`",
        "is named in DB.follows (MaterializedView). What names a table goes by the name",
        "a new table must not take its path from one of these names (error 253)",
        "4 operations: 0 destroy, 2 write, 2 read.",
    ] {
        assert!(plan.contains(words), "`{words}` is missing:\n{plan}");
    }
    let diff = flat(scene.cli(&["diff", &runbook, "-p", &database]));
    let words =
        "DB.runs on DB-r1 rows 3 → 5 Keeper /clickhouse/tables/01/DB/runs → /clickhouse/tables/01/DB/runs_new - ENGINE";
    assert!(diff.contains(words) && diff.contains("4 differences on 2 of 3 hosts"), "{diff}");
    scene.nothing_changed();
    let done = scene.apply(&runbook, &[]);
    told(&done, 0, &[]);
    assert_eq!(names(&scene), swapped(&before), "{done}");
    let run = scene.runs()[0].clone();
    let plan = serde_json::from_slice(&std::fs::read(run.join("plan.json")).unwrap()).unwrap();
    assert_eq!(Run::new(&scene, &plan, &run).changes_as_planned(), 2);
    // The view goes by the name, and a row comes to the same table on both replicas.
    scene.on_node("replica2", "INSERT INTO {db}.runs VALUES (100, '2026-02-01')");
    assert_eq!(scene.on_node("replica2", "SELECT id FROM {db}.seen"), "100");
    wait_until("the row", || scene.on_node("replica1", "SELECT count() FROM {db}.runs WHERE id = 100") == "1");
    scene.mark();
    told(&undo(&scene), 0, &["exchange back"]);
    assert_eq!(sent(&scene), [1, 1]);
    let back: Vec<[String; 4]> =
        before.into_iter().map(|[runs, new, rows, _]| [runs, new, rows, "6".to_owned()]).collect();
    assert_eq!(names(&scene), back, "the row stays with its table");
    end(&scene);
}

#[test]
fn exchange_whose_answer_is_lost_is_asked_for_and_never_swapped_back() {
    for (number, cut) in [(1, Cut::Answer), (2, Cut::Sent), (1, Cut::Late), (2, Cut::Swallowed)] {
        let scene = two_tables("exchange_lost");
        let before = names(&scene);
        let cutter = Cutter::new();
        Cutter::aim(&cutter, Some((number, cut)));
        scene.environment(|text| {
            REPLICAS.iter().fold(text, |text, node| {
                let url = scene.lab.node(node).unwrap().url;
                text.replace(&url, &way_to(&url, &cutter))
            })
        });
        let done = scene.apply(&scene.steps(SWAP), &[]);
        told(&done, 0, &["outcome unknown", "swap/2"]);
        assert_eq!(names(&scene), swapped(&before), "{cut:?}: {done}");
        assert_eq!(sent(&scene), [1, 1], "{cut:?}: {done}");
        end(&scene);
    }
}

#[cfg(feature = "torture")]
#[test]
fn exchange_that_was_killed_before_its_outcome_is_not_sent_again() {
    for point in ["after record intent swap/2", "before record outcome swap/2 done", "after record outcome swap/3 done"]
    {
        let scene = two_tables("exchange_killed");
        let before = names(&scene);
        let digest = scene.plan(&scene.steps(SWAP), &[]);
        scene.killed_at(point, &["apply", "plan.json", "--consent", &digest]);
        let resumed = scene.cli(&["resume"]);
        told(&resumed, 0, &[]);
        assert_eq!(names(&scene), swapped(&before), "{point}: {resumed}");
        assert_eq!(sent(&scene), [1, 1], "{point}: {resumed}");
        end(&scene);
    }
}

#[test]
fn exchange_that_came_to_one_replica_is_taken_back_on_that_one_only() {
    let scene = two_tables("exchange_half");
    let before = names(&scene);
    // The way to the second replica swallows the statement.
    let cutter = Cutter::new();
    Cutter::aim(&cutter, Some((1, Cut::Swallowed)));
    scene.environment(|text| {
        let url = scene.lab.node("replica2").unwrap().url;
        text.replace(&url, &way_to(&url, &cutter))
    });
    let runbook =
        scene.steps(&SWAP.replace("    exchange", "    on_failure: undo\n    retry: { attempts: 1 }\n    exchange"));
    let ended = scene.apply(&runbook, &[]);
    told(&ended, 1, &["step swap failed", "was taken back by run"]);
    assert_eq!(names(&scene), before, "{ended}");
    assert_eq!(sent(&scene), [2, 0], "{ended}");
    end(&scene);
}

#[cfg(feature = "torture")]
#[test]
fn exchange_that_was_killed_before_it_began_is_not_begun_where_a_name_was_touched() {
    let scene = two_tables("exchange_touched");
    let before = names(&scene);
    let digest = scene.plan(&scene.steps(SWAP), &[]);
    scene.killed_at("after record outcome swap/1 done", &["apply", "plan.json", "--consent", &digest]);
    scene.on_node("replica2", "RENAME TABLE {db}.runs_new TO {db}.runs_aside");
    scene.mark();
    let refused = scene.cli(&["resume"]);
    told(&refused, 3, &["other tables stand under these names than at planning", "`runs_new` is missing"]);
    scene.nothing_changed();
    scene.on_node("replica2", "RENAME TABLE {db}.runs_aside TO {db}.runs_new");
    told(&scene.cli(&["resume"]), 0, &[]);
    assert_eq!(names(&scene), swapped(&before));
    end(&scene);
}

#[cfg(feature = "torture")]
#[test]
fn exchange_whose_undo_was_killed_is_not_swapped_once_more() {
    let scene = two_tables("exchange_undo");
    let before = names(&scene);
    told(&scene.apply(&scene.steps(SWAP), &[]), 0, &[]);
    let run = scene.runs()[0].file_name().unwrap().to_string_lossy().into_owned();
    let shown = scene.cli(&["undo", &run, "--dry-run", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let digest = plan["digest"].as_str().unwrap()[..12].to_owned();
    scene.mark();
    scene.killed_at("before record outcome undo-swap/1 done", &["undo", &run, "--consent", &digest]);
    told(&scene.cli(&["resume"]), 0, &[]);
    assert_eq!(names(&scene), before);
    assert_eq!(sent(&scene), [1, 1]);
    end(&scene);
}

#[test]
fn exchange_of_tables_that_are_half_exchanged_is_refused_with_what_each_replica_says() {
    let scene = two_tables("exchange_outside");
    scene.on_node("replica1", "EXCHANGE TABLES {db}.runs AND {db}.runs_new");
    let runbook = scene.steps(SWAP);
    scene.mark();
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["plan", &runbook, "-p", &format!("database={}", scene.database)]), @"
    exit 1
    --- stderr
    error: step `swap`: the replicas do not agree which tables `DB`.`runs` and `DB`.`runs_new` are
      expected  each name has the same path in Keeper on every replica of a shard
      found     `DB`.`runs` is /clickhouse/tables/01/DB/runs_new on DB-r1, /clickhouse/tables/01/DB/runs on DB-r2
                `DB`.`runs_new` is /clickhouse/tables/01/DB/runs on DB-r1, /clickhouse/tables/01/DB/runs_new on DB-r2
      see it    on DB-r1: SELECT database, table, zookeeper_path FROM system.replicas WHERE (database = 'DB' AND table = 'runs') OR (database = 'DB' AND table = 'runs_new')
                on DB-r2: SELECT database, table, zookeeper_path FROM system.replicas WHERE (database = 'DB' AND table = 'runs') OR (database = 'DB' AND table = 'runs_new')
      do this   stop whoever writes to these tables, for their rows mix; find out on which hosts they were exchanged already, bring both names back to one table on all replicas, then plan again
    ");
    drop(filters);
    scene.nothing_changed();
    end(&scene);
}

#[test]
fn exchange_of_other_tables_than_those_of_the_plan_is_refused() {
    let scene = two_tables("exchange_drift");
    let filters = scene.filters();
    let plan = || scene.plan(&scene.steps(SWAP), &[]);
    let output = refused(&scene, plan, || {
        for node in REPLICAS {
            scene.on_node(node, "EXCHANGE TABLES {db}.runs AND {db}.runs_new");
        }
    });
    assert_eq!(output.matches("the world has moved since the plan was made: definition of").count(), 4, "{output}");
    // What comes between the facts and the statement is seen by the look at all hosts: nothing is sent anywhere.
    let digest = scene.plan(&scene.steps(&format!("{WAIT}{SWAP}")), &[]);
    let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    assert!(engine.reaches(|records| has_intent(records, "wait/")));
    scene.on_node("replica2", "RENAME TABLE {db}.runs_new TO {db}.runs_aside");
    scene.mark();
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    let output = engine.end(&scene);
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    insta::assert_snapshot!(output.after_the_plan(), @"
    exit 2
    --- stderr
    Run RUN: steps on DB
    [1/2] wait
      ✓ wait/1 wait for SELECT count() FROM system.databases WHERE name = 'DB_go' on DB-sa  TIME
    [2/2] swap
      ✗ swap/1 look at `DB`.`runs` and `DB`.`runs_new` on DB-r1: on DB-r2: `DB`.`runs` is UUID UUID, `DB`.`runs_new` is missing
    Run RUN is not complete. See it: clickferry status RUN -e environment.yaml. Carry on: clickferry resume RUN -e environment.yaml
    differs: swap/1 look_at (`DB`.`runs` and `DB`.`runs_new`): other tables stand under these names than at planning
      expected  on DB-r2: `DB`.`runs` is UUID UUID, `DB`.`runs_new` is UUID UUID
      found     on DB-r2: `DB`.`runs` is UUID UUID, `DB`.`runs_new` is missing
      see it    on DB-r2: SELECT database, name, toString(uuid) AS uuid FROM system.tables WHERE (database = 'DB' AND name = 'runs') OR (database = 'DB' AND name = 'runs_new')
      do this   nothing was sent; find out who renamed, dropped or made them; where the former tables are back, `clickferry resume`, else plan again
    ");
    assert_eq!(sent(&scene), [0, 0]);
    drop(filters);
    // Back again, the run goes on.
    scene.on_node("replica2", "RENAME TABLE {db}.runs_aside TO {db}.runs_new");
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    told(&scene.cli(&["resume"]), 0, &[]);
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    assert_eq!(sent(&scene), [1, 1]);
    end(&scene);
}

#[test]
fn exchange_that_somebody_took_back_is_told_at_resume_and_done_again_only_when_asked() {
    let scene = two_tables("exchange_redo");
    let before = names(&scene);
    let digest = scene.plan(&scene.steps(&format!("{SWAP}{WAIT}")), &[]);
    let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    assert!(engine.reaches(|records| has_intent(records, "wait/")));
    engine.kill();
    scene.on_node("replica2", "EXCHANGE TABLES {db}.runs AND {db}.runs_new");
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    scene.mark();
    let output = scene.cli(&["resume"]);
    told(&output, 3, &["somebody has exchanged the tables back", "do not agree any longer", "--redo"]);
    told(&undo(&scene), 3, &["somebody has exchanged the tables back"]);
    scene.nothing_changed();
    told(&scene.cli(&["resume", "--redo"]), 0, &[]);
    assert_eq!(sent(&scene), [0, 1]);
    assert_eq!(names(&scene), swapped(&before));
    // Without the former table there is no way back.
    for node in REPLICAS {
        scene.on_node(node, "DROP TABLE {db}.runs_new SYNC");
    }
    scene.mark();
    told(&undo(&scene), 3, &["other tables stand under these names", "`runs_new` is missing", "find out who"]);
    scene.nothing_changed();
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    end(&scene);
}

#[test]
fn exchange_and_a_drop_of_the_former_table_lose_no_row_that_the_plan_does_not_know() {
    let scene = two_tables("exchange_drop");
    let before = names(&scene);
    let insert = |id: u64| {
        scene.on_node("replica1", &format!("INSERT INTO {{db}}.runs VALUES ({id}, '2026-03-01')"));
        scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.runs");
    };
    let drop_old = "  - id: drop-old
    sql: { on: destination, statements: ['DROP TABLE {{ database }}.runs_new SYNC'] }
";
    let file = scene.steps(&format!("{WAIT}{SWAP}{drop_old}"));
    let text = std::fs::read_to_string(scene.test.path().join(&file)).unwrap();
    scene.test.write(&file, &text.replace("\nsteps:", "\nguards: { loss: { tables: 2, rows: 6 } }\nsteps:"));
    // A row that the table in use got since the plan was made is named before anything is sent.
    let output = refused(&scene, || scene.plan(&file, &[]), || insert(76));
    let moved = format!("table {0}.runs, {0}.runs_new by then, that is to lose rows", scene.database);
    told(&output, 3, &[&moved, "expected  3 rows", "found     4 rows"]);
    // One that it gets before the statement is seen by the gate.
    scene.on_node("replica1", "ALTER TABLE {db}.runs DELETE WHERE id = 76 SETTINGS mutations_sync = 2");
    let digest = scene.plan(&file, &[]);
    scene.mark();
    let mut engine = scene.start(&["apply", "plan.json", "--consent", &digest]);
    assert!(engine.reaches(|records| has_intent(records, "wait/")));
    insert(77);
    scene.on_node("standalone", "CREATE DATABASE {db}_go");
    let output = engine.end(&scene);
    told(&output, 1, &[&format!("`{}.runs_new` on", scene.database), "has 4 rows instead of 3"]);
    assert_eq!(sent(&scene), [1, 1]);
    for (uuids, before) in names(&scene).iter().zip(&before) {
        assert_eq!((&uuids[0], &uuids[1], uuids[3].as_str()), (&before[1], &before[0], "4"));
    }
    scene.on_node("replica1", "ALTER TABLE {db}.runs_new DELETE WHERE id = 77 SETTINGS mutations_sync = 2");
    told(&scene.cli(&["resume"]), 0, &[]);
    assert_eq!(scene.on_node("replica2", "SELECT count() FROM {db}.runs"), "5");
    scene.on_node("standalone", "DROP DATABASE {db}_go SYNC");
    end(&scene);
}

#[test]
fn exchange_of_a_table_that_the_plan_itself_makes_is_known_at_its_gate() {
    let scene = two_tables("exchange_made");
    let before = names(&scene);
    let apply = |columns: &str| {
        let file = scene.steps(&rebuild(columns));
        let text = std::fs::read_to_string(scene.test.path().join(&file)).unwrap();
        scene.test.write(&file, &text.replace("\nsteps:", "\nguards: { loss: { tables: 2, rows: 6 } }\nsteps:"));
        scene.mark();
        scene.apply(&file, &[])
    };
    let refused = apply("id UInt64, day DateTime");
    told(
        &refused,
        1,
        &[
            "the two tables have different columns",
            &format!("`day` is Date in `{0}`.`runs` and DateTime in `{0}`.`built`", scene.database),
            "allow_different_columns: true",
        ],
    );
    assert_eq!(sent(&scene), [0, 0]);
    for node in REPLICAS {
        scene.on_node(node, "DROP TABLE {db}.built SYNC");
    }
    let done = apply("id UInt64, day Date");
    told(&done, 0, &[]);
    assert_eq!(sent(&scene), [1, 1], "{done}");
    for ([uuid, _, rows, _], before) in names(&scene).iter().zip(&before) {
        assert_ne!(uuid, &before[0]);
        assert_eq!(rows, "3");
    }
    for node in REPLICAS {
        let order = "SELECT sorting_key FROM system.tables WHERE database = '{db}' AND name = 'runs'";
        assert_eq!(scene.on_node(node, order), "day, id");
        assert_eq!(scene.on_node(node, "EXISTS TABLE {db}.built"), "0");
    }
    end(&scene);
}
