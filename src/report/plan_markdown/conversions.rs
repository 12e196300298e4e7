//! What becomes of each object of a source.

use super::Detail;
use super::span::{cell, code, line};
use crate::plan::plan_file::Plan;
use crate::report::outline::conversion_groups;

/// A table with one row for all objects to which the same happens.
pub fn conversions(plan: &Plan, detail: Detail, command: &str) -> String {
    let groups = conversion_groups(plan);
    let mut out = String::new();
    if groups.is_empty() {
        return out;
    }
    let is_short = detail == Detail::Brief;
    line(&mut out, "\n### What becomes of each object of the source\n");
    line(&mut out, "| what happens | objects | why, and where in Keeper | step |\n|---|---|---|---|");
    for group in groups {
        let words: Vec<String> = group.told().map(|words| cell(&words)).collect();
        let cells =
            [cell(&group.title()), cell(&group.names(is_short)), words.join("<br>"), cell(group.first.step.as_str())];
        line(&mut out, &format!("| {} |", cells.join(" | ")));
    }
    if is_short {
        line(&mut out, &format!("\nLong lists of names are shortened here: {}", code(command)));
    }
    out
}
