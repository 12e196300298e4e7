//! Every change of Keeper that a run makes, with its answer lost: after it took effect, before, and with the request
//! arriving late.

use std::time::Duration;

use clickferry::adapter::keeper::ZooKeeper;
use clickferry::engine::ports::{Keeper, KeeperError};
use tokio::runtime::{Builder, Runtime};

use crate::support::Output;
use crate::support::cutter::Cut;
use crate::support::keeper::{create, exists, transactions, values};
use crate::support::keeper_cutter::KeeperWay;
use crate::support::scene::Scene;

const CUTS: [Cut; 3] = [Cut::Answer, Cut::Late, Cut::Swallowed];

const CLEAR: &str =
    "  - id: clear\n    clear_keeper: { on: destination, paths: ['/clickhouse/tables/01/{{ database }}'] }\n";

/// What a former table left, with a way to Keeper on which answers are lost.
struct Left {
    scene: Scene,
    root: String,
    way: KeeperWay,
    runbook: String,
    before: Vec<(String, Vec<u8>)>,
}

impl Left {
    fn new(base: &Scene) -> Self {
        let scene = base.next("lostkeeper");
        let root = format!("/clickhouse/tables/01/{}", scene.database);
        for (path, value) in [("ghost/log", ""), ("ghost/replicas/r1", "lost"), ("ghost/metadata", "columns")] {
            create(&scene.lab, &format!("{root}/{path}"), value);
        }
        let before = values(&scene.lab, &root);
        let way = KeeperWay::to(&scene.lab.keeper_address(), &root);
        let (direct, through) = (scene.lab.keeper_address(), way.address());
        scene.environment(|text| text.replace(&direct, &through));
        let runbook = scene.steps(CLEAR);
        Self { scene, root, way, runbook, before }
    }

    /// The engine's own client on the way, and what drives it.
    fn client(&self) -> (Runtime, ZooKeeper) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        (runtime, ZooKeeper::new(vec![self.way.address()], None))
    }

    /// Carries on as the program says, until it is over.
    fn carry_on(&self, mut last: Output) -> usize {
        for resumed in 0..4 {
            match last.code {
                Some(0) => return resumed,
                Some(1) if last.stderr.contains("Carry on: clickferry resume") => {}
                _ => panic!("an end that a lost answer may not bring about:\n{last}"),
            }
            last = self.scene.cli(&["resume"]);
        }
        panic!("it does not come to its end:\n{last}");
    }

    /// How often each node was really made or removed since so many changes.
    fn took_effect(&self, kind: &str, since: i64) -> Vec<String> {
        let all = transactions(&self.scene.lab).into_iter();
        let mut paths: Vec<String> = all
            .filter(|change| change.number > since && change.kind == kind && change.path.starts_with(&self.root))
            .map(|change| change.path)
            .collect();
        paths.sort();
        paths
    }

    fn last_change(&self) -> i64 {
        transactions(&self.scene.lab).last().map_or(0, |last| last.number)
    }

    fn paths(&self) -> Vec<String> {
        self.before.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Removes the nodes with one answer lost; returns whether there was such a change.
    fn removed_with(&self, number: usize, cut: Cut) -> bool {
        let since = self.last_change();
        self.way.aim(Some((number, cut)));
        let applied = self.scene.apply(&self.runbook, &[]);
        let was_cut = self.way.passed().len() >= number;
        self.carry_on(applied);
        std::thread::sleep(Duration::from_millis(if cut == Cut::Late { 700 } else { 0 }));
        assert!(!exists(&self.scene.lab, &self.root));
        assert_eq!(self.took_effect("delete", since), self.paths(), "{number} {cut:?}");
        was_cut
    }

    /// Makes them again with one answer lost; returns whether there was such a change.
    fn made_again_with(&self, number: usize, cut: Cut) -> bool {
        let since = self.last_change();
        let run = self.scene.runs().last().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let shown = self.scene.cli(&["undo", &run, "--dry-run", "--format", "json"]);
        assert_eq!(shown.code, Some(2), "{shown}");
        let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        self.way.aim(Some((number, cut)));
        let undone = self.scene.cli(&["undo", &run, "--consent", &plan["digest"].as_str().unwrap()[..12]]);
        let was_cut = self.way.passed().len() >= number;
        self.carry_on(undone);
        assert_eq!(values(&self.scene.lab, &self.root), self.before, "{number} {cut:?}");
        assert_eq!(self.took_effect("create", since), self.paths(), "{number} {cut:?}");
        was_cut
    }
}

#[test]
fn a_node_whose_removal_is_not_answered_is_removed_once() {
    let base = Scene::new("lostkeeper");
    let mut cut_once = 0;
    for cut in CUTS {
        for number in 1.. {
            let left = Left::new(&base);
            if !left.removed_with(number, cut) {
                break;
            }
            cut_once += 1;
        }
    }
    // Six nodes, each in three ways.
    assert_eq!(cut_once, 18);
}

#[test]
fn a_node_that_is_made_again_and_not_answered_for_is_made_once() {
    let base = Scene::new("lostkeeper");
    for cut in CUTS {
        let left = Left::new(&base);
        for number in 1.. {
            assert!(!left.removed_with(usize::MAX, cut));
            if !left.made_again_with(number, cut) {
                assert_eq!(number, left.before.len() + 1);
                break;
            }
        }
    }
}

/// Behind a change that was not answered, somebody else may make the same node again. A request that is still on its way
/// must not remove that one: the session goes on with another connection, and the servers take nothing more from the first.
#[test]
fn a_removal_that_arrives_late_removes_nothing_any_more() {
    let left = Left::new(&Scene::new("lostkeeper"));
    let node = format!("{}/ghost/log", left.root);
    let (runtime, keeper) = left.client();
    let version = runtime.block_on(keeper.get(&node)).unwrap().unwrap().stat.version;
    left.way.aim(Some((1, Cut::Late)));
    let lost = runtime.block_on(keeper.delete(&node, version)).unwrap_err();
    assert!(
        matches!(&lost, KeeperError::Failed { reason, .. } if reason.contains("may have been deleted or not")),
        "{lost:?}"
    );
    left.way.aim(None);
    runtime.block_on(keeper.delete(&node, version)).unwrap();
    create(&left.scene.lab, &node, "of somebody else");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(exists(&left.scene.lab, &node), "the late request removed a node that it was not meant for");
}

/// A connection that a firewall forgot is not closed: nothing comes back through it any more.
#[test]
fn a_question_that_is_never_answered_is_asked_again_through_another_connection() {
    let left = Left::new(&Scene::new("lostkeeper"));
    let node = format!("{}/ghost/replicas/r1", left.root);
    let (runtime, keeper) = left.client();
    assert!(runtime.block_on(keeper.get(&left.root)).unwrap().is_some());
    left.way.hold_answers(true);
    let found = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(4500));
            left.way.hold_answers(false);
        });
        runtime.block_on(keeper.get(&node))
    });
    assert_eq!(found.unwrap().unwrap().value, b"lost");
}
