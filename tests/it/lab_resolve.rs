//! A person's answer is accepted only where neither the probe nor the post-condition says otherwise.

use crate::support::Output;
use crate::support::engine::{has_intent, is_done, journal};
use crate::support::lab::wait_until;
use crate::support::scene::Scene;

fn resolve(scene: &Scene, operation: &str, verdict: &str) -> Output {
    let run = scene.runs()[0].file_name().unwrap().to_str().unwrap().to_owned();
    scene.cli(&["resolve", &run, operation, verdict, "--reason", "I looked"])
}

/// Refused with this text, and nothing is written.
fn is_refused(scene: &Scene, operation: &str, verdict: &str, found: &str) {
    let before = std::fs::read(scene.runs()[0].join("journal.jsonl")).unwrap();
    let refused = resolve(scene, operation, verdict);
    assert_eq!(refused.code, Some(3), "{refused}");
    // Its lines are broken where they fit.
    let text: Vec<&str> = refused.stderr.split_whitespace().collect();
    assert!(text.join(" ").contains(found), "{refused}");
    assert_eq!(std::fs::read(scene.runs()[0].join("journal.jsonl")).unwrap(), before);
}

#[test]
fn an_answer_that_the_servers_contradict_is_refused() {
    let scene = Scene::new("resolve");
    scene.on_node("standalone", "CREATE DATABASE {db}");
    for table in ["t", "u"] {
        scene.on_node("standalone", &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = MergeTree ORDER BY x"));
    }
    let insert = |table: &str| {
        format!(
            "INSERT INTO {{{{ database }}}}.{table} SELECT number + sleepEachRow(1.2) FROM numbers(5) SETTINGS max_block_size = 1"
        )
    };
    let runbook = scene.steps(&format!(
        "  - id: slow
    sql: {{ on: source, statements: ['{}'], expect: {{ query: 'SELECT count() FROM {{{{ database }}}}.t', equals: 5 }} }}
  - id: asked
    sql: {{ on: source, statements: ['{}'], probe: {{ query: 'SELECT count() FROM {{{{ database }}}}.u', done_when: 5 }} }}
  - id: check
    assert: {{ on: source, query: 'SELECT count() FROM {{{{ database }}}}.u', equals: 6, message: 'six rows are there' }}
",
        insert("t"),
        insert("u")
    ));
    let running = || {
        let query = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO%{db}%sleepEachRow%'";
        scene.on_node("standalone", query) != "0"
    };
    let mut engine = scene.start(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert!(engine.reaches(|records| has_intent(records, "slow/") && running()));
    engine.kill();
    // Of a statement that still runs nobody can say how it ended.
    is_refused(&scene, "slow/1", "--done", "it still runs on the server");
    is_refused(&scene, "slow/1", "--not-done", "it still runs on the server");
    wait_until("the end of the INSERT", || !running());
    // What it promised is there, whether the server carried it to its end without its client or not.
    scene.on_node("standalone", "TRUNCATE TABLE {db}.t");
    scene.on_node("standalone", "INSERT INTO {db}.t SELECT number FROM numbers(5)");
    is_refused(&scene, "slow/1", "--not-done", "what it promised is there");
    let done = resolve(&scene, "slow/1", "--done");
    assert_eq!(done.code, Some(0), "{done}");

    let mut engine = scene.start(&["resume"]);
    let has_begun = || has_intent(&journal(&scene.runs()[0]).records, "asked/") && running();
    assert!(engine.reaches(|_| has_begun()), "{}", engine.end(&scene));
    engine.kill();
    let stop = "KILL QUERY WHERE query LIKE 'INSERT INTO%{db}%sleepEachRow%' SYNC";
    scene.on_node("standalone", stop);
    wait_until("the end of the INSERT", || !running());
    scene.on_node("standalone", "TRUNCATE TABLE {db}.u");
    is_refused(&scene, "asked/1", "--done", "the probe says that it took no effect");
    let stopped = scene.cli(&["resume"]);
    assert_ne!(stopped.code, Some(0), "{stopped}");
    assert!(is_done(&journal(&scene.runs()[0]).records, "asked/1"), "{stopped}");
    // A check that did not hold is asked again; no word of a person makes it hold.
    is_refused(&scene, "check/1", "--done", "it only reads");
    let again = scene.cli(&["resume"]);
    assert_eq!(again.code, stopped.code, "{again}");
    scene.on_node("standalone", "INSERT INTO {db}.u VALUES (100)");
    let resumed = scene.cli(&["resume"]);
    assert_eq!(resumed.code, Some(0), "{resumed}");
    is_refused(&scene, "check/1", "--done", "the run is over");
}
