//! What a plan destroys is named, or it is said where the names are.

use clickferry::plan::plan_file::Plan;
use clickferry::report::plan_html::render_html;
use clickferry::report::plan_json::render_json;
use clickferry::report::plan_markdown::{PAGE_LIMIT, PlanMarkdown};
use clickferry::report::plan_view::PlanView;
use clickferry::report::text::Style;

use crate::support::large_plan::large_plan;

const TEXT: &str = "names left out here: --format html and json tell all of them";
const MARKDOWN: &str = "Names left out here: `--format html` and `json` tell all of them.";

fn text(plan: &Plan, summary: bool) -> String {
    PlanView { width: 100, style: Style { colour: false }, summary }.render(plan)
}

fn markdown(plan: &Plan) -> String {
    PlanMarkdown::new("clickferry plan move.yaml -e staging.yaml").render(plan)
}

/// What stands under DESTROYED.
fn destroyed(text: &str) -> String {
    let from = text.find("DESTROYED").unwrap();
    let end = text[from..].find("\n\n").map_or(text.len(), |end| from + end);
    text[from..end].split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_table_of_a_dropped_database_is_named_or_it_is_said_where() {
    let names = |tables: usize| (0..tables).map(|at| format!("events_{at:04}"));
    for (tables, in_summary, in_text, in_markdown) in
        [(8, true, true, true), (40, false, true, false), (120, false, false, false)]
    {
        let plan = large_plan(tables, 2);
        let views = [
            (destroyed(&text(&plan, true)), in_summary, TEXT),
            (destroyed(&text(&plan, false)), in_text, TEXT),
            (markdown(&plan), in_markdown, MARKDOWN),
        ];
        for (view, is_whole, pointer) in views {
            assert_eq!(view.contains(pointer), !is_whole, "{tables}: {view}");
            let is_named = names(tables).all(|name| view.contains(&format!("{name} (")));
            assert_eq!(is_named, is_whole, "{tables}: {view}");
        }
        let (html, json) = (render_html(&plan), render_json(&plan));
        assert!(names(tables).all(|name| html.contains(&name) && json.contains(&name)));
    }
}

/// A plan whose first operation drops a database that holds these tables.
fn dropping(tables: &[serde_json::Value]) -> Plan {
    let mut plan = large_plan(2, 1);
    let drop = plan.operations.iter_mut().find(|operation| operation.kind == "drop_database").unwrap();
    drop.data = clickferry::plan::data::Data::of(&serde_json::json!({ "tables": tables }));
    plan
}

#[test]
fn names_of_each_kind_are_counted_by_themselves() {
    let table = |name: String, rows: Option<u64>| serde_json::json!({ "name": name, "uuid": "", "rows": rows });
    let held: Vec<_> = (0..9)
        .map(|at| table(format!("table_{at}"), Some(at)))
        .chain((0..6).map(|at| table(format!("view_{at}"), None)))
        .collect();
    let plan = dropping(&held);
    for view in [text(&plan, true), markdown(&plan)] {
        assert!(view.contains("view_5") && view.contains("table_8"), "{view}");
        assert!(!view.contains("ames left out here"), "{view}");
    }
}

#[test]
fn a_table_whose_rows_nobody_tells_is_not_one_without_rows() {
    let plan = dropping(&[
        serde_json::json!({ "name": "lines", "uuid": "", "rows": null, "untold": true }),
        serde_json::json!({ "name": "shown", "uuid": "", "rows": null }),
    ]);
    for view in [text(&plan, false), markdown(&plan), render_html(&plan)] {
        let view = view.replace("<code>", "").replace("</code>", "").replace(" <span class=\"nw\">", " ");
        assert!(view.contains("lines (rows not told)"), "{view}");
        assert!(view.contains("without rows of their own: shown"), "{view}");
    }
}

#[test]
fn no_page_for_a_pull_request_is_too_long() {
    let mut plan = large_plan(2, 2);
    let entry = |at: usize| {
        serde_json::json!({
            "step": "create-tables", "database": "default", "name": format!("a_table_that_is_left_out_{at:05}"),
            "engine_before": "Kafka", "fate": "left_out", "reason": "it reads from a queue"
        })
    };
    plan.conversions = (0..4000).map(|at| serde_json::from_value(entry(at)).unwrap()).collect();
    let page = markdown(&plan);
    assert!(page.len() <= PAGE_LIMIT, "{} bytes", page.len());
    assert!(page.contains("*A part is left out here, for it is too long for this page:* `clickferry plan move.yaml"));
    assert!(page.contains("### Steps") && page.contains("Consent is given to this digest"));

    // Even what stands first may be too long.
    plan.summary = "word ".repeat(14_000);
    let page = markdown(&plan);
    assert!(page.len() <= PAGE_LIMIT, "{} bytes", page.len());
    assert!(page.contains("Consent is given to this digest"), "{}", &page[page.len() - 900..]);

    // A step for each of hundreds of things, and a parameter as long as a page.
    let mut plan = large_plan(2, 2);
    let step = plan.steps.last().unwrap().clone();
    plan.steps.extend((0..900).map(|at| {
        let mut step = step.clone();
        step.id = format!("step-{at}").as_str().into();
        step
    }));
    plan.parameters.insert("list".to_owned(), "x".repeat(70_000).into());
    let page = markdown(&plan);
    assert!(page.len() <= PAGE_LIMIT, "{} bytes", page.len());
    assert_eq!(page.matches("<details>").count(), page.matches("</details>").count(), "{page}");
    assert!(page.contains("Consent is given to this digest"));
}
