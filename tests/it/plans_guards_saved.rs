//! The guards are asked again when a saved plan is applied: it was within them when it was made. Each refuses, with
//! nothing done, and lets pass.

use crate::support::lab::NODES;
use crate::support::proxy::Rewriter;
use crate::support::scene::Scene;
use crate::support::{Output, evidence};

const BACKUP: &str = "  - id: back-up\n    backup: { from: source, databases: ['{{ database }}'], to: backups, path: \"b/{{ run.started | date('%H%M%S') }}\" }\n";
const CREATE: &str = "  - id: create\n    recreate_database: { on: destination, database: '{{ database }}' }\n";
const MOVE: &str = "  - id: tables\n    create_replicated: { from: source, on: destination, database: '{{ database }}' }\n  - id: restore\n    restore: { backup: back-up, to: destination, settings: { allow_different_table_def: true } }\n";

/// Saves the plan of a runbook with these guards and steps, and returns the digest to consent with.
fn planned(scene: &Scene, guards: &str, steps: &str) -> String {
    let head = "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: { name: guarded }\nparameters:\n  database: { type: identifier }\n\
         targets:\n  source: { topology: standalone }\n  destination: { topology: replicated }\nstorage:\n  backups: { kind: s3 }\n";
    scene.test.write("guarded.yaml", &format!("{head}guards: {guards}\nsteps:\n{steps}"));
    scene.plan("guarded.yaml", &[])
}

fn applied(scene: &Scene, digest: &str) -> Output {
    scene.mark();
    scene.cli(&["apply", "plan.json", "--consent", digest])
}

/// Refused, and nothing done.
fn refused(scene: &Scene, digest: &str) -> Output {
    let output = applied(scene, digest);
    assert_eq!(output.code, Some(3), "{output}");
    scene.nothing_changed();
    assert!(scene.runs().is_empty(), "{output}");
    evidence::is_shown(scene, &output.to_string());
    output
}

#[test]
fn a_target_that_became_another_release_since_the_plan_is_refused_by_the_distance() {
    let scene = Scene::new("savedRelease").with_orders();
    let is = scene.on_node("replica2", "SELECT version()");
    let url = scene.lab.node("replica2").unwrap().url;
    let proxy = Rewriter::start(&url, &is, &is.replacen("26.7", "26.9", 1));
    scene.environment(|text| text.replace(&url, &proxy.url()));
    let digest = planned(&scene, "{ versions: { max_distance: 1 } }", &format!("{BACKUP}{CREATE}{MOVE}"));
    proxy.turn_on();
    let _filters = scene.filters();
    insta::assert_snapshot!(refused(&scene, &digest), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: version on DB-r2
      expected  26.7.2.1
      found     26.9.2.1
      see it    on DB-r2: SELECT version()
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: step `restore`: DB-r2 is too many releases away from the server of the backup
      expected  at most 1 releases (`guards.versions.max_distance`)
      found     2 releases: DB-sa is 26.7.2.1 (release 26.7), DB-r2 is 26.9.2.1 (release 26.9)
      see it    on DB-sa: SELECT version(); on DB-r2: SELECT version()
      do this   upgrade in between; or raise `guards.versions.max_distance` in the runbook, after a rehearsal, and have it reviewed
    ");
    scene.environment(|text| text);
    let digest = planned(&scene, "{ versions: { max_distance: 1 } }", &format!("{BACKUP}{CREATE}{MOVE}"));
    let done = applied(&scene, &digest);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn what_grew_since_the_plan_must_fit_on_every_replica() {
    let scene = Scene::new("savedSpace").with_orders();
    let number = |node: &str, sql: &str| scene.on_node(node, sql).parse::<u64>().unwrap();
    let held = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{db}'";
    let free = number("replica1", "SELECT free_space FROM system.disks WHERE name = 'default'");
    // With so much headroom half of the disk is needed.
    let headroom = free / 2 / number("standalone", held) * 100;
    let guards = format!("{{ disk: {{ headroom: {headroom} }} }}");
    let digest = planned(&scene, &guards, &format!("{BACKUP}{CREATE}{MOVE}"));
    let add = |rows: u64| {
        let sql = "INSERT INTO {db}.orders SELECT number, '2026-01-01', 1, randomString(50) FROM numbers";
        scene.on_node("standalone", &format!("{sql}({rows})"));
    };
    add(5000);
    let output = refused(&scene, &digest);
    for host in ["r1", "r2"] {
        let told = format!("step `restore`: {}-{host} has not enough free space", scene.database);
        assert!(output.stderr.contains(&told), "{output}");
    }
    assert!(!output.stderr.contains("the world has moved"), "{output}");
    scene.on_node("standalone", "ALTER TABLE {db}.orders DELETE WHERE day = '2026-01-01' SETTINGS mutations_sync = 1");
    add(10);
    let done = applied(&scene, &digest);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn bytes_that_grew_since_the_plan_count_in_the_budget_of_loss() {
    let scene = Scene::new("savedBytes");
    // A merge makes a part of one file into one of many, and changes no row.
    let columns: Vec<String> = (0..60).map(|number| format!("c{number} UInt8")).collect();
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.notes (id UInt64, {}) ENGINE = MergeTree ORDER BY id SETTINGS min_bytes_for_wide_part = 0, min_rows_for_wide_part = 15", columns.join(", ")));
        scene.on_node(node, "SYSTEM STOP MERGES {db}.notes");
        for _ in 0..2 {
            scene.on_node(node, "INSERT INTO {db}.notes (id) SELECT number FROM numbers(10)");
        }
    }
    let held = || -> u64 {
        let sql = "SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{db}'";
        NODES[1..].iter().map(|node| scene.on_node(node, sql).parse::<u64>().unwrap()).sum()
    };
    let before = held();
    let guards = |bytes: u64| format!("{{ loss: {{ tables: 2, rows: 40, bytes: {bytes} }} }}");
    let digest = planned(&scene, &guards(before), CREATE);
    for node in &NODES[1..] {
        scene.on_node(node, "SYSTEM START MERGES {db}.notes");
        scene.on_node(node, "OPTIMIZE TABLE {db}.notes FINAL");
    }
    let after = held();
    assert!(after > before, "{before} {after}");
    let output = refused(&scene, &digest);
    assert!(output.stderr.contains("the plan destroys more bytes than the runbook allows"), "{output}");
    assert_eq!(output.stderr.matches("refused: ").count(), 1, "{output}");
    let digest = planned(&scene, &guards(after), CREATE);
    let done = applied(&scene, &digest);
    assert_eq!(done.code, Some(0), "{done}");
}
