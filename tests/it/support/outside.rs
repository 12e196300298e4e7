//! What a run changes beside what it sends to the nodes: nodes of Keeper, objects of the bucket, files of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clickferry::model::ids::RunId;
use clickferry::plan::operation::Operation;
use clickferry::plan::plan_file::Plan;
use serde_json::Value;

use super::keeper::{Transaction, subtree, transactions};
use super::lab::{NODES, files_below};
use super::scene::Scene;
use super::sent::Run;

/// An apply of exactly one plan, with everything that it changed.
pub struct Applied {
    pub plan: Plan,
    /// Folder of the run.
    pub run: PathBuf,
    /// Changing statements that the nodes got.
    pub sent: usize,
    /// Nodes that the engine removed from Keeper.
    pub removed: BTreeSet<String>,
    /// Objects that are new in the bucket, without the name of the bucket.
    pub objects: BTreeSet<String>,
}

/// A bundled runbook, changed, applied: see [`applied_exactly`].
pub fn bundled_exactly(
    scene: &mut Scene,
    name: &str,
    change: impl FnOnce(String) -> String,
    parameters: &[&str],
) -> Applied {
    let runbook = scene.runbook(name, change);
    applied_exactly(scene, &runbook, parameters)
}

/// Plans a runbook and applies that plan. Fails where anything was changed that the plan does not have, and where
/// something that it has was not done: statements per node, nodes of Keeper, objects, files.
pub fn applied_exactly(scene: &mut Scene, runbook: &str, parameters: &[&str]) -> Applied {
    // Whatever the engine would put into the places of its user or of the machine is seen here.
    for (name, folder) in [("HOME", "home"), ("TMPDIR", "home/tmp"), ("XDG_CACHE_HOME", "home/cache")] {
        let folder = scene.test.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        scene.test.set(name, &folder.display().to_string());
    }
    // A node begins its session with Keeper when it first needs one; those that begin from now on are the engine's.
    for node in &NODES[1..] {
        scene.on_node(node, "CREATE TABLE default.{db} (x Int8) ENGINE = ReplicatedMergeTree('/clickhouse/test/{db}', '{replica}') ORDER BY x");
        scene.on_node(node, "DROP TABLE default.{db} SYNC");
    }
    let digest = scene.plan(runbook, parameters);
    let plan: Plan = serde_json::from_slice(&std::fs::read(scene.test.path().join("plan.json")).unwrap()).unwrap();
    let doomed = doomed(scene, &plan);
    let (objects, files) = (objects(scene), files(scene.test.path()));
    let last = transactions(&scene.lab).last().map_or(0, |transaction| transaction.number);
    scene.mark();
    let done = scene.cli(&["apply", "plan.json", "--consent", &digest]);
    assert_eq!(done.code, Some(0), "{done}");
    let run = scene.runs().pop().unwrap();
    let sent = Run::new(scene, &plan, &run);
    let applied = Applied {
        sent: sent.changes_as_planned(),
        removed: removed(scene, &plan, &doomed, last),
        objects: new_objects(scene, &plan, &sent, &objects),
        run: run.clone(),
        plan: plan.clone(),
    };
    exports(&plan, &run, &doomed);
    only_the_state_changed(scene, &files);
    applied
}

