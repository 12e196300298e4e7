//! Drift between `plan -o FILE` and `apply FILE`, caused for real in Keeper: nodes below a path that is to be cleared,
//! and replicas of a table that is to be dropped. Each is refused by its name, with nothing done.

use crate::support::drift::{NOTES, path, plan, refused, world};
use crate::support::keeper;

#[test]
fn replicas_and_keeper_nodes_that_moved_are_refused_by_name() {
    let scene = world("keeper");
    let _filters = scene.filters();
    let after = |drift: &dyn Fn()| refused(&scene, || plan(&scene), drift);
    // A Keeper node added under the path: at its top, in depth, within a live table, within one of its replicas.
    insta::assert_snapshot!(after(&|| keeper::create(&scene.lab, &path(&scene, "more"), "")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB of destination
      expected  2 nodes: left, notes (DIGEST)
      found     3 nodes: left, more, notes (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after(&|| keeper::create(&scene.lab, &path(&scene, "left/deep/deeper/deepest"), "")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/left/deep of destination
      expected  not there when the plan was made
      found     1 node: deeper (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/left/deep'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/left/deep/deeper of destination
      expected  not there when the plan was made
      found     1 node: deepest (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/left/deep/deeper'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after(&|| keeper::create(&scene.lab, &path(&scene, "notes/replicas/replica1/more"), "")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/notes of destination
      expected  4 nodes: columns, metadata, replicas (11 nodes), table_shared_id (DIGEST)
      found     4 nodes: columns, metadata, replicas (12 nodes), table_shared_id (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    keeper::delete(&scene.lab, &path(&scene, "notes/replicas/replica1/more"));
    // Changed, and removed.
    insta::assert_snapshot!(after(&|| keeper::set(&scene.lab, &path(&scene, "left/deep"), "another value")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/left of destination
      expected  1 node: deep (DIGEST)
      found     1 node: deep (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/left'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    insta::assert_snapshot!(after(&|| keeper::delete(&scene.lab, &path(&scene, "more"))), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB of destination
      expected  3 nodes: left, more, notes (DIGEST)
      found     2 nodes: left, notes (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A replica added, by a table that the plan does not touch.
    scene.on_node("replica1", "CREATE DATABASE {db}_third");
    insta::assert_snapshot!(after(&|| {
        scene.on_node("replica1", &format!("CREATE TABLE {{db}}_third.notes {}", NOTES.replace("REPLICA", "third")));
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: Keeper nodes below /clickhouse/tables/01/DB/notes of destination
      expected  4 nodes: columns, metadata, replicas (11 nodes), table_shared_id (DIGEST)
      found     4 nodes: columns, metadata, replicas (16 nodes), table_shared_id (DIGEST)
      see it    SELECT name, value FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: replicas in Keeper at /clickhouse/tables/01/DB/notes of destination
      expected  replica1, replica2
      found     replica1, replica2, third
      see it    SELECT name FROM system.zookeeper WHERE path = '/clickhouse/tables/01/DB/notes/replicas'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
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
    refused: the plan cannot be made any longer: step `clear-keeper`: the Keeper path /clickhouse/tables/01/DB is in use
      expected  no table uses it when the step begins
      found     DB_third.notes on DB-r1
      see it    on each host: SELECT database, table, zookeeper_path FROM system.replicas
      do this   drop these tables in an earlier step (`recreate_database`), or leave the path out
    ");
    scene.on_node("replica1", "DROP DATABASE {db}_third SYNC");
    // A replica gone.
    insta::assert_snapshot!(after(&|| drop(scene.on_node("replica2", "DROP TABLE {db}.notes SYNC"))), @"
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
    refused: the world has moved since the plan was made: replicas of DB.notes on DB-r2
      expected  2 in Keeper
      found     it is not there any longer
      see it    on DB-r2: SELECT total_replicas, zookeeper_path FROM system.replicas WHERE database = 'DB' AND table = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  10 rows, content DIGEST, UUID UUID, `id` UInt64; definition DIGEST
      found     it is not there any longer
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'; SELECT partition_id, max(max_block_number), max(if(data_version > min_block_number, data_version, 0)) FROM system.parts WHERE active AND rows > 0 AND database = 'DB' AND table = 'notes' GROUP BY partition_id ORDER BY partition_id
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
}
