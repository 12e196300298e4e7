//! The guards of a runbook on real servers: each refuses, with nothing done, and lets pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::{Timestamp, ToSpan};

use crate::support::Output;
use crate::support::evidence;
use crate::support::lab::NODES;
use crate::support::proxy::Switch;
use crate::support::scene::Scene;

const BACKUP: &str = "  - id: back-up\n    backup: { from: source, databases: ['{{ database }}'], to: backups, path: \"b/{{ run.started | date('%H%M%S') }}\" }\n";
const CREATE: &str = "  - id: create\n    recreate_database: { on: destination, database: '{{ database }}' }\n  - id: tables\n    create_replicated: { from: source, on: destination, database: '{{ database }}' }\n";
const RESTORE: &str = "  - id: restore\n    restore: { backup: back-up, to: destination, settings: { allow_different_table_def: true } }\n";
const DROP: &str = "  - id: drop\n    recreate_database: { on: destination, database: '{{ database }}' }\n";
const LOSS: &str = "tables: 9, rows: 9000";

/// Writes a runbook with these guards and steps.
fn runbook(scene: &Scene, guards: &str, steps: &str) -> &'static str {
    let head = "apiVersion: clickferry/v1\nkind: Runbook\nmetadata: { name: guarded }\nparameters:\n  database: { type: identifier }\n\
         targets:\n  source: { topology: standalone }\n  destination: { topology: replicated }\nstorage:\n  backups: { kind: s3 }\n";
    scene.test.write("guarded.yaml", &format!("{head}guards: {guards}\nsteps:\n{steps}"));
    "guarded.yaml"
}

/// A database with rows on both replicas.
fn filled(scene: &Scene) {
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree ORDER BY id");
        scene.on_node(node, "INSERT INTO {db}.notes SELECT number FROM numbers(10)");
    }
    scene.mark();
}

/// Refused by a guard: these words, and nothing done.
fn refused(scene: &Scene, output: &Output, words: &[&str]) {
    assert_eq!(output.code, Some(3), "{output}");
    for word in words {
        assert!(output.stderr.contains(word), "`{word}` is missing:\n{output}");
    }
    scene.nothing_changed();
    assert!(scene.runs().is_empty(), "{output}");
    evidence::is_shown(scene, &output.to_string());
}

fn plan_only(scene: &Scene, runbook: &str) -> Output {
    scene.cli(&["plan", runbook, "-p", &format!("database={}", scene.database)])
}

