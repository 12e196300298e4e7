//! Every other bundled runbook, applied.

use clickferry::engine::journal::Entry;
use clickferry_lab::SeedSettings;

use crate::support::engine::journal;
use crate::support::keeper::{exists, plant};
use crate::support::lab::NODES;
use crate::support::outside::bundled_exactly;
use crate::support::proof::{content, is_moved, nothing_was_repeated};
use crate::support::root;
use crate::support::scene::Scene;
use crate::support::sent::Run;

const NO_LOSS: &str = "loss: { tables: 0, rows: 0 }";

/// A runbook that is added here without a proof that it does what its plan says, and nothing else, is found.
#[test]
fn every_bundled_runbook_is_applied_exactly_as_planned() {
    let tests: String = ["lab_move.rs", "lab_runbooks.rs"]
        .map(|name| std::fs::read_to_string(root().join("tests/it").join(name)).unwrap())
        .concat();
    for entry in std::fs::read_dir(root().join("runbooks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let call = format!("bundled_exactly(&mut scene, \"{}\"", name.trim_end_matches(".yaml"));
        assert!(tests.contains(&call), "{name}");
    }
}

#[test]
fn a_backup_brings_back_a_database_that_was_changed_and_lost_tables() {
    let mut scene = Scene::new("backup").with_tracing(4_000);
    let backup = bundled_exactly(&mut scene, "backup", |text| text, &[]);
    assert_eq!(backup.sent, 1);
    let before = content(&scene, "standalone");
    let migrations = scene.on_node("standalone", "SELECT * FROM {db}.schema_migrations ORDER BY sequence");
    let records = journal(&scene.runs()[0]).records;
    let path = records.iter().find_map(|record| match &record.entry {
        Entry::Outcome { data, .. } => data["path"].as_str().map(str::to_owned),
        _ => None,
    });
    // The environment's prefix is put before every path.
    let path = path.unwrap().trim_start_matches(&format!("{}/", scene.database)).to_owned();

    scene.on_node("standalone", "DROP VIEW {db}.latest_feedback SYNC");
    scene.on_node("standalone", "DROP TABLE {db}.feedbacks SYNC");
    scene.on_node("standalone", "TRUNCATE TABLE {db}.sessions");
    scene.on_node("standalone", "INSERT INTO {db}.schema_migrations VALUES (999, 1, 9999999999999999999)");
    assert_ne!(content(&scene, "standalone"), before);

    let raised = |text: String| text.replace(NO_LOSS, "loss: { tables: 20, rows: 100000 }");
    let path = format!("path={path}");
    let restored = bundled_exactly(&mut scene, "restore-same-engine", raised, &["-p", &path]);
    assert!(restored.sent > 15 && restored.objects.is_empty(), "{} {:?}", restored.sent, restored.objects);
    let reads = Run::new(&scene, &restored.plan, &restored.run).reads_as_planned("verify");
    assert!(reads > 5, "{reads}");
    assert_eq!(content(&scene, "standalone"), before);
    assert_eq!(scene.on_node("standalone", "SELECT * FROM {db}.schema_migrations ORDER BY sequence"), migrations);
}

#[test]
fn replicas_are_cleaned_of_tables_and_of_their_metadata() {
    let mut scene = Scene::new("clean");
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.a (x Int8) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{db}/a', '{replica}') ORDER BY x");
    }
    // Only replica1 has this one, as after a migration that broke halfway.
    scene.on_node("replica1", "CREATE TABLE {db}.b (x Int8) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{db}/b', '{replica}') ORDER BY x");
    scene.on_node("replica1", "INSERT INTO {db}.a VALUES (1), (2)");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.a");
    // A table whose server is gone for good, and a path that only begins alike.
    let ghost = format!("/clickhouse/tables/01/{}/ghost", scene.database);
    let other = format!("/clickhouse/tables/01/{}_2/kept", scene.database);
    let [metadata, columns, host] = ["metadata", "columns", "replicas/r9/host"].map(|name| format!("{ghost}/{name}"));
    plant(&scene.lab, &[(&metadata, "m"), (&columns, "c"), (&host, "host: gone"), (&other, "")]);
    let raised = |text: String| text.replace(NO_LOSS, "loss: { tables: 3, rows: 4 }");
    let cleaned = bundled_exactly(&mut scene, "clean-replicas", raised, &[]);
    assert_eq!(cleaned.sent, 4);
    let above = format!("/clickhouse/tables/01/{}", scene.database);
    let planned = [
        above,
        ghost.clone(),
        columns.clone(),
        metadata.clone(),
        format!("{ghost}/replicas"),
        format!("{ghost}/replicas/r9"),
        host.clone(),
    ];
    assert_eq!(cleaned.removed, std::collections::BTreeSet::from(planned));
    nothing_was_repeated(&scene, &cleaned.run);
    assert!(exists(&scene.lab, &other));
    for node in &NODES[1..] {
        assert_eq!(scene.on_node(node, "SELECT count() FROM system.tables WHERE database = '{db}'"), "0");
        assert_eq!(scene.on_node(node, "SELECT engine FROM system.databases WHERE name = '{db}'"), "Atomic");
    }
    assert!(!exists(&scene.lab, &format!("/clickhouse/tables/01/{}", scene.database)));
}

