//! Drift between `plan -o FILE` and `apply FILE` that only some kinds of steps rest on: statements of `sql`, tables that
//! are created or restored into where nothing is dropped before, the place of a new backup.

use crate::support::bucket;
use crate::support::drift::{NOTES, backup, refused};
use crate::support::keeper;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

/// Plans a runbook of these steps.
fn plan(scene: &Scene, steps: &str) -> String {
    let runbook = scene.steps(steps);
    let text = std::fs::read_to_string(scene.test.path().join(&runbook)).unwrap();
    let more = "storage:\n  backups: { kind: s3 }\nguards: { loss: { tables: 9, rows: 9000 } }\nsteps:\n";
    scene.test.write(&runbook, &text.replace("steps:\n", more));
    scene.plan(&runbook, &[])
}

#[test]
fn what_statements_are_about_is_refused_by_name() {
    let scene = Scene::new("statements");
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.notes {}", NOTES.replace("REPLICA", node)));
        scene.on_node(node, "CREATE TABLE {db}.plain (id UInt64, day Date) ENGINE = MergeTree ORDER BY id");
    }
    let _filters = scene.filters();
    let steps = "  - id: empty\n    sql: { on: destination, every: any, statements: ['TRUNCATE TABLE {db}.notes'] }\n  - id: widen\n    sql: { on: destination, statements: ['ALTER TABLE {db}.plain ADD COLUMN more UInt8'] }\n";
    let after = |node: &'static str, statement: &str| {
        refused(&scene, || plan(&scene, steps), || drop(scene.on_node(node, statement)))
    };
    // A table that is altered may get rows, but no other columns; it must not go.
    insta::assert_snapshot!(after("replica1", "ALTER TABLE {db}.plain MODIFY COLUMN day DateTime"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: definition of DB.plain on DB-r1
      expected  UUID UUID, `id` UInt64, `day` Date; definition DIGEST
      found     UUID UUID, `id` UInt64, `day` DateTime; definition DIGEST
      see it    on DB-r1: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'plain'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("replica2", "DROP TABLE {db}.plain SYNC"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: definition of DB.plain on DB-r2
      expected  UUID UUID, `id` UInt64, `day` Date; definition DIGEST
      found     not there
      see it    on DB-r2: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'plain'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A table that is emptied on all of its replicas, wherever they are.
    scene.on_node("replica2", "CREATE TABLE {db}.plain (id UInt64, day Date) ENGINE = MergeTree ORDER BY id");
    insta::assert_snapshot!(after("replica1", &format!("CREATE TABLE {{db}}.third {}", NOTES.replace("REPLICA", "third"))), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: replicas of DB.notes on DB-r1
      expected  2 in Keeper
      found     3 in Keeper
      see it    on DB-r1: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas of DB.notes on DB-r2
      expected  2 in Keeper
      found     3 in Keeper
      see it    on DB-r2: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas of DB.third on DB-r1
      expected  not there when the plan was made
      found     3 in Keeper
      see it    on DB-r1: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'third'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.third that is to lose rows on DB-r1
      expected  not there when the plan was made
      found     0 rows, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'third'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(refused(&scene, || plan(&scene, steps), || {
        scene.on_node("replica2", "INSERT INTO {db}.notes VALUES (1)");
        scene.on_node("replica1", "SYSTEM SYNC REPLICA {db}.notes");
        scene.on_node("replica1", "SYSTEM SYNC REPLICA {db}.third");
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.notes that is to lose rows on DB-r1
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     1 row, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.third that is to lose rows on DB-r1
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     1 row, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'third'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'third' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is to lose rows on DB-r2
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     1 row, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    let digest = plan(&scene, steps);
    scene.on_node("replica1", "INSERT INTO {db}.plain (id) VALUES (1)");
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
    scene.on_node("replica1", "DROP TABLE {db}.third SYNC");
}

#[test]
fn what_is_created_restored_into_and_written_to_is_refused_by_name() {
    let scene = Scene::new("adding").with_orders();
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
    }
    backup(&scene, "old");
    let _filters = scene.filters();
    let back_up = "  - id: back-up\n    backup: { from: source, tables: ['{db}.orders'], to: backups, path: new }\n";
    let create = "  - id: create\n    create_replicated: { from: source, on: destination, database: '{db}', except_tables: [daily, schema_migrations] }\n";
    let restore = "  - id: restore\n    restore: { backup: { storage: backups, path: old }, to: destination, tables: ['{db}.orders', '{db}.customers'], settings: { allow_different_table_def: true } }\n";
    let created = || plan(&scene, &format!("{back_up}{create}{restore}"));
    // A path that the new backup is to be written to.
    insta::assert_snapshot!(refused(&scene, created, || bucket::put(&scene, "new/object", b"content")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: what is at the path new of storage `backups`
      expected  nothing
      found     object
      see it    the objects below new/ in storage `backups`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: step `back-up`: something is at the path new already
      expected  an empty path: backups are never written over each other
      found     object
      see it    clickferry inspect -e ENVIRONMENT
      do this   choose another path, best with `{{ run.started | date('%Y-%m-%d_%H%M%S') }}` in it
    ");
    bucket::delete(&scene, "new/object");
    // A Keeper path that no step clears.
    let path = format!("/clickhouse/tables/01/{}/orders", scene.database);
    insta::assert_snapshot!(refused(&scene, created, || keeper::create(&scene.lab, &format!("{path}/replicas/r9"), "")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper path /clickhouse/tables/01/DB/orders of a table to create on destination
      expected  not there
      found     1 replica: r9
      see it    SELECT name FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/orders/replicas'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: step `create`: metadata of earlier tables is left in Keeper at 1 paths
      expected  nothing at the paths, or only replicas of tables that earlier steps drop
      found     /clickhouse/tables/01/DB/orders: replicas r9
      see it    SELECT name, ctime FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/orders/replicas'
      do this   put a `clear_keeper` step for them before this one
    ");
    for below in ["/replicas/r9", "/replicas", ""] {
        keeper::delete(&scene.lab, &format!("{path}{below}"));
    }
    // A table of the same name.
    let table = "CREATE TABLE {db}.orders (id UInt64) ENGINE = MergeTree ORDER BY id";
    insta::assert_snapshot!(refused(&scene, created, || drop(scene.on_node("replica2", table))), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: tables of `DB` on DB-r2
      expected  no tables
      found     1 table: orders
      see it    on DB-r2: SELECT name FROM system.tables WHERE database = 'DB' AND NOT startsWith(name, '.inner') ORDER BY name
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: definition of DB.orders on DB-r2
      expected  not there when the plan was made
      found     UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'orders'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: step `create`: 1 object will be there on DB-r2 with another definition
      expected  no object of that name, or one with the definition to be created
      found     DB.orders: ENGINE is `MergeTree` instead of `ReplicatedMergeTree`
      see it    on DB-r2: SELECT name, create_table_query FROM system.tables WHERE database = 'DB'
      do this   drop them in an earlier step (`recreate_database`), or leave them out with `except_tables`
    ");
    scene.on_node("replica2", "DROP TABLE {db}.orders SYNC");
    let done = scene.cli(&["apply", "plan.json", "--consent", &created()]);
    assert_eq!(done.code, Some(0), "{done}");
    // Rows would come beside rows.
    scene.on_node("replica1", "TRUNCATE TABLE {db}.orders");
    scene.on_node("replica1", "TRUNCATE TABLE {db}.customers");
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.customers");
    let insert = "INSERT INTO {db}.customers VALUES (1, 'c1', 1)";
    insta::assert_snapshot!(refused(&scene, || plan(&scene, restore), || {
        scene.on_node("replica2", insert);
        scene.on_node("replica1", "SYSTEM SYNC REPLICA {db}.customers");
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: rows of DB.customers on DB-r1
      expected  0 rows
      found     1 row
      see it    on DB-r1: SELECT total_rows, total_bytes FROM system.tables WHERE database = 'DB' AND name = 'customers'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: rows of DB.customers on DB-r2
      expected  0 rows
      found     1 row
      see it    on DB-r2: SELECT total_rows, total_bytes FROM system.tables WHERE database = 'DB' AND name = 'customers'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: step `restore`: DB.customers holds rows already (the server would answer 608 CANNOT_RESTORE_TABLE)
      expected  an empty table on every replica, so that no row can be there twice
      found     1 row on DB-r1, 1 row on DB-r2
      see it    on DB-r1: SELECT engine, total_rows, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'customers'
      do this   put a step before that empties or recreates it, or leave it out with `except_tables`; rows are never added to a table that has some
    ");
}
