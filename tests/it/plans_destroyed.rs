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
}
