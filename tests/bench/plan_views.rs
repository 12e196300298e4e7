//! Time and size of the views of a large plan: `cargo run --release --example plan_views [-- TABLES HOSTS]`.
//! With the path of a saved plan and a folder, writes all views of that plan instead.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use clickferry::plan::plan_file::Plan;
use clickferry::report::plan_html::render_html;
use clickferry::report::plan_json::render_json;
use clickferry::report::plan_markdown::PlanMarkdown;
use clickferry::report::plan_view::PlanView;
use clickferry::report::text::Style;

#[path = "../it/support/large_plan.rs"]
mod large_plan;

fn views(plan: &Plan) -> Vec<(&'static str, f64, String)> {
    let text = |width, colour, summary| PlanView { width, style: Style { colour }, summary }.render(plan);
    let timed = |name, render: &dyn Fn() -> String| {
        let begun = Instant::now();
        let out = render();
        (name, begun.elapsed().as_secs_f64(), out)
    };
    vec![
        timed("summary-80.txt", &|| text(80, false, true)),
        timed("summary-120.ansi", &|| text(120, true, true)),
        timed("full-80.ansi", &|| text(80, true, false)),
        timed("full-120.txt", &|| text(120, false, false)),
        timed("plan.md", &|| PlanMarkdown::new("clickferry plan RUNBOOK -e ENV").render(plan)),
        timed("plan.html", &|| render_html(plan)),
        timed("plan.json", &|| render_json(plan)),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [path, folder] = arguments.as_slice()
        && path.ends_with(".json")
    {
        let plan: Plan = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for (name, seconds, out) in views(&plan) {
            std::fs::write(format!("{folder}/{name}"), &out).unwrap();
            println!("{name:<18} {:>8.1} ms {:>12} bytes", seconds * 1000.0, out.len());
        }
        return;
    }
    let number = |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().unwrap());
    let (tables, hosts) = (number(0, 5000), number(1, 6));
    let plan = large_plan::large_plan(tables, hosts);
    println!("{tables} tables on {hosts} hosts: {} operations", plan.operations.len());
    for (name, seconds, out) in views(&plan) {
        println!("{name:<18} {:>8.1} ms {:>12} bytes", seconds * 1000.0, out.len());
    }
}
