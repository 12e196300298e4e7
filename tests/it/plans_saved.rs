//! A saved plan as a reviewer gets it: shown in every view without environment, connection or secret, and only as it
//! was saved.

use clickferry::plan::plan_file::Plan;
use clickferry::report::plan_html::render_html;
use clickferry::report::plan_json::render_json;
use clickferry::report::plan_markdown::PlanMarkdown;
use clickferry::report::plan_view::PlanView;
use clickferry::report::text::Style;

use crate::support::scene::Scene;
use crate::support::{Output, TestEnvironment, root};

/// A plan that fits its digest, saved under this name.
fn saved(test: &TestEnvironment, name: &str, change: impl FnOnce(&mut Plan)) -> Plan {
    let text = std::fs::read_to_string(root().join("tests/cases/plans/move.json")).unwrap();
    let mut plan = serde_json::from_str::<Plan>(&text).unwrap();
    plan.runbook_text = "apiVersion: clickferry/v1\nkind: Runbook\n".to_owned();
    plan.runbook_digest = clickferry::plan::plan_file::sha256(plan.runbook_text.as_bytes());
    change(&mut plan);
    let plan = plan.sealed();
    test.write(name, &render_json(&plan));
    plan
}

fn ends(output: &Output, code: i32) {
    assert_eq!(output.code, Some(code), "{output}");
}

#[test]
fn every_view_of_a_saved_plan_is_the_plans_own() {
    let test = TestEnvironment::new();
    let plan = saved(&test, "plan.json", |_| {});
    let view = |format: &str| {
        let output = test.run(&["plan", "plan.json", "--format", format]);
        ends(&output, 2);
        assert!(output.stderr.contains("plan.json as it was saved; no server is contacted"), "{output}");
        output.stdout
    };
    assert_eq!(view("json"), render_json(&plan));
    assert_eq!(view("json"), std::fs::read_to_string(test.path().join("plan.json")).unwrap());
    assert_eq!(view("html"), render_html(&plan));
    assert_eq!(view("markdown"), PlanMarkdown::new("clickferry plan plan.json").render(&plan));
    let text = PlanView { width: 100, style: Style::default(), summary: false }.render(&plan);
    let consent = &plan.digest[..12];
    let command = format!("To apply exactly this:\n  clickferry apply plan.json -e ENVIRONMENT --consent {consent}\n");
    assert_eq!(view("text"), format!("{text}{command}"));
    let summary = test.run(&["plan", "plan.json", "--summary"]);
    ends(&summary, 2);
    assert!(summary.stdout.len() < text.len() && summary.stdout.contains("DESTROYED  4 tables"), "{summary}");
}

#[test]
fn its_exit_code_is_the_one_that_planning_gives() {
    let test = TestEnvironment::new();
    saved(&test, "reads.json", |plan| plan.operations.retain(|operation| operation.step.as_str() == "verify"));
    ends(&test.run(&["plan", "reads.json"]), 0);
    saved(&test, "beyond.json", |plan| plan.guards.loss.rows = 2379);
    let beyond = test.run(&["plan", "beyond.json"]);
    ends(&beyond, 3);
    assert!(beyond.stdout.contains("BEYOND what the runbook allows"), "{beyond}");
    assert!(beyond.stderr.contains("destroys more rows than the runbook allows"), "{beyond}");
    assert!(!beyond.stdout.contains("To apply exactly this"), "{beyond}");
}

#[test]
fn it_is_told_by_its_content_and_refused_where_it_was_changed() {
    let test = TestEnvironment::new();
    let plan = saved(&test, "plan.json", |_| {});
    let text = render_json(&plan);
    test.write("plan.txt", &text);
    ends(&test.run(&["plan", "plan.txt"]), 2);

    test.write("edited.json", &text.replacen("\"rows\": 1200", "\"rows\": 12", 1));
    let edited = test.run(&["plan", "edited.json"]);
    ends(&edited, 3);
    assert!(edited.stderr.contains("edited.json was changed after it was saved"), "{edited}");
    assert_eq!(edited.stdout, "");

    test.write("runbook.json", &text.replacen("kind: Runbook", "kind: Other", 1));
    ends(&test.run(&["plan", "runbook.json"]), 3);

    test.write("newer.json", &text.replacen("\"format_version\": 1", "\"format_version\": 2", 1));
    let newer = test.run(&["plan", "newer.json"]);
    ends(&newer, 3);
    assert!(newer.stderr.contains("newer.json was written by a newer clickferry"), "{newer}");

    for (name, text) in [("cut.txt", &text[..text.len() / 2]), ("other.json", "{ \"fingerprint\": \"\" }")] {
        test.write(name, text);
        let output = test.run(&["plan", name]);
        ends(&output, 1);
        assert!(output.stderr.contains("bad-plan") && output.stderr.contains(name), "{output}");
    }

    // A runbook in JSON, which YAML is too, is still a runbook: it lacks an environment, not a digest.
    test.write("steps.json", "{ \"apiVersion\": \"clickferry/v1\", \"kind\": \"Runbook\" }");
    let runbook = test.run(&["plan", "steps.json"]);
    ends(&runbook, 1);
    assert!(runbook.stderr.contains("no-environment"), "{runbook}");
}

#[test]
fn options_that_say_nothing_about_it_are_refused_all_at_once() {
    let test = TestEnvironment::new();
    saved(&test, "plan.json", |_| {});
    let arguments = ["plan", "plan.json", "-p", "database=x", "--against", "snapshot.json", "-o", "again.json"];
    insta::assert_snapshot!(test.run(&arguments), @r#"
    exit 1
    --- stderr

    useless-option

      × `--against` says nothing about plan.json, which is a saved plan: it is made already, from the
      │ servers or from a snapshot
      help: leave `--against` out; to plan anew, give the runbook instead

    useless-option

      × `--output` says nothing about plan.json, which is a saved plan: it is saved already
      help: leave `--output` out; to plan anew, give the runbook instead

    useless-option

      × `--param` says nothing about plan.json, which is a saved plan: its parameters are those it was
      │ made with
      help: leave `--param` out; to plan anew, give the runbook instead

    3 mistakes found; nothing was sent to any server.
    "#);
    assert!(!test.path().join("again.json").exists());
}

#[test]
fn a_plan_made_on_servers_is_shown_without_them() {
    let scene = Scene::new("savedplan").with_orders();
    let runbook = scene.runbook("standalone-to-replicated", |text| text);
    let database = format!("database={}", scene.database);
    let made = scene.cli(&["plan", &runbook, "-p", &database, "-p", "migration=2", "-o", "plan.json"]);
    ends(&made, 2);
    scene.mark();
    // No environment, no secret, no server: the reviewer has the file alone.
    let shown = scene.test.run(&["plan", "plan.json"]);
    ends(&shown, 2);
    let end = "To apply exactly this:";
    let (made_text, made_end) = made.stdout.split_once(end).unwrap();
    let (shown_text, shown_end) = shown.stdout.split_once(end).unwrap();
    assert_eq!(shown_text, made_text);
    assert_eq!(shown_end.replace("ENVIRONMENT", "environment.yaml"), made_end);
    scene.nothing_changed();
}