/// The operations that remove something from Keeper, each with the nodes that stand below its path and will not be
/// gone with a table that an earlier step drops.
fn doomed<'p>(scene: &Scene, plan: &'p Plan) -> Vec<(&'p Operation, BTreeSet<String>)> {
    let tables: BTreeSet<String> = NODES[1..]
        .iter()
        .flat_map(|node| {
            let paths = scene.on_node(node, "SELECT zookeeper_path FROM system.replicas WHERE database = '{db}'");
            paths.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let clears = plan.operations.iter().filter(|operation| operation.action == "clear_keeper");
    clears
        .map(|operation| {
            let text = &operation.statements[0].text;
            let Some(path) = text.strip_prefix("rmr ") else {
                assert!(text.starts_with("ls "), "{text}");
                return (operation, BTreeSet::new());
            };
            let nodes = subtree(&scene.lab, path);
            let stays = |node: &String| !tables.iter().any(|table| is_at_or_below(node, table));
            (operation, nodes.into_iter().filter(stays).collect())
        })
        .collect()
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path == above || path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// What the engine removed from Keeper, by Keeper's own log: the planned nodes, and besides only its own locks are made
/// and removed.
fn removed(scene: &Scene, plan: &Plan, doomed: &[(&Operation, BTreeSet<String>)], after: i64) -> BTreeSet<String> {
    let new: Vec<Transaction> = transactions(&scene.lab).into_iter().filter(|one| one.number > after).collect();
    let sessions: BTreeSet<i64> = new.iter().filter(|one| one.begins_session()).map(|one| one.session).collect();
    if plan.operations.iter().any(|operation| operation.action == "clear_keeper") {
        assert!(!sessions.is_empty(), "the engine's sessions were not seen: {new:?}");
    }
    let mut removed = BTreeSet::new();
    for one in new.iter().filter(|one| sessions.contains(&one.session)) {
        let is_lock = one.path.starts_with("/clickferry");
        match one.kind.as_str() {
            _ if one.begins_session() || one.ends_session() || one.was_refused() => {}
            "create" | "delete" if is_lock => {}
            "delete" => assert!(removed.insert(one.path.clone()), "{} was removed twice", one.path),
            _ => panic!("not planned: {one:?}"),
        }
    }
    let planned: BTreeSet<String> = doomed.iter().flat_map(|(_, nodes)| nodes.iter().cloned()).collect();
    assert_eq!(removed, planned);
    for (operation, nodes) in doomed {
        assert_eq!(operation.loss.keeper_nodes, nodes.len() as u64, "{}", operation.id);
    }
    removed
}

/// Each removal left an export with exactly the nodes that it removed.
fn exports(plan: &Plan, run: &Path, doomed: &[(&Operation, BTreeSet<String>)]) {
    for (operation, nodes) in doomed.iter().filter(|(_, nodes)| !nodes.is_empty()) {
        let file = run.join(format!("keeper/{}.json", operation.id.as_str().replace('/', "-")));
        let export: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let exported: BTreeSet<String> =
            export["nodes"].as_array().unwrap().iter().map(|node| node["path"].as_str().unwrap().to_owned()).collect();
        assert_eq!(exported, *nodes, "{} of {}", operation.id, plan.runbook);
    }
}

/// Every object in the bucket, with what tells that it was written again.
fn objects(scene: &Scene) -> BTreeMap<String, String> {
    let folder = scene.lab.dir().join("s3").join(scene.lab.bucket());
    files_below(&folder)
        .into_iter()
        .map(|file| (file.strip_prefix(&folder).unwrap().display().to_string(), version(&file)))
        .collect()
}

fn version(file: &Path) -> String {
    let about = std::fs::metadata(file).unwrap();
    format!("{} bytes at {:?}", about.len(), about.modified().unwrap())
}

/// What is new in the bucket lies below the paths of the plan's backups, each of which has some; the rest is as before.
fn new_objects(scene: &Scene, plan: &Plan, run: &Run<'_>, before: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut now = objects(scene);
    for (name, version) in before {
        assert_eq!(now.remove(name).as_ref(), Some(version), "{name} was changed or removed");
    }
    let new: BTreeSet<String> = now.into_keys().collect();
    let backups = plan.operations.iter().filter(|operation| operation.action == "backup");
    // The prefix of the environment stands before the path of the plan.
    let prefixes: Vec<String> = backups
        .map(|operation| {
            let path = operation.data.value()["path"].as_str().unwrap().to_owned();
            format!("{}/{}/", scene.database, run.path(operation, &path))
        })
        .collect();
    for prefix in &prefixes {
        assert!(new.iter().any(|name| name.starts_with(prefix.as_str())), "nothing is at {prefix}: {new:#?}");
    }
    for name in &new {
        let is_planned = prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
        assert!(is_planned, "{name} is at none of {prefixes:?}");
    }
    new
}

fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    files_below(folder).into_iter().map(|file| (file.clone(), version(&file))).collect()
}

/// On this machine nothing was written, changed or removed but in the folder for the state.
fn only_the_state_changed(scene: &Scene, before: &BTreeMap<PathBuf, String>) {
    let state = scene.state();
    let elsewhere = |files: BTreeMap<PathBuf, String>| -> BTreeMap<PathBuf, String> {
        files.into_iter().filter(|(file, _)| !file.starts_with(&state)).collect()
    };
    assert_eq!(elsewhere(files(scene.test.path())), elsewhere(before.clone()));
    let runs = scene.runs().pop().unwrap();
    let id = RunId(runs.file_name().unwrap().to_str().unwrap().to_owned());
    for file in files_below(&state).iter().filter(|file| !before.contains_key(*file)) {
        let relative = file.strip_prefix(&state).unwrap();
        let is_known = relative.starts_with(Path::new("runs").join(id.as_str()))
            || ["lock", "lock.json"].iter().any(|name| relative == Path::new(name));
        assert!(is_known, "{} is in the state and of no run", relative.display());
    }
}
