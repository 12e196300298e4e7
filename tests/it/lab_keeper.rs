//! What a plain RESTORE cannot do, and metadata that earlier attempts left in Keeper.

use crate::support::keeper::{children, exists};
use crate::support::lab::{NODES, files_below};
use crate::support::proof::is_moved;
use crate::support::scene::Scene;

const ORDERS: &str = "(id UInt64, day Date, amount Decimal(12, 2), note String)";

/// Creates `orders` by hand on both replicas.
fn orders_by_hand(scene: &Scene, database: &str) {
    for node in &NODES[1..] {
        scene.on_node(node, &format!("CREATE DATABASE {database}"));
        scene.on_node(
            node,
            &format!(
                "CREATE TABLE {database}.orders {ORDERS} \
                 ENGINE = ReplicatedMergeTree('/clickhouse/tables/01/{{db}}/orders', '{node}') PARTITION BY toYYYYMM(day) ORDER BY id"
            ),
        );
    }
}

#[test]
fn a_plain_restore_into_replicated_tables_fails_and_the_runbook_passes() {
    let scene = Scene::new("plain").with_orders();
    let (access_key, secret_key) = scene.lab.s3_keys();
    let bucket = format!(
        "S3('{}/{}/{{db}}/plain', '{access_key}', '{secret_key}')",
        scene.lab.s3_endpoint(),
        scene.lab.bucket()
    );
    scene.on_node("standalone", &format!("BACKUP DATABASE {{db}} TO {bucket}"));
    orders_by_hand(&scene, "{db}");
    let failed = scene.try_on_node("replica1", &format!("RESTORE TABLE {{db}}.orders FROM {bucket}")).unwrap_err();
    assert_eq!(failed.code, 608, "{failed}");

    let runbook =
        scene.runbook("standalone-to-replicated", |text| text.replace("tables: 0, rows: 0", "tables: 2, rows: 0"));
    let done = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(done.code, Some(0), "{done}");
    is_moved(&scene, "2");
}

#[test]
fn metadata_left_in_keeper_stops_a_runbook_that_does_not_clear_it_and_is_kept_by_the_one_that_does() {
    let scene = Scene::new("stale").with_orders();
    let path = format!("/clickhouse/tables/01/{}", scene.database);
    // Tables of an earlier attempt, unloaded for good: their replicas stay in Keeper without a session.
    orders_by_hand(&scene, "{db}_before");
    for node in &NODES[1..] {
        scene.on_node(node, "DETACH TABLE {db}_before.orders PERMANENTLY");
    }
    assert!(exists(&scene.lab, &format!("{path}/orders/replicas/replica1")));
    scene.on_node("replica1", "CREATE DATABASE {db}");
    let create = format!(
        "CREATE TABLE {{db}}.orders {ORDERS} ENGINE = ReplicatedMergeTree('{path}/orders', 'replica1') PARTITION BY toYYYYMM(day) ORDER BY id"
    );
    let failed = scene.try_on_node("replica1", &create).unwrap_err();
    assert_eq!(failed.code, 253, "{failed}");

    scene.mark();
    let database = format!("database={}", scene.database);
    let without = scene.runbook("standalone-to-replicated", |text| {
        let (before, rest) = text.split_once("  - id: clear-keeper\n").unwrap();
        format!("{before}  - id: create-tables\n{}", rest.split_once("  - id: create-tables\n").unwrap().1)
    });
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["apply", &without, "-p", &database, "-p", "migration=2"]), @"
    exit 1
    --- stderr
    error: step `create-tables`: metadata of earlier tables is left in Keeper at 1 paths
      expected  nothing at the paths, or only replicas of tables that earlier steps drop
      found     /clickhouse/tables/01/DB/orders: replicas replica1, replica2
      see it    SELECT name, ctime FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/orders/replicas'
      do this   put a `clear_keeper` step for them before this one
    ");
    drop(filters);
    scene.nothing_changed();

    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let done = scene.apply(&runbook, &["-p", "migration=2"]);
    assert_eq!(done.code, Some(0), "{done}");
    is_moved(&scene, "2");
    let exports: Vec<String> = files_below(&scene.runs()[0].join("keeper"))
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    assert_eq!(exports.len(), 1);
    assert!(exports[0].contains(&format!("{path}/orders/replicas/replica1")), "{}", exports[0]);
    for node in &NODES[1..] {
        scene.on_node(node, "DROP DATABASE {db}_before SYNC");
    }
    is_moved(&scene, "2");
}

#[test]
fn a_path_that_a_live_table_of_another_database_uses_is_not_cleared() {
    let scene = Scene::new("live").with_orders();
    orders_by_hand(&scene, "{db}_other");
    let path = format!("/clickhouse/tables/01/{}/orders", scene.database);
    let before = children(&scene.lab, &path);
    scene.mark();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let database = format!("database={}", scene.database);
    let filters = scene.filters();
    insta::assert_snapshot!(scene.cli(&["apply", &runbook, "-p", &database, "-p", "migration=2"]), @"
    exit 1
    --- stderr
    error: step `clear-keeper`: the Keeper path /clickhouse/tables/01/DB is in use
      expected  no table uses it when the step begins
      found     DB_other.orders on DB-r1, DB_other.orders on DB-r2
      see it    on each host: SELECT database, table, zookeeper_path FROM system.replicas
      do this   drop these tables in an earlier step (`recreate_database`), or leave the path out
    ");
    drop(filters);
    scene.nothing_changed();
    assert_eq!(children(&scene.lab, &path), before);
    for node in &NODES[1..] {
        scene.on_node(node, "DROP DATABASE {db}_other SYNC");
    }
}
