//! What goes on at a server is really seen. A column that a version does not have gives an empty answer
//! (`Asker::optional`), so a misspelt one would switch a look off, and every other test would stay green.

use serde_json::{Value, json};

use crate::support::Output;
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

const NOTES: &str = "CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree PARTITION BY id % 3 ORDER BY id";

/// The plan of dropping the test's database on both replicas, as the bundled move does first.
fn dropping(scene: &Scene) -> Output {
    let runbook = scene.steps("  - id: drop\n    recreate_database: { on: destination, database: '{db}' }\n");
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    scene.test.write(&runbook, &text.replace("steps:\n", "guards: { loss: { tables: 9, rows: 99 } }\nsteps:\n"));
    let database = format!("database={}", scene.database);
    scene.cli(&["plan", &runbook, "-p", &database, "--format", "json"])
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// What `inspect` says of the first replica, under these names, but for what is empty.
fn inspected(scene: &Scene, names: &[&str]) -> Value {
    let json = json_of(&scene.cli(&["inspect", "--format", "json"]));
    let host = &json["targets"]["destination"]["hosts"][0];
    names.iter().map(|name| ((*name).to_owned(), host[name].clone())).collect()
}

/// The lines of `inspect` that are a notice of a server, not of a table.
fn notices(scene: &Scene) -> String {
    let shown = scene.cli(&["inspect"]);
    assert_eq!(shown.code, Some(0), "{shown}");
    // A shared laboratory holds what tests before have left.
    let is_notice = |line: &&str| {
        line.contains("running ")
            || line.contains(&scene.database)
                && ["dropped, ", "mutation ", "detached ", " yet"].iter().any(|word| line.contains(word))
    };
    shown.stdout.lines().filter(is_notice).map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_waits_on_a_server_is_seen_by_inspect_and_told_by_a_plan() {
    let scene = Scene::alone("waits");
    let on = |sql: &str| scene.on_node("replica1", sql);
    on("CREATE DATABASE {db}");
    on(NOTES);
    on("INSERT INTO {db}.notes SELECT number FROM numbers(9)");
    on("CREATE TABLE {db}.gone (id UInt64) ENGINE = MergeTree ORDER BY id");
    on("DROP TABLE {db}.gone");
    on("ALTER TABLE {db}.notes DETACH PARTITION 0");
    on("ALTER TABLE {db}.notes DETACH PARTITION 1");
    // It fails at each try, and is tried for ever.
    on("ALTER TABLE {db}.notes DELETE WHERE throwIf(id = 5) SETTINGS mutations_sync = 0");
    on("CREATE TABLE {db}.below (id UInt64) ENGINE = MergeTree ORDER BY id");
    on("CREATE TABLE {db}.buffer (id UInt64) ENGINE = Buffer('{db}', 'below', 1, 600, 600, 9999, 9999, 99999, 99999)");
    on("INSERT INTO {db}.buffer SELECT number FROM numbers(4)");
    // The nodes of a laboratory do not take what other servers send.
    on("CREATE TABLE {db}.far (id UInt64) ENGINE = Distributed('lab', '{db}', 'below', id)");
    on("INSERT INTO {db}.far SELECT number FROM numbers(2) SETTINGS distributed_foreground_insert = 0");
    let _filters = scene.filters();
    insta::assert_snapshot!(notices(&scene), @"
    dropped, data still there: DB.gone
    mutation not done: DB.notes: (DELETE WHERE throwIf(id = 5))
    2 detached parts in DB.notes
    DB.far has 1 file of rows that it has not sent to other servers yet
    DB.buffer has 4 rows that it has not written to its table yet
    ");
    let names = ["pending_drops", "mutations", "detached_parts", "waiting_rows", "waiting_files", "running_backups"];
    insta::assert_snapshot!(format!("{:#}", inspected(&scene, &names)), @r#"
    {
      "pending_drops": [
        "DB.gone"
      ],
      "mutations": [
        "DB.notes: (DELETE WHERE throwIf(id = 5))"
      ],
      "detached_parts": {
        "DB.notes": 2
      },
      "waiting_rows": {
        "DB.buffer": 4
      },
      "waiting_files": {
        "DB.far": 1
      },
      "running_backups": []
    }
    "#);
    let json = json_of(&dropping(&scene));
    insta::assert_snapshot!(format!("{:#}", json["notes"]), @r#"
    [
      "DB-r1: 1 table of `DB` was dropped before without SYNC; the step waits up to 8 minutes until nothing is left",
      "DB-r1: with DB.buffer go 4 rows that it has not written to its table yet, which no total counts",
      "DB-r1: with DB.far go 1 file of rows that it has not sent to other servers yet, which no total counts",
      "DB-r1: with DB.notes go 2 detached parts, which no total counts"
    ]
    "#);
}

#[test]
fn a_running_backup_is_seen_by_inspect_and_refused_by_a_plan() {
    let scene = Scene::alone("running");
    let on = |sql: &str| scene.on_node("replica1", sql);
    on("CREATE DATABASE {db}");
    // So many parts that the slow bucket has not taken them all before everybody has looked.
    on("CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree PARTITION BY id ORDER BY id");
    on("INSERT INTO {db}.notes SELECT number FROM numbers(90)");
    scene.very_slow_bucket();
    let (access_key, secret_key) = scene.lab.s3_keys();
    let place = format!("{}/{}/{{db}}/by-hand", scene.lab.s3_endpoint(), scene.lab.bucket());
    on(&format!(
        "BACKUP DATABASE {{db}} TO S3('{place}', '{access_key}', '{secret_key}') SETTINGS id = 'by-hand' ASYNC"
    ));
    let _filters = scene.filters();
    assert_eq!(notices(&scene), "running backup or restore: by-hand");
    assert_eq!(inspected(&scene, &["running_backups"]), json!({ "running_backups": ["by-hand"] }));
    insta::assert_snapshot!(dropping(&scene), @"
    exit 1
    --- stderr
    error: step `drop`: backups or restores run on DB-r1
      expected  none while a database is dropped
      found     by-hand
      see it    on DB-r1: SELECT id, name, status FROM system.backups
      do this   wait for their end, then plan again
    ");
    let running = || on("SELECT count() FROM system.backups WHERE status = 'CREATING_BACKUP'") == "1";
    assert!(running(), "the backup ended before it was looked at");
    scene.quick_bucket();
    wait_until("the end of the backup", || !running());
    assert_eq!(notices(&scene), "");
    assert_eq!(dropping(&scene).code, Some(2));
}
