//! Runs as traces: what a collector is sent, and that a run does not depend on one.

use crate::support::collector::{Collector, Span};
use crate::support::engine::has_intent;
use crate::support::scene::Scene;

/// An INSERT that fails until another table has rows, behind a step that only looks.
fn scene(name: &str, collector: &str, attempts: u32) -> (Scene, String) {
    let mut scene = Scene::new(name);
    scene.on_node("standalone", "CREATE DATABASE {db}");
    for table in ["t", "open"] {
        scene.on_node("standalone", &format!("CREATE TABLE {{db}}.{table} (x UInt64) ENGINE = MergeTree ORDER BY x"));
    }
    scene.test.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    let runbook = scene.steps(&format!(
        "  - id: look
    assert: {{ on: source, query: 'SELECT 1', equals: 1 }}
  - id: add
    retry: {{ attempts: {attempts}, backoff: 300ms }}
    sql:
      on: source
      statements: ['INSERT INTO {{{{ database }}}}.t SELECT throwIf((SELECT count() FROM {{{{ database }}}}.open) = 0)']
      probe: {{ query: 'SELECT count() FROM {{{{ database }}}}.t', done_when: 1 }}
"
    ));
    (scene, runbook)
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}"))
}

#[test]
fn a_run_is_one_trace_of_steps_and_operations() {
    let collector = Collector::start();
    let (scene, runbook) = scene("traced", &collector.address, 20);
    let mut engine = scene.start(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert!(engine.reaches(|records| records.len() > 6 && has_intent(records, "add/")));
    scene.on_node("standalone", "INSERT INTO {db}.open VALUES (1)");
    let done = engine.end(&scene);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!done.stderr.contains("The trace was not sent"), "{done}");

    let spans = collector.spans();
    let run = named(&spans, "run steps");
    let (look, add) = (named(&spans, "step look"), named(&spans, "step add"));
    let operation =
        spans.iter().find(|span| span.attributes.get("clickferry.operation").is_some_and(|id| id == "add/1"));
    let operation = operation.unwrap();
    assert_eq!(spans.len(), 5, "{spans:#?}");
    assert!(spans.iter().all(|span| span.trace == run.trace && !span.is_error), "{spans:#?}");
    assert!(run.parent.is_empty() && look.parent == run.id && add.parent == run.id && operation.parent == add.id);
    let host = format!("{}-sa", scene.database);
    let about: Vec<&str> = ["step", "action", "host", "effect", "outcome"]
        .map(|name| operation.attributes[&format!("clickferry.{name}")].as_str())
        .to_vec();
    assert_eq!(about, ["add", "sql", host.as_str(), "write", "done"]);
    assert!(operation.attributes["clickferry.attempt"].parse::<u32>().unwrap() > 1, "{operation:#?}");
    assert_eq!(operation.events[..5], ["attempt", "probing", "probed", "retry", "attempt"]);
    assert_eq!(run.attributes["clickferry.verdict"], "done");
    let id = scene.runs()[0].file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(run.attributes["clickferry.run"], id);
    scene.holds_no_secret("the trace", &String::from_utf8_lossy(&collector.bytes()));
}

#[test]
fn a_failed_run_is_an_error_and_its_resume_belongs_to_the_same_trace() {
    let collector = Collector::start();
    let (scene, runbook) = scene("untraced", &collector.address, 1);
    let failed = scene.cli(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert_eq!(failed.code, Some(1), "{failed}");
    let first = collector.spans();
    for name in ["run steps", "step add"] {
        assert!(named(&first, name).is_error, "{first:#?}");
    }
    assert!(
        first.iter().any(|span| span.is_error
            && span.attributes.get("clickferry.outcome").is_some_and(|outcome| outcome == "failed"))
    );
    scene.on_node("standalone", "INSERT INTO {db}.open VALUES (1)");
    assert_eq!(scene.cli(&["resume"]).code, Some(0));
    let spans = collector.spans();
    assert!(spans.len() > first.len() && spans.iter().all(|span| span.trace == first[0].trace), "{spans:#?}");
    assert_eq!(spans.last().unwrap().attributes["clickferry.resumed"], "1");
}

#[test]
fn a_run_without_its_collector_is_done_all_the_same() {
    // Nobody listens on port 1.
    let (scene, runbook) = scene("alone", "http://127.0.0.1:1", 1);
    scene.on_node("standalone", "INSERT INTO {db}.open VALUES (1)");
    let done = scene.cli(&["apply", &runbook, "-p", &format!("database={}", scene.database)]);
    assert_eq!(done.code, Some(0), "{done}");
    let told = done.stderr.matches("The trace was not sent to the collector").count();
    assert_eq!(told, 1, "{done}");
}