#[test]
fn a_dirty_migration_is_marked_clean_on_every_replica_with_a_history_of_its_own() {
    let mut scene = Scene::new("dirty");
    let last = "SELECT version, dirty FROM {db}.schema_migrations ORDER BY sequence DESC LIMIT 1";
    let settings = SeedSettings { database: scene.database.clone(), rows: 100, dirty: true, ..SeedSettings::default() };
    for node in &NODES[1..] {
        scene.lab.seed_tracing(node, &settings).unwrap();
        assert_eq!(scene.on_node(node, last), "87\t1");
    }
    let marked = bundled_exactly(&mut scene, "mark-migration-clean", |text| text, &["-p", "migration=87"]);
    assert_eq!(marked.sent, 2);
    for node in &NODES[1..] {
        assert_eq!(scene.on_node(node, last), "87\t0");
    }
    // Once more there is nothing to do.
    scene.mark();
    let again = scene.cli(&[
        "plan",
        "mark-migration-clean.yaml",
        "-p",
        &format!("database={}", scene.database),
        "-p",
        "migration=87",
    ]);
    assert_eq!(again.code, Some(0), "{again}");
    scene.nothing_changed();
}

#[test]
fn the_environment_file_of_the_laboratory_works_as_it_is() {
    let scene = Scene::new("as_it_is").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let environment = scene.lab.environment_file().display().to_string();
    let database = format!("database={}", scene.database);
    let common = ["-p", &database, "-p", "migration=2", "-e", &environment, "--state", "state"];
    let planned = scene.test.run(&[&["plan", &runbook, "-o", "plan.json"], &common[..]].concat());
    assert_eq!(planned.code, Some(2), "{planned}");
    let digest = planned.stdout.trim_end().rsplit(' ').next().unwrap();
    let done = scene.test.run(&["apply", "plan.json", "--consent", digest, "-e", &environment, "--state", "state"]);
    assert_eq!(done.code, Some(0), "{done}");
    is_moved(&scene, "2");
}

#[test]
fn secrets_may_come_from_variables_and_from_commands() {
    let mut scene = Scene::new("secrets").with_orders();
    let file = |name: &str| format!("file: {}", scene.lab.dir().join("secrets").join(name).display());
    let (password, key) = (file("clickhouse-password"), file("s3-secret-key"));
    let command = format!("command: [cat, \"{}\"]", key.trim_start_matches("file: "));
    scene.environment(|text| text.replace(&password, "env: TEST_PASSWORD").replace(&key, &command));
    let password = scene.lab.password().to_owned();
    scene.test.set("TEST_PASSWORD", &password);
    let runbook = scene.runbook("backup", |text| text);
    let done = scene.apply(&runbook, &[]);
    assert_eq!(done.code, Some(0), "{done}");
}
