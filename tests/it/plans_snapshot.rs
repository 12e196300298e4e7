//! Snapshots: planning without a connection gives the same bytes, and nothing but the very same question is answered.

use serde_json::Value;

use crate::support::Output;
use crate::support::lab::NODES;
use crate::support::scene::Scene;

const MOVE: &str = "standalone-to-replicated";

fn parameters(scene: &Scene) -> [String; 4] {
    ["-p".to_owned(), format!("database={}", scene.database), "-p".to_owned(), "migration=2".to_owned()]
}

fn with<'a>(arguments: &[&'a str], parameters: &'a [String]) -> Vec<&'a str> {
    arguments.iter().copied().chain(parameters.iter().map(String::as_str)).collect()
}

/// A scene, its runbook, and a snapshot for it in `snapshot.json`.
fn taken(name: &str) -> (Scene, String, [String; 4]) {
    let scene = Scene::new(name).with_orders();
    let runbook = scene.runbook(MOVE, |text| text);
    let parameters = parameters(&scene);
    let output = scene.cli(&with(&["inspect", "--for", &runbook, "-o", "snapshot.json"], &parameters));
    assert_eq!(output.code, Some(0), "{output}");
    (scene, runbook, parameters)
}

fn read(scene: &Scene, file: &str) -> String {
    std::fs::read_to_string(scene.test.path().join(file)).unwrap()
}

/// Secrets that are not there: whoever needs one fails.
fn forget_secrets(scene: &Scene) {
    scene.environment(|text| text.replace("/secrets/", "/gone/"));
}

fn asked(scene: &Scene) -> usize {
    NODES.iter().map(|node| scene.lab.statements(node).unwrap().len()).sum()
}

fn refused(output: &Output, what: &str) {
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stderr.contains(what), "{output}");
    assert!(output.stderr.contains("do this"), "{output}");
}

#[test]
fn a_plan_against_a_snapshot_is_the_live_one_byte_by_byte_without_connection_or_secret() {
    let (scene, runbook, parameters) = taken("snap");
    let live = scene.cli(&with(&["plan", &runbook, "-o", "live.json"], &parameters));
    assert_eq!(live.code, Some(2), "{live}");
    let snapshot = read(&scene, "snapshot.json");
    scene.holds_no_secret("the snapshot", &snapshot);

    let before = asked(&scene);
    forget_secrets(&scene);
    let offline = with(&["plan", &runbook, "--against", "snapshot.json", "-o", "offline.json"], &parameters);
    let first = scene.cli(&offline);
    assert_eq!(first.code, Some(2), "{first}");
    assert_eq!(read(&scene, "offline.json"), read(&scene, "live.json"));
    assert_eq!(scene.cli(&offline).stdout, first.stdout);
    assert_eq!(asked(&scene), before, "a server was asked");
    // The same without the snapshot shows that nothing of this works by accident.
    assert_eq!(scene.cli(&with(&["plan", &runbook], &parameters)).code, Some(1));
}

#[test]
fn a_plan_against_a_snapshot_is_applied_where_the_world_has_not_moved() {
    let (scene, runbook, parameters) = taken("snapapply");
    scene.cli(&with(&["plan", &runbook, "--against", "snapshot.json", "-o", "plan.json"], &parameters));
    let plan: Value = serde_json::from_str(&read(&scene, "plan.json")).unwrap();
    let consent = &plan["digest"].as_str().unwrap()[..12];

    scene.on_node("standalone", "ALTER TABLE {db}.orders ADD COLUMN more UInt8");
    scene.mark();
    let moved = scene.cli(&["apply", "plan.json", "--consent", consent]);
    refused(&moved, "the world has moved since the plan was made: definition of");
    scene.nothing_changed();
    assert!(scene.runs().is_empty());

    let again = scene.cli(&with(&["inspect", "--for", &runbook, "-o", "snapshot.json"], &parameters));
    assert_eq!(again.code, Some(0), "{again}");
    scene.cli(&with(&["plan", &runbook, "--against", "snapshot.json", "-o", "plan.json"], &parameters));
    let plan: Value = serde_json::from_str(&read(&scene, "plan.json")).unwrap();
    let done = scene.cli(&["apply", "plan.json", "--consent", &plan["digest"].as_str().unwrap()[..12]]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn a_snapshot_answers_only_what_it_was_asked() {
    let (scene, runbook, parameters) = taken("snapask");
    let text = read(&scene, "snapshot.json");
    let plan = |snapshot: &str, parameters: &[String]| {
        scene.cli(&with(&["plan", &runbook, "--against", snapshot], parameters))
    };
    let saved = |name: &str, text: String| {
        scene.test.write(name, &text);
        name.to_owned()
    };

    let edited = saved("edited.json", text.replacen("\"rows\": 3000", "\"rows\": 1", 1));
    assert_ne!(read(&scene, "edited.json"), text);
    refused(&plan(&edited, &parameters), "edited.json was changed after it was taken");
    let newer = saved("newer.json", text.replacen("\"format_version\": 1", "\"format_version\": 2", 1));
    refused(&plan(&newer, &parameters), "newer.json was written by a newer clickferry");
    let cut = saved("cut.json", text[..text.len() / 2].to_owned());
    let output = plan(&cut, &parameters);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("bad-snapshot"), "{output}");

    let other = [&parameters[..3], &["migration=3".to_owned()]].concat();
    refused(&plan("snapshot.json", &other), "was taken with another value of the parameter `migration`");

    let world = scene.cli(&["inspect", "-o", "world.json"]);
    assert_eq!(world.code, Some(0), "{world}");
    refused(&plan("world.json", &parameters), "was not taken for a runbook");

    // What nobody asks the servers for may be another; what is asked may not.
    scene.runbook(MOVE, |text| text.replace("loss: { tables: 0, rows: 0 }", "loss: { tables: 1, rows: 0 }"));
    let output = plan("snapshot.json", &parameters);
    assert_eq!(output.code, Some(2), "{output}");
    scene.runbook(MOVE, |text| {
        text.replace("backup_restore_s3_retry_attempts: 5", "backup_restore_s3_retry_attempts: 6")
    });
    refused(&plan("snapshot.json", &parameters), "was taken for another form of step `back-up`");
    scene.runbook(MOVE, |text| text.replace("name: standalone-to-replicated", "name: another"));
    refused(&plan("snapshot.json", &parameters), "was taken for another runbook");

    scene.runbook(MOVE, |text| text);
    scene.environment(|text| text.replacen("metadata: { name: ", "metadata: { name: other-", 1));
    refused(&plan("snapshot.json", &parameters), "was taken of another environment");
    scene.environment(|text| text.replace("bucket: ", "bucket: other-"));
    refused(
        &plan("snapshot.json", &parameters),
        "was taken when the environment bound storage `backups` to something else",
    );
}
