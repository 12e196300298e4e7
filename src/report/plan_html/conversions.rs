//! What becomes of each object of a source.

use super::element::{escape, with_code};
use crate::plan::plan_file::Plan;
use crate::report::outline::conversion_groups;

/// A table with one row for all objects to which the same happens; no name is left out, and thousands are folded.
pub fn conversions(plan: &Plan, out: &mut String) {
    let groups = conversion_groups(plan);
    if groups.is_empty() {
        return;
    }
    out.push_str("<section class=\"card\" id=\"converted\">\n<h2>What becomes of each object of the source</h2>\n<div class=\"wide\"><table class=\"stack\">\n<tr><th>what happens</th><th>objects</th><th>why, and where in Keeper</th><th>step</th></tr>\n");
    for group in groups {
        let words: Vec<String> = group.told().map(|words| format!("<p>{}</p>", with_code(&words))).collect();
        let (some, all) = (escape(&group.names(true)), escape(&group.names(false)));
        let names = if some == all { all } else { format!("<details><summary>{some}</summary>{all}</details>") };
        out.push_str(&format!(
            "<tr><td>{}</td><td data-l=\"objects\"><span class=\"names\">{}</span></td><td data-l=\"why\">{}</td><td data-l=\"step\"><a href=\"#{step}\">{step}</a></td></tr>\n",
            escape(&group.title()),
            names,
            words.concat(),
            step = escape(group.first.step.as_str()),
        ));
    }
    out.push_str("</table></div>\n</section>\n");
}
