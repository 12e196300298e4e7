//! Commands of `run` whose engine is killed, and what they may know.

use clickferry::engine::journal::{Entry, Record};

use crate::support::Output;
use crate::support::engine::{Engine, has_intent, journal};
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

/// A command of six seconds; its probe looks for what it makes at its end.
fn slow_command(scene: &Scene) -> Engine {
    let runbook = scene.steps(
        "  - id: migrate
    run:
      command: [sh, -c, 'echo begun >> begun.txt; sleep 6; touch there.txt']
      probe: { command: [test, -e, there.txt] }
",
    );
    let mut engine = scene.start(&["apply", &runbook, "-p", &format!("database={}", scene.database), "--summary"]);
    assert!(engine.reaches(|records| has_intent(records, "migrate/")));
    wait_until("the command", || begun(scene) == 1);
    engine
}

/// How often the command was started.
fn begun(scene: &Scene) -> usize {
    std::fs::read_to_string(scene.test.path().join("begun.txt")).unwrap_or_default().lines().count()
}

/// The file that the command holds, as its intent names it.
fn mark(records: &[Record]) -> std::path::PathBuf {
    let file = records.iter().rev().find_map(|record| match &record.entry {
        Entry::Intent { data, .. } => data.get("file")?.as_str().map(Into::into),
        _ => None,
    });
    file.expect("a file in the intent")
}

#[test]
fn a_command_that_outlives_its_engine_is_waited_for_and_not_started_again() {
    let scene = Scene::new("outlives");
    slow_command(&scene).kill();
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(begun(&scene), 1, "it was started beside itself");
    let records = journal(&scene.runs()[0]).records;
    let running = |record: &Record| matches!(&record.entry, Entry::Probed { answer, .. } if answer == "running");
    assert!(records.iter().any(running), "{records:?}");
}

#[test]
fn where_nobody_can_tell_whether_a_command_runs_only_a_probe_that_says_done_is_believed() {
    let scene = Scene::new("nobody_tells");
    slow_command(&scene).kill();
    // As on another machine: nothing here tells of the command.
    std::fs::remove_file(mark(&journal(&scene.runs()[0]).records)).unwrap();
    let stopped = scene.cli(&["resume"]);
    assert_eq!(stopped.code, Some(4), "{stopped}");
    assert!(stopped.stderr.contains("it cannot be told whether the command still runs"), "{stopped}");
    wait_until("the end of the command", || scene.test.path().join("there.txt").exists());
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    assert_eq!(begun(&scene), 1);
}

fn apply(scene: &Scene, runbook: &str) -> Output {
    scene.cli(&["apply", runbook, "-p", &format!("database={}", scene.database), "--summary"])
}

#[test]
fn a_command_inherits_no_secret_of_the_environment_and_what_it_finds_is_hidden() {
    let mut scene = Scene::new("tells");
    let password = scene.lab.password().to_owned();
    let file = scene.lab.dir().join("secrets/clickhouse-password").display().to_string();
    scene.test.set("FERRY_PASSWORD", &password);
    scene.environment(|text| text.replace(&format!("{{ file: {file} }}"), "{ env: FERRY_PASSWORD }"));
    let runbook = scene.steps(&format!(
        "  - id: inherits
    run: {{ command: [sh, -c, 'test -z \"$FERRY_PASSWORD\"'] }}
  - id: is-told
    run: {{ command: [sh, -c, 'test -n \"$TOKEN\"; echo told $TOKEN'], environment: {{ TOKEN: {{ env: FERRY_PASSWORD }} }} }}
  - id: finds
    run: {{ command: [sh, -c, 'set -x; word=$(cat {file}); echo found $word; exit 3'] }}
"
    ));
    let failed = apply(&scene, &runbook);
    assert_eq!(failed.code, Some(4), "{failed}");
    let records = journal(&scene.runs()[0]).records;
    assert!(has_intent(&records, "finds/"), "the steps before did not hold: {failed}");
    let run = &scene.runs()[0];
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert!(read("output-is-told-1-1.txt").contains("told [HIDDEN]"));
    assert!(read("output-finds-1-1.txt").contains("found [HIDDEN]"));
    let text = read("journal.jsonl");
    assert!(!text.contains(&password) && text.contains("[HIDDEN]"), "{text}");
}
