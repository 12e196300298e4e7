//! Drift between `plan -o FILE` and `apply FILE`: servers that became others, came or went. On a laboratory of its own,
//! whose nodes are started anew with another configuration or another folder behind the same port. The version of an
//! embedded node cannot be changed; there a proxy in front of it puts another into its answers.

use serde_json::{Value, json};

use crate::support::drift::refused;
use crate::support::lab::NODES;
use crate::support::proxy::Rewriter;
use crate::support::scene::Scene;

/// A source that is moved to a named cluster with a table to drop.
fn world() -> Scene {
    let scene = Scene::alone("servers").with_orders();
    scene.environment(|text| text.replace("  destination:\n", "  destination:\n    cluster: lab\n"));
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, "CREATE TABLE {db}.notes (id UInt64) ENGINE = MergeTree ORDER BY id");
    }
    scene
}

fn plan(scene: &Scene) -> String {
    let runbook =
        scene.runbook("standalone-to-replicated", |text| text.replace("tables: 0, rows: 0", "tables: 9, rows: 9000"));
    scene.plan(&runbook, &["-p", "migration=2"])
}

/// Starts a node again with another configuration; returns the former.
fn reconfigure(scene: &Scene, node: &str, change: impl FnOnce(&mut Value)) -> Value {
    let file = scene.lab.node(node).unwrap().dir.join("node.json");
    let before: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let mut after = before.clone();
    change(&mut after);
    scene.lab.stop(node).unwrap();
    std::fs::write(&file, after.to_string()).unwrap();
    scene.lab.start_node(node).unwrap();
    before
}

