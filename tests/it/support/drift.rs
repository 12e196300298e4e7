//! A saved plan, something that moves, and an apply that must refuse it with nothing done.

use super::lab::NODES;
use super::scene::Scene;
use super::{bucket, evidence, keeper};

/// Columns and engine of a replicated table; `REPLICA` stands for the name of the replica.
pub const NOTES: &str =
    "(id UInt64) ENGINE = ReplicatedMergeTree('/clickhouse/tables/01/{db}/notes', 'REPLICA') ORDER BY id";

/// A source that is moved, and replicas whose database of that name is dropped for it: a replicated table, one that
/// does not count its rows, and what an earlier attempt left in Keeper.
pub fn world(name: &str) -> Scene {
    let scene = Scene::new(name).with_orders();
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE DATABASE {db}");
        scene.on_node(node, &format!("CREATE TABLE {{db}}.notes {}", NOTES.replace("REPLICA", node)));
        scene.on_node(node, "CREATE TABLE {db}.jottings (id UInt64) ENGINE = TinyLog");
    }
    insert(&scene, 10);
    keeper::create(&scene.lab, &path(&scene, "left/deep"), "value");
    scene
}

/// A Keeper path of the test.
pub fn path(scene: &Scene, below: &str) -> String {
    format!("/clickhouse/tables/01/{}/{below}", scene.database)
}

/// Adds rows to the replicated table, on both replicas.
pub fn insert(scene: &Scene, rows: u64) {
    scene.on_node("replica1", &format!("INSERT INTO {{db}}.notes SELECT rand64() FROM numbers({rows})"));
    scene.on_node("replica2", "SYSTEM SYNC REPLICA {db}.notes");
}

/// Plans the bundled move with a budget that allows it.
pub fn plan(scene: &Scene) -> String {
    let runbook =
        scene.runbook("standalone-to-replicated", |text| text.replace("tables: 0, rows: 0", "tables: 20, rows: 9000"));
    scene.plan(&runbook, &["-p", "migration=2"])
}

/// Plans, lets something move, and applies the plan with consent: returns the whole report, after it was proved that
/// the plan is refused, that no server, no Keeper node, no object and no run tells of it, and that its evidence shows it.
pub fn refused(scene: &Scene, plan: impl Fn() -> String, drift: impl FnOnce()) -> String {
    let digest = plan();
    drift();
    scene.mark();
    let (before, runs) = (around(scene), scene.runs());
    let output = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(output.code, Some(3), "{output}");
    scene.nothing_changed();
    assert_eq!(scene.runs(), runs, "{output}");
    assert_eq!(around(scene), before);
    evidence::is_shown(scene, &output.to_string());
    output.to_string()
}

/// Keeper nodes and objects of the test, but for what servers write into Keeper by themselves, also in the background.
fn around(scene: &Scene) -> (Vec<String>, Vec<(String, Vec<u8>)>) {
    let own = ["log/", "queue/", "parts/", "blocks/", "temp/", "is_active", "host"];
    let mut nodes = keeper::below(&scene.lab, &format!("/clickhouse/tables/01/{}", scene.database));
    nodes.retain(|path| !own.iter().any(|own| path.contains(own)));
    let objects = bucket::keys(scene, "").into_iter().map(|key| (key.clone(), bucket::get(scene, &key)));
    (nodes, objects.collect())
}

/// Writes the database of the source to a path of the bucket.
pub fn backup(scene: &Scene, path: &str) {
    let (access_key, secret_key) = scene.lab.s3_keys();
    let place = format!("{}/{}/{{db}}/{path}", scene.lab.s3_endpoint(), scene.lab.bucket());
    scene.on_node("standalone", &format!("BACKUP DATABASE {{db}} TO S3('{place}', '{access_key}', '{secret_key}')"));
}
