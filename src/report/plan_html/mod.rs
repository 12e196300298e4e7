//! A plan as one file for a browser: nothing is loaded from elsewhere, and everything can be read without scripts.

mod conversions;
pub(super) mod element;
mod overview;
mod steps;

use super::outline::{A_DOZEN, Outline};
use super::text::{count, number};
use crate::plan::fact::Fact;
use crate::plan::plan_file::Plan;
use element::{code, escape};

const STYLE: &str = include_str!("plan.css");
/// So many facts are shown one by one.
const MOST_FACTS: usize = 2_000;

const SCRIPT: &str = include_str!("plan.js");

/// The plan as HTML.
#[must_use]
pub fn render_html(plan: &Plan) -> String {
    let outline = Outline::of(plan);
    let title = format!("Plan of {} on {}", plan.runbook, plan.environment);
    let mut out = String::new();
    overview::head(&outline, &mut out);
    conversions::conversions(plan, &mut out);
    out.push_str("<section id=\"steps\">\n<h2>Steps</h2>\n<p class=\"dim\">In this order. An operation counts as done only when its check holds.</p>\n");
    for step in &outline.steps {
        steps::step(step, &mut out);
    }
    out.push_str("</section>\n");
    notes(plan, &mut out);
    legend(&outline, &mut out);
    facts(&outline, &mut out);
    foot(plan, &mut out);
    page(&title, &out, &format!("<script>\n{SCRIPT}</script>\n"))
}

/// A whole file around the elements of `body`. It may not load or send anything, whatever name stands in it.
pub(super) fn page(title: &str, body: &str, script: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n{script}</body>\n</html>\n",
        escape(title)
    )
}

fn notes(plan: &Plan, out: &mut String) {
    if plan.notes.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Worth knowing</h2>\n<ul>\n");
    for note in &plan.notes {
        out.push_str(&format!("<li>{}</li>\n", escape(note)));
    }
    out.push_str("</ul>\n</section>\n");
}

fn legend(outline: &Outline<'_>, out: &mut String) {
    out.push_str("<section id=\"legend\">\n<h2>What stands for what</h2>\n<dl>\n");
    for late in &outline.late {
        out.push_str(&format!("<dt>{}</dt><dd>{}</dd>\n", code(&late.token), escape(&late.meaning)));
    }
    out.push_str("<dt><code>&lt;name&gt;</code></dt><dd>the name of each object</dd>\n<dt><code>&lt;host&gt;</code></dt><dd>the name of each host</dd>\n");
    out.push_str("</dl>\n</section>\n");
}

fn facts(outline: &Outline<'_>, out: &mut String) {
    let facts = &outline.plan.facts;
    out.push_str(&format!(
        "<section>\n<h2>What it rests on</h2>\n<p>{} must still hold at apply; otherwise apply refuses and names each that moved: {}.</p>\n",
        count(facts.len() as u64, "fact"),
        escape(&outline.facts())
    ));
    let all: Vec<&Fact> = facts.iter().collect();
    let kinds = &outline.fact_kinds;
    let shown: Vec<(&[&Fact], usize)> = if facts.len() <= MOST_FACTS {
        out.push_str("<details><summary>All facts</summary>\n");
        vec![(all.as_slice(), 0)]
    } else {
        // A table of a hundred thousand rows is read by nobody, and holds up the browser.
        out.push_str("<details><summary>Facts, some of each kind</summary>\n<p>Each of them stands in the saved plan: <code>clickferry plan ... -o plan.json</code></p>\n");
        let most = |facts: &[&Fact]| if facts.len() <= A_DOZEN + 1 { facts.len() } else { A_DOZEN };
        kinds.iter().map(|(_, facts)| (&facts[..most(facts)], facts.len() - most(facts))).collect()
    };
    out.push_str("<div class=\"wide\"><table>\n<tr><th>host</th><th>fact</th><th>value</th><th>shown by</th></tr>\n");
    for (some, more) in shown {
        for fact in some {
            out.push_str(&format!(
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(fact.host.as_str()),
                escape(&fact.subject),
                escape(&fact.value),
                code(&fact.query)
            ));
        }
        if more > 0 {
            out.push_str(&format!(
                "<tr><td colspan=\"4\" class=\"dim\">and {} more of this kind</td></tr>\n",
                number(more as u64)
            ));
        }
    }
    out.push_str("</table></div>\n</details>\n</section>\n");
}

fn foot(plan: &Plan, out: &mut String) {
    out.push_str(&format!(
        "<footer>\n<p>Digest {}. Consent is given to this digest: <code>clickferry apply ... --consent {}</code></p>\n<p class=\"dim\">Runbook {} with SHA-256 {}. Made by clickferry {}, plan format {}.</p>\n</footer>\n",
        code(&plan.digest),
        escape(plan.digest.get(..12).unwrap_or_default()),
        code(&plan.runbook_file),
        code(&plan.runbook_digest),
        escape(&plan.tool_version),
        plan.format_version
    ));
}