#[test]
fn servers_that_became_others_came_or_went_are_refused_by_name() {
    let scene = world();
    let _filters = scene.filters();
    let after = |drift: &dyn Fn()| refused(&scene, || plan(&scene), drift);
    let configured = |node: &str, change: &dyn Fn(&mut Value)| {
        let before = std::cell::RefCell::new(Value::Null);
        let told = after(&|| drop(before.replace(reconfigure(&scene, node, |json| change(json)))));
        reconfigure(&scene, node, |json| *json = before.take());
        told
    };
    // A macro changed, also on a server that is only read.
    insta::assert_snapshot!(configured("replica2", &|json| json["shard"] = json!("02")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: macros on DB-r2
      expected  replica=replica2, shard=01
      found     replica=replica2, shard=02
      see it    on DB-r2: SELECT macro, substitution FROM system.macros ORDER BY macro
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: the target `destination` is not what the runbook needs
      expected  at least 2 replicas in every shard
      found     1 in shard 01
      see it    clickferry inspect -e ENVIRONMENT
      do this   correct the hosts of the target in the environment
    ");
    insta::assert_snapshot!(configured("standalone", &|json| json["shard"] = json!("07")), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: macros on DB-sa
      expected  none
      found     replica=standalone, shard=07
      see it    on DB-sa: SELECT macro, substitution FROM system.macros ORDER BY macro
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    // A replica added to the cluster, and one gone from it.
    let more = json!({ "host": "10.0.0.9", "port": 9000 });
    insta::assert_snapshot!(configured("replica1", &|json| {
        json["clusters"][0]["shards"][0].as_array_mut().unwrap().push(more.clone());
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: members of cluster `lab` on DB-r1
      expected  1/1 REPLICA1, 1/2 REPLICA2
      found     1/1 REPLICA1, 1/2 REPLICA2, 1/3 10.0.0.9:9000
      see it    on DB-r1: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: the environment does not name every server of the cluster `lab`
      expected  3 servers, as DB-r1 knows the cluster
      found     2 hosts in the environment
      see it    on DB-r1: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   list every replica of every shard under `hosts:`; a forgotten replica would keep old data
    refused: the plan cannot be made any longer: DB-r1 and DB-r2 do not mean the same cluster by `lab`
      expected  the members that DB-r1 knows: 1/1 REPLICA1, 1/2 REPLICA2, 1/3 10.0.0.9:9000
      found     DB-r2 knows 1/1 REPLICA1, 1/2 REPLICA2
      see it    on DB-r2: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   correct the address of the host in the environment, or `remote_servers` of the servers
    ");
    insta::assert_snapshot!(configured("replica2", &|json| {
        json["clusters"][0]["shards"][0].as_array_mut().unwrap().pop();
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: members of cluster `lab` on DB-r2
      expected  1/1 REPLICA1, 1/2 REPLICA2
      found     1/1 REPLICA1
      see it    on DB-r2: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the plan cannot be made any longer: the environment does not name every server of the cluster `lab`
      expected  1 server, as DB-r2 knows the cluster
      found     2 hosts in the environment
      see it    on DB-r2: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   list every replica of every shard under `hosts:`; a forgotten replica would keep old data
    refused: the plan cannot be made any longer: DB-r1 and DB-r2 do not mean the same cluster by `lab`
      expected  the members that DB-r1 knows: 1/1 REPLICA1, 1/2 REPLICA2
      found     DB-r2 knows 1/1 REPLICA1
      see it    on DB-r2: SELECT shard_num, replica_num, host_name, port FROM system.clusters WHERE cluster = 'lab' ORDER BY shard_num, replica_num
      do this   correct the address of the host in the environment, or `remote_servers` of the servers
    ");
    // A replica that does not answer any longer.
    insta::assert_snapshot!(after(&|| scene.lab.stop("replica2").unwrap()), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: identity on DB-r2
      expected  uuid UUID on replica2 in LAB/nodes/replica2/data/
      found     it cannot be looked at: tcp connect error: Connection refused (os error 111)
      see it    on DB-r2: SELECT serverUUID(), hostName(), (SELECT path FROM system.disks WHERE name = 'default')
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
    scene.lab.start_node("replica2").unwrap();
    // Another server behind the same address: another folder, and with it another identity.
    let folder = scene.lab.node("replica2").unwrap().dir;
    let rename = |from: &str, to: &str| std::fs::rename(folder.join(from), folder.join(to)).unwrap();
    insta::assert_snapshot!(after(&|| {
        scene.lab.stop("replica2").unwrap();
        rename("data", "data.before");
        rename("uuid", "uuid.before");
        scene.lab.start_node("replica2").unwrap();
    }), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: database DB on DB-r2
      expected  Atomic, UUID UUID
      found     not there
      see it    on DB-r2: SELECT engine, uuid FROM system.databases WHERE name = 'DB'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: identity on DB-r2
      expected  uuid UUID on replica2 in LAB/nodes/replica2/data/
      found     uuid UUID on replica2 in LAB/nodes/replica2/data/
      see it    on DB-r2: SELECT serverUUID(), hostName(), (SELECT path FROM system.disks WHERE name = 'default')
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    refused: the world has moved since the plan was made: table DB.notes that is dropped on DB-r2
      expected  0 rows, UUID UUID, `id` UInt64; definition DIGEST
      found     it is not there any longer
      see it    on DB-r2: SELECT uuid, total_rows, total_bytes, create_table_query FROM system.tables WHERE database = 'DB' AND name = 'notes'
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
}

#[test]
fn a_server_of_another_version_is_refused_by_name() {
    let scene = Scene::new("version").with_orders();
    let is = scene.on_node("replica2", "SELECT version()");
    let newer = is.replacen("26.7", "26.8", 1);
    let url = scene.lab.node("replica2").unwrap().url;
    let proxy = Rewriter::start(&url, &is, &newer);
    scene.environment(|text| text.replace(&url, &proxy.url()));
    let _filters = scene.filters();
    // The same server under another address.
    insta::assert_snapshot!(refused(&scene, || plan(&scene), || scene.environment(|text| text)), @"
    exit 3
    --- stderr
    refused: the plan made now is another one than the saved plan: the hosts as the environment names them
      expected  DB-r2, url: http://ADDRESS
      found     DB-r2, url: http://REPLICA2
      see it    targets of the environment file
      do this   nothing was changed; plan again and give consent to the new plan
    ");
    scene.environment(|text| text.replace(&url, &proxy.url()));
    insta::assert_snapshot!(refused(&scene, || plan(&scene), || proxy.turn_on()), @"
    exit 3
    --- stderr
    refused: the world has moved since the plan was made: version on DB-r2
      expected  26.7.2.1
      found     26.8.2.1
      see it    on DB-r2: SELECT version()
      do this   nothing was changed; plan again, read what differs, and give consent to the new plan
    ");
}