#[test]
fn loss_on_more_hosts_than_allowed_is_shown_and_refused() {
    let scene = Scene::new("replicas");
    filled(&scene);
    let few = runbook(&scene, &format!("{{ loss: {{ {LOSS}, replicas: 1 }} }}"), DROP);
    let database = format!("database={}", scene.database);
    for format in ["text", "json"] {
        let output = scene.cli(&["plan", few, "-p", &database, "--format", format]);
        assert!(output.stdout.contains("DROP DATABASE"), "{output}");
        refused(
            &scene,
            &output,
            &["on more hosts than the runbook allows", "on at most 1 host (`guards.loss.replicas`)"],
        );
    }
    refused(&scene, &scene.cli(&["apply", few, "-p", &database, "--consent", "0"]), &["on more hosts"]);
    let enough = runbook(&scene, &format!("{{ loss: {{ {LOSS}, replicas: 2 }} }}"), DROP);
    assert!(plan_only(&scene, enough).stdout.contains("on 2 hosts"));
    let done = scene.apply(enough, &[]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn a_protected_environment_is_named_in_the_consent() {
    let scene = Scene::new("protected");
    filled(&scene);
    let name = scene.database.clone();
    scene.environment(|text| text.replace("metadata: {", "metadata: { protected: true,"));
    let runbook = runbook(&scene, &format!("{{ loss: {{ {LOSS} }} }}"), DROP);
    let digest = scene.plan(runbook, &[]);
    let shown = plan_only(&scene, runbook);
    assert!(shown.stdout.ends_with(&format!("--consent {name}:{digest}\n")), "{shown}");
    let apply = |consent: &str| scene.cli(&["apply", "plan.json", "--consent", consent]);
    let expected = format!("expected  --consent {name}:{digest}");
    refused(&scene, &apply(&digest), &["does not name the environment", &expected]);
    refused(&scene, &apply(&format!("other:{digest}")), &["does not name the environment", &expected]);
    refused(
        &scene,
        &scene.cli(&["apply", "plan.json"]),
        &[&format!("--consent {name}:{digest}, or the name of the protected environment")],
    );
    let done = apply(&format!("{name}:{digest}"));
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn nothing_is_changed_in_a_protected_environment_without_its_name() {
    let scene = Scene::new("adding").with_orders();
    let runbook = runbook(&scene, "{}", BACKUP);
    let parameter = format!("database={}", scene.database);
    scene.environment(|text| text.replace("metadata: {", "metadata: { protected: true,"));
    refused(
        &scene,
        &scene.cli(&["apply", runbook, "-p", &parameter]),
        &["or the name of the protected environment typed at a terminal"],
    );
    // Elsewhere a plan that destroys nothing needs no consent.
    scene.environment(|text| text);
    let done = scene.cli(&["apply", runbook, "-p", &parameter]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn the_release_of_a_backup_is_compared_with_the_target() {
    let scene = Scene::new("versions").with_orders();
    let near = runbook(&scene, "{ versions: { max_distance: 0 } }", &format!("{BACKUP}{CREATE}{RESTORE}"));
    let output = plan_only(&scene, near);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(
        output.stdout.contains("Guards: backup and target at most 0 releases apart; an older target is refused"),
        "{output}"
    );
    let fixed = BACKUP.replace("b/{{ run.started | date('%H%M%S') }}", "fixed");
    runbook(&scene, "{}", &fixed);
    let done = scene.apply(near, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let existing = format!("{CREATE}{}", RESTORE.replace("back-up", "{ storage: backups, path: fixed }"));
    let check = |guards: &str| plan_only(&scene, runbook(&scene, guards, &existing));
    for (guards, word) in [
        ("{ versions: { max_distance: 12, of_existing_backups: '20.3' } }", "is too many releases away"),
        ("{ versions: { of_existing_backups: '99.1' } }", "is older than the server of the backup"),
        ("{ versions: { of_existing_backups: 'head' } }", "the version of the backup in the bucket cannot be told"),
        ("{ versions: { max_distance: 12 } }", "it is not known which release made the backup"),
    ] {
        let output = check(guards);
        assert!(output.code == Some(3) && output.stderr.contains(word), "{guards}: {output}");
    }
    for guards in ["{}", "{ versions: { allow_older: true, of_existing_backups: '99.1' } }"] {
        let output = check(guards);
        assert_eq!(output.code, Some(2), "{guards}: {output}");
    }
}

#[test]
fn what_is_restored_must_fit_on_every_replica() {
    let scene = Scene::new("space").with_orders();
    let steps = format!("{BACKUP}{CREATE}{RESTORE}");
    let output = plan_only(&scene, runbook(&scene, "{ disk: { headroom: 4000000000 } }", &steps));
    let [first, second] =
        ["r1", "r2"].map(|host| format!("step `restore`: {}-{host} has not enough free space", scene.database));
    refused(
        &scene,
        &output,
        &[
            &first,
            &second,
            "4000000000 percent more (`guards.disk.headroom`)",
            "SELECT name, path, free_space FROM system.disks",
        ],
    );
    for guards in ["{}", "{ disk: { headroom: 300 } }"] {
        let output = plan_only(&scene, runbook(&scene, guards, &steps));
        assert_eq!(output.code, Some(2), "{output}");
    }
}

#[test]
fn what_is_restored_must_fit_where_its_storage_policy_puts_it() {
    let scene = Scene::new("policy").with_orders();
    scene.on_node(
        "standalone",
        "CREATE TABLE {db}.archive (id UInt64) ENGINE = MergeTree ORDER BY id SETTINGS storage_policy = 'cold'",
    );
    scene.on_node("standalone", "INSERT INTO {db}.archive SELECT number FROM numbers(500)");
    scene.mark();
    let steps = format!("{BACKUP}{CREATE}{RESTORE}");
    let output = plan_only(&scene, runbook(&scene, "{ disk: { headroom: 4000000000 } }", &steps));
    let [default, cold] = ["", " in the storage policy `cold`"]
        .map(|place| format!("step `restore`: {}-r1 has not enough free space{place}\n", scene.database));
    refused(&scene, &output, &[&default, &cold, "free on the disk `cold`: "]);

    let done = scene.apply(runbook(&scene, "{ disk: { headroom: 300 } }", &steps), &[]);
    assert_eq!(done.code, Some(0), "{done}");
    for node in ["replica1", "replica2"] {
        let disks = "SELECT DISTINCT disk_name, sum(rows) FROM system.parts WHERE database = '{db}' AND table = 'archive' AND active GROUP BY disk_name";
        assert_eq!(scene.on_node(node, disks), "cold\t500");
    }
}

#[test]
fn whoever_still_writes_is_named() {
    let scene = Scene::new("freeze").with_orders();
    let guards = "{ write_freeze: { on: [source], databases: ['{{ database }}'], for: 3s } }";
    let runbook = runbook(&scene, guards, BACKUP);
    let shown = plan_only(&scene, runbook);
    let told = format!("that nobody writes to {} on source: apply looks for 3s", scene.database);
    assert!(shown.code == Some(2) && shown.stdout.contains(&told), "{shown}");
    let parameter = format!("database={}", scene.database);
    let apply = || scene.cli(&["apply", runbook, "-p", &parameter]);
    let somebody = format!("somebody still writes to {}-sa", scene.database);
    let quiet = AtomicBool::new(false);
    let while_it_writes = |sql: &str, pause: Duration| {
        quiet.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let (lab, sql): (&clickferry_lab::Lab, _) = (&scene.lab, sql.replace("{db}", &scene.database));
            let quiet = &quiet;
            scope.spawn(move || {
                while !quiet.load(Ordering::SeqCst) {
                    lab.query("standalone", &sql).unwrap();
                    std::thread::sleep(pause);
                }
            });
            std::thread::sleep(Duration::from_millis(500));
            let output = apply();
            quiet.store(true, Ordering::SeqCst);
            output
        })
    };
    let long = "INSERT INTO {db}.orders SELECT number, '2026-01-01', 1, '' FROM numbers(16) WHERE NOT sleepEachRow(0.5) SETTINGS max_block_size = 1";
    let output = while_it_writes(long, Duration::ZERO);
    let user = format!("user {} from ", scene.lab.user());
    assert!(output.code == Some(3) && output.stderr.contains(&somebody) && output.stderr.contains(&user), "{output}");
    let short = "INSERT INTO {db}.orders VALUES (1, '2026-01-01', 1, '')";
    let output = while_it_writes(short, Duration::from_millis(700));
    assert!(output.code == Some(3) && output.stderr.contains(&somebody), "{output}");
    let log = "INSERT INTO {db}.schema_migrations VALUES (3, 0, 99)";
    let output = while_it_writes(log, Duration::from_millis(700));
    assert!(output.code == Some(3) && output.stderr.contains(&somebody), "{output}");
    assert!(scene.runs().is_empty());
    // A log as a server of 26.7 writes it, which the laboratory's nodes do not.
    scene.on_node(
        "standalone",
        "CREATE TABLE system.query_log (event_date Date, event_time DateTime, type Enum8('QueryStart' = 1, 'QueryFinish' = 2, 'ExceptionBeforeStart' = 3, \
         'ExceptionWhileProcessing' = 4), query_kind LowCardinality(String), databases Array(LowCardinality(String)), query_id String, query String, \
         user LowCardinality(String), address IPv6, client_hostname LowCardinality(String), client_name LowCardinality(String), http_user_agent LowCardinality(String)) ENGINE = Memory",
    );
    let logged = |kind: &str, id: &str| {
        let row = format!(
            "INSERT INTO system.query_log SELECT today(), now(), 'QueryFinish', '{kind}', ['{{db}}'], '{id}', '', 'ingest', toIPv6('10.0.0.7'), 'app-1', 'ClickHouse client', ''"
        );
        scene.on_node("standalone", &row);
    };
    logged("Select", "a");
    logged("Insert", "clickferry-a");
    logged("Insert", "b");
    let output = apply();
    assert!(
        output.code == Some(3)
            && output.stderr.contains("user ingest from app-1 (10.0.0.7) with ClickHouse client wrote 1 times"),
        "{output}"
    );
    scene.on_node("standalone", "TRUNCATE TABLE system.query_log");
    logged("Select", "a");
    logged("Insert", "clickferry-a");
    let output = apply();
    scene.on_node("standalone", "DROP TABLE system.query_log SYNC");
    assert!(output.code == Some(0) && !output.stderr.contains("keeps no system.query_log"), "{output}");
    assert_eq!(scene.runs().len(), 1);
    // Somebody who writes elsewhere does no harm.
    scene.on_node("standalone", "CREATE TABLE default.elsewhere (id UInt64) ENGINE = MergeTree ORDER BY id");
    let output = while_it_writes("INSERT INTO default.elsewhere VALUES (1)", Duration::from_millis(300));
    scene.on_node("standalone", "DROP TABLE default.elsewhere");
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains("Watching for 3s that nobody writes."), "{output}");
}

/// A window of these hours from now on.
fn window(from: i64, to: i64, more: &str) -> String {
    let at = |hours: i64| (Timestamp::now() + hours.hours()).strftime("%H:%M").to_string();
    format!("{{ window: {{ from: '{}', to: '{}', timezone: UTC{more} }} }}", at(from), at(to))
}

#[test]
fn an_apply_fits_into_the_maintenance_window() {
    let scene = Scene::new("window").with_orders();
    scene.on_node(
        "standalone",
        "INSERT INTO {db}.orders SELECT number, '2026-01-01', 1, randomString(1000) FROM numbers(12000)",
    );
    scene.mark();
    let apply = |guards: &str| {
        let digest = scene.plan(runbook(&scene, guards, BACKUP), &[]);
        scene.cli(&["apply", "plan.json", "--consent", &digest])
    };
    refused(&scene, &apply(&window(2, 3, "")), &["the maintenance window is closed", "it opens "]);
    let slow = window(-1, 2, ", rate: 1 KiB/s");
    refused(
        &scene,
        &apply(&slow),
        &["the predicted time passes the end", "of step `back-up` on", "at 1 KiB/s per host"],
    );
    let open = window(-1, 2, "");
    let shown = plan_only(&scene, runbook(&scene, &open, BACKUP));
    assert!(shown.stdout.contains("at 50 MiB/s per host"), "{shown}");
    let done = apply(&open);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn another_server_behind_an_address_is_refused_at_apply() {
    let scene = Scene::new("swapped");
    filled(&scene);
    let runbook = runbook(&scene, &format!("{{ loss: {{ {LOSS} }} }}"), DROP);
    let digest = scene.plan(runbook, &[]);
    let [one, two] = ["replica1", "replica2"].map(|node| scene.lab.node(node).unwrap().url);
    scene.environment(|text| text.replace(&one, "ONE").replace(&two, &one).replace("ONE", &two));
    let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    let moved = ["r1", "r2"].map(|host| format!("identity on {}-{host}", scene.database));
    refused(&scene, &output, &["the world has moved", &moved[0], &moved[1]]);
    scene.environment(|text| text);
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn another_server_behind_an_address_is_refused_right_before_it_would_lose_something() {
    let scene = Scene::new("switched");
    filled(&scene);
    let [one, two] = ["replica1", "replica2"].map(|node| scene.lab.node(node).unwrap().url);
    let switch = Switch::start(&one, &two, scene.test.path());
    scene.environment(|text| text.replace(&one, &switch.url()));
    let turn = |turned: &str| format!("  - id: turn\n    run: {{ command: [sh, -c, '{turned}'] }}\n");
    let steps = |turned: &str| format!("{}{DROP}", turn(turned));
    let guards = format!("{{ loss: {{ {LOSS} }} }}");
    let refused =
        scene.apply(runbook(&scene, &guards, &steps("touch turn; while [ ! -e turned ]; do sleep 0.05; done")), &[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(
        refused.stderr.contains(&format!(
            "another server answers for {}-r1 than at planning; nothing was changed",
            scene.database
        )),
        "{refused}"
    );
    for node in &NODES[1..] {
        let dropped = scene.on_node(node, "SELECT count() FROM system.tables WHERE database = '{db}'");
        assert_eq!(dropped, if *node == "replica1" { "1" } else { "0" }, "{node}");
    }
}
