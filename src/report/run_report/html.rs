//! A report as one file for a browser: nothing is loaded from elsewhere, and there is no script.

use std::fmt::Write;

use super::RunReport;
use super::markdown::{evidence, listed};
use crate::report::matrix::Cell;
use crate::report::plan_html::element::{code, escape, with_code};
use crate::report::plan_html::page;
use crate::report::text::{count, number};

/// The report as HTML.
#[must_use]
pub fn render_html(report: &RunReport) -> String {
    let mut out = format!(
        "<header>\n<h1>{}</h1>\n<div class=\"card{}\"><p class=\"big\">{}</p>\n<p>{}</p>\n<p><b>Destroyed:</b> {}</p></div>\n</header>\n",
        escape(&report.title()),
        match report.state {
            "done" => " safe",
            "open" => "",
            _ => " danger",
        },
        report.state,
        with_code(&report.verdict),
        escape(&report.destroyed)
    );
    let about = report.about.iter().map(|(name, value)| vec![escape(name), with_code(value)]);
    section(&mut out, "About", |out| table(out, &[], about));
    let hosts = report.hosts.iter().map(|host| host.iter().map(|text| escape(text)).collect());
    section(&mut out, "Servers", |out| table(out, &["role", "server", "address", "ClickHouse"], hosts));
    section(&mut out, "Steps", |out| {
        let rows = report.steps.iter().map(|step| {
            vec![
                escape(&step.step.0),
                escape(&step.action),
                with_code(&step.result),
                time(&step.began),
                time(&step.took),
            ]
        });
        table(out, &["step", "action", "result", "began", "took"], rows);
    });
    checks(report, &mut out);
    section(&mut out, "What happened", |out| {
        let rows = report.timeline.iter().map(|event| {
            let evidence = event.evidence.as_ref().map(|error| format!("<pre>{}</pre>", escape(&evidence(error))));
            let what = format!("{}{}", with_code(&event.what), evidence.unwrap_or_default());
            vec![nowrap(&event.at), nowrap(&event.after), what]
        });
        table(out, &["when", "after", "what"], rows);
    });
    operations(report, &mut out);
    page(&report.title(), &out, "")
}

fn section(out: &mut String, title: &str, body: impl FnOnce(&mut String)) {
    let _ = write!(out, "<section>\n<h2>{title}</h2>\n");
    body(out);
    out.push_str("</section>\n");
}

fn checks(report: &RunReport, out: &mut String) {
    let Some(matrix) = &report.checks else { return };
    let draw = |cell: &Option<Cell>| match cell {
        None => "<span class=\"dim\">not asked</span>".to_owned(),
        Some(cell) => format!("<span class=\"{}\">{}</span>", escape(&cell.verdict), escape(&cell.words())),
    };
    section(out, "Checks", |out| {
        let _ = writeln!(out, "<p>{}</p>", escape(&matrix.told()));
        let mut heads = vec!["table"];
        if matrix.has_expected() {
            heads.push("expected rows");
        }
        heads.extend(matrix.hosts.iter().map(String::as_str));
        let rows = matrix.rows.iter().map(|row| {
            let mut line = vec![escape(&row.table)];
            if matrix.has_expected() {
                line.push(row.expected_rows.map_or_else(|| "-".to_owned(), number));
            }
            line.extend(row.cells.iter().map(draw));
            line
        });
        table(out, &heads, rows);
    });
}

fn operations(report: &RunReport, out: &mut String) {
    let (shown, left) = listed(&report.operations);
    section(out, "Operations", |out| {
        let _ = writeln!(out, "<details><summary>{}</summary>", count(report.operations.len() as u64, "operation"));
        let rows = shown.into_iter().map(|line| {
            vec![
                code(&line.operation.0),
                escape(&line.host),
                escape(&line.what),
                line.result.to_owned(),
                line.attempts.to_string(),
                time(&line.began),
                time(&line.took),
                code(line.query_id.as_deref().unwrap_or_default()),
            ]
        });
        table(out, &["operation", "server", "what", "result", "attempts", "began", "took", "query id"], rows);
        if left > 0 {
            let all = code(&format!("clickferry status {} --format json", report.run));
            let _ = writeln!(out, "<p>{} more: done at the first attempt. {all} has all.</p>", number(left as u64));
        }
        out.push_str("</details>\n");
    });
}

fn time(text: &Option<String>) -> String {
    text.as_ref().map_or_else(|| "-".to_owned(), |text| nowrap(text))
}

fn nowrap(text: &str) -> String {
    format!("<span class=\"when\">{}</span>", escape(text))
}

/// Cells are HTML; heads are not.
fn table(out: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    out.push_str("<div class=\"wide\"><table>\n");
    if !heads.is_empty() {
        let heads: String = heads.iter().map(|head| format!("<th>{}</th>", escape(head))).collect();
        let _ = writeln!(out, "<tr>{heads}</tr>");
    }
    for row in rows {
        let cells: String = row.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = writeln!(out, "<tr>{cells}</tr>");
    }
    out.push_str("</table></div>\n");
}
