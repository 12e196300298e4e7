//! A report as markdown, for a ticket.

use std::fmt::Write;

use super::RunReport;
use super::steps::OperationLine;
use crate::engine::journal::JournalError;
use crate::report::plan_markdown::span::{cell, fence, prose, prose_with_code};
use crate::report::text::{count, number};

/// So many operations are listed one by one; of more, those that did not simply succeed.
pub(super) const MOST_OPERATIONS: usize = 2_000;

/// The report as markdown.
#[must_use]
pub fn render_markdown(report: &RunReport) -> String {
    let mut out =
        format!("# {}\n\n**{}** {}\n\n", prose(&report.title()), report.state, prose_with_code(&report.verdict));
    table(&mut out, &["", ""], report.about.iter().map(|(name, value)| vec![prose(name), prose_with_code(value)]));
    let _ = write!(out, "\n**Destroyed:** {}\n\n## Servers\n\n", prose(&report.destroyed));
    let hosts = report.hosts.iter().map(|host| host.iter().map(|text| cell(text)).collect());
    table(&mut out, &["role", "server", "address", "ClickHouse"], hosts);
    out.push_str("\n## Steps\n\n");
    let steps = report.steps.iter().map(|step| {
        let time = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![cell(&step.step.0), cell(&step.action), prose_with_code(&step.result), time(&step.began), time(&step.took)]
    });
    table(&mut out, &["step", "action", "result", "began", "took"], steps);
    checks(report, &mut out);
    out.push_str("\n## What happened\n\n");
    let events =
        report.timeline.iter().map(|event| vec![event.at.clone(), event.after.clone(), prose_with_code(&event.what)]);
    table(&mut out, &["when", "after", "what"], events);
    for event in &report.timeline {
        if let Some(error) = &event.evidence {
            let _ = write!(out, "\n### {}: {}\n\n", event.at, prose_with_code(&event.what));
            out.push_str(&fence("text", &evidence(error)));
        }
    }
    operations(report, &mut out);
    out
}

fn checks(report: &RunReport, out: &mut String) {
    let Some(matrix) = &report.checks else { return };
    let _ = write!(out, "\n## Checks\n\n{}\n\n", prose(&matrix.told()));
    let mut heads = vec!["table"];
    if matrix.has_expected() {
        heads.push("expected rows");
    }
    heads.extend(matrix.hosts.iter().map(String::as_str));
    let rows = matrix.rows.iter().map(|row| {
        let mut line = vec![cell(&row.table)];
        if matrix.has_expected() {
            line.push(row.expected_rows.map_or_else(|| "-".to_owned(), number));
        }
        let words = |found: &Option<_>| {
            found
                .as_ref()
                .map_or_else(|| "not asked".to_owned(), |cell: &crate::report::matrix::Cell| prose(&cell.words()))
        };
        line.extend(row.cells.iter().map(words));
        line
    });
    table(out, &heads, rows);
}

fn operations(report: &RunReport, out: &mut String) {
    let (shown, left) = listed(&report.operations);
    let _ = write!(out, "\n<details>\n<summary>{}</summary>\n\n", count(report.operations.len() as u64, "operation"));
    let rows = shown.into_iter().map(|line| {
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            cell(&line.operation.0),
            cell(&line.host),
            cell(&line.what),
            line.result.to_owned(),
            line.attempts.to_string(),
            or(&line.began),
            or(&line.took),
            cell(line.query_id.as_deref().unwrap_or_default()),
        ]
    });
    table(out, &["operation", "server", "what", "result", "attempts", "began", "took", "query id"], rows);
    if left > 0 {
        let _ = write!(
            out,
            "\n{} more: done at the first attempt. `clickferry status {} --format json` has all.\n",
            number(left as u64),
            report.run
        );
    }
    out.push_str("\n</details>\n");
}

/// The operations to list, and how many are left out.
pub(super) fn listed(all: &[OperationLine]) -> (Vec<&OperationLine>, usize) {
    if all.len() <= MOST_OPERATIONS {
        return (all.iter().collect(), 0);
    }
    let shown: Vec<&OperationLine> = all.iter().filter(|line| line.result != "done" || line.attempts > 1).collect();
    let left = all.len() - shown.len();
    (shown, left)
}

/// The lines of a refusal.
pub(super) fn evidence(error: &JournalError) -> String {
    let mut out = format!("{}\n", error.what);
    let parts = [
        ("expected", &error.expected),
        ("found", &error.found),
        ("see it", &error.evidence),
        ("do this", &error.action),
    ];
    for (label, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(out, "  {label:<9} {}", text.replace('\n', "\n            "));
    }
    out
}

fn table(out: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let heads: Vec<String> = heads.iter().map(|head| prose(head)).collect();
    let _ = writeln!(out, "| {} |", heads.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(heads.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | ").replace('\n', " "));
    }
}
