//! Drift between `plan -o FILE` and `apply FILE`, caused for real on a laboratory: rows and tables. Each is refused by
//! the name of what moved, with nothing done; what may move is applied.

use crate::support::drift::{insert, path, plan, refused, world};
use crate::support::lab::NODES;
use crate::support::proof::is_moved;
use crate::support::{bucket, keeper};

#[test]
fn rows_and_tables_that_moved_are_refused_by_name() {
    let scene = world("tables");
    let _filters = scene.filters();
    let after = |node: &'static str, statement: &'static str| {
        refused(&scene, || plan(&scene), || drop(scene.on_node(node, statement)))
    };
    // A row inserted into a table to be dropped.
    insta::assert_snapshot!(refused(&scene, || plan(&scene), || insert(&scene, 1)), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r1
      expected  10 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  10 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // The same where the engine does not count its rows.
    insta::assert_snapshot!(after("replica2", "INSERT INTO {db}.jottings VALUES (1)"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.jottings that is dropped on DB-r2
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     1 row, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'jottings'; SELECT count() FROM `DB`.`jottings`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A table added: where it would be dropped, and where it would be left behind.
    insta::assert_snapshot!(after("replica1", "CREATE TABLE {db}.more (id UInt64) ENGINE = Log"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.more that is dropped on DB-r1
      expected  not there when the plan was made
      found     0 rows, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'more'; SELECT count() FROM `DB`.`more`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("standalone", "CREATE TABLE {db}.more (id UInt64) ENGINE = Log"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: tables of `DB` on DB-sa
      expected  4 tables: customers, daily, orders, schema_migrations
      found     5 tables: customers, daily, more, orders, schema_migrations
      see it    on DB-sa: SELECT name FROM system.tables WHERE database = 'DB' AND NOT startsWith(name, '.inner') ORDER BY name
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: definition of DB.more on DB-sa
      expected  not there when the plan was made
      found     UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-sa: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'more'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A table dropped.
    insta::assert_snapshot!(after("replica1", "DROP TABLE {db}.more SYNC"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.more that is dropped on DB-r1
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     it is not there any longer
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'more'; SELECT count() FROM `DB`.`more`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("standalone", "DROP TABLE {db}.more SYNC"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: definition of DB.more on DB-sa
      expected  UUID UUID, `id` UInt64; definition DIGEST
      found     it is not there any longer
      see it    on DB-sa: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'more'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: tables of `DB` on DB-sa
      expected  5 tables: customers, daily, more, orders, schema_migrations
      found     4 tables: customers, daily, orders, schema_migrations
      see it    on DB-sa: SELECT name FROM system.tables WHERE database = 'DB' AND NOT startsWith(name, '.inner') ORDER BY name
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A table altered.
    insta::assert_snapshot!(after("standalone", "ALTER TABLE {db}.orders ADD COLUMN more UInt8"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: definition of DB.orders on DB-sa
      expected  UUID UUID, `id` UInt64, `day` Date, `amount` Decimal(12, 2), `note` String; definition DIGEST
      found     UUID UUID, `id` UInt64, `day` Date, `amount` Decimal(12, 2), `note` String, `more` UInt8; definition DIGEST
      see it    on DB-sa: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'orders'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after("replica1", "ALTER TABLE {db}.notes ADD COLUMN more UInt8 SETTINGS alter_sync = 2"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r1
      expected  11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64, `more` UInt8; definition DIGEST
      see it    on DB-r1: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  11 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     11 rows, content DIGEST, UUID UUID, `id` UInt64, `more` UInt8; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A column type changed.
    insta::assert_snapshot!(after("standalone", "ALTER TABLE {db}.customers MODIFY COLUMN name LowCardinality(String)"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: definition of DB.customers on DB-sa
      expected  UUID UUID, `id` UInt64, `name` String, `version` UInt32; definition DIGEST
      found     UUID UUID, `id` UInt64, `name` LowCardinality(String), `version` UInt32; definition DIGEST
      see it    on DB-sa: SELECT uuid, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'customers'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // Another table under the same name.
    insta::assert_snapshot!(after("replica2", "CREATE OR REPLACE TABLE {db}.jottings (id UInt64) ENGINE = TinyLog"), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: table DB.jottings that is dropped on DB-r2
      expected  1 row, UUID UUID, `id` UInt64; definition DIGEST
      found     0 rows, UUID UUID, `id` UInt64; definition DIGEST
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'jottings'; SELECT count() FROM `DB`.`jottings`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // Another database under the same name.
    insta::assert_snapshot!(refused(&scene, || plan(&scene), || {
        scene.on_node("replica2", "DROP DATABASE {db} SYNC");
        scene.on_node("replica2", "CREATE DATABASE {db}");
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/notes of destination
      expected  4 nodes: columns, metadata, replicas (11 nodes), table_shared_id (DIGEST)
      found     4 nodes: columns, metadata, replicas (6 nodes), table_shared_id (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas in Keeper at /clickhouse/tables/01/DB/notes of destination
      expected  replica1, replica2
      found     replica1
      see it    SELECT name FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/notes/replicas'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas of DB.notes on DB-r1
      expected  2 in Keeper
      found     1 in Keeper
      see it    on DB-r1: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: database DB on DB-r2
      expected  Atomic, UUID UUID
      found     Atomic, UUID UUID
      see it    on DB-r2: SELECT engine, uuid FROM system.databases WHERE name = 'DB'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas of DB.notes on DB-r2
      expected  2 in Keeper
      found     it is not there any longer
      see it    on DB-r2: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.jottings that is dropped on DB-r2
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     it is not there any longer
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'jottings'; SELECT count() FROM `DB`.`jottings`
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  11 rows, content DIGEST, UUID UUID, `id` UInt64, `more` UInt8; definition DIGEST
      found     it is not there any longer
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
}

#[test]
fn what_may_move_does() {
    let scene = world("mayMove");
    insert(&scene, 5);
    let digest = plan(&scene);
    // Rows of a source that is only read, whatever its engine.
    scene.on_node("standalone", "INSERT INTO {db}.orders VALUES (9000, '2026-01-01', 1, 'late')");
    scene.on_node("standalone", "INSERT INTO {db}.schema_migrations VALUES (2, 1, 5)");
    // Parts of a table to be dropped: the rows are the same, their bytes are not.
    scene.on_node("replica1", "OPTIMIZE TABLE {db}.notes FINAL SETTINGS alter_sync = 2");
    // Tables, nodes and objects that the plan has nothing to do with.
    for node in NODES {
        scene.on_node(node, "CREATE DATABASE {db}_other");
        scene.on_node(node, "CREATE TABLE {db}_other.t (id UInt64) ENGINE = MergeTree ORDER BY id");
        scene.on_node(node, "INSERT INTO {db}_other.t VALUES (1)");
    }
    keeper::create(&scene.lab, &format!("{}_other/more", path(&scene, "").trim_end_matches('/')), "");
    bucket::put(&scene, "other/object", b"content");
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
    is_moved(&scene, "2");
    for node in &NODES[1..] {
        assert_eq!(scene.on_node(node, "SELECT count() FROM {db}.orders WHERE id = 9000"), "1");
    }
    for node in NODES {
        scene.on_node(node, "DROP DATABASE {db}_other SYNC");
    }
}
