//! A report as one file for a browser: nothing is loaded from elsewhere, and there is no script.

use std::fmt::Write;

use super::RunReport;
use super::tables::{Cell, Row, Table, tables};
use crate::report::plan_html::element::{code, escape, with_code};
use crate::report::plan_html::page;

/// Length of a name that always has room on one line.
const SHORT: usize = 28;

/// The report as HTML.
#[must_use]
pub fn render_html(report: &RunReport) -> String {
    let sign = match report.state {
        "done" => " safe",
        "open" => "",
        _ => " danger",
    };
    let mut out = format!(
        "<header>\n<h1>{}</h1>\n<div class=\"card{sign}\"><p class=\"big\">{}</p>\n<p>{}</p>\n<p><b>Destroyed:</b> {}</p></div>\n</header>\n",
        escape(&report.title()),
        report.state,
        with_code(&report.verdict),
        escape(&report.destroyed)
    );
    for table in tables(report) {
        let _ = write!(out, "<section>\n<h2>{}</h2>\n", table.title);
        if let Some(lead) = &table.lead {
            let (open, close) = if table.is_folded { ("<details><summary>", "</summary>") } else { ("<p>", "</p>") };
            let _ = writeln!(out, "{open}{}{close}", escape(lead));
        }
        draw(&table, &mut out);
        if let Some(rest) = &table.rest {
            let _ = writeln!(out, "<p>{}</p>", with_code(rest));
        }
        out.push_str(if table.is_folded { "</details>\n</section>\n" } else { "</section>\n" });
    }
    page(&report.title(), &out, "")
}

fn draw(table: &Table, out: &mut String) {
    out.push_str("<div class=\"wide\"><table>\n");
    if !table.heads.is_empty() {
        let heads: String = table.heads.iter().map(|head| format!("<th>{}</th>", escape(head))).collect();
        let _ = writeln!(out, "<tr>{heads}</tr>");
    }
    for Row { cells, evidence } in &table.rows {
        let mut cells: Vec<String> = cells.iter().map(draw_cell).collect();
        if let (Some(lines), Some(last)) = (evidence, cells.last_mut()) {
            let _ = write!(last, "<pre>{}</pre>", escape(lines));
        }
        let _ = writeln!(out, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    out.push_str("</table></div>\n");
}

fn draw_cell(cell: &Cell) -> String {
    match cell {
        Cell::Name(text) if text.is_empty() => String::new(),
        // A short name that is broken in two is searched for in vain.
        Cell::Name(text) if text.len() <= SHORT => format!("<span class=\"when\">{}</span>", code(text)),
        Cell::Name(text) => code(text),
        Cell::Words(text) => with_code(text),
        Cell::Plain(text) => format!("<span class=\"when\">{}</span>", escape(text)),
        Cell::Found(None) => "<span class=\"dim\">not asked</span>".to_owned(),
        Cell::Found(Some(found)) => {
            format!("<span class=\"{}\">{}</span>", escape(&found.verdict), escape(&found.words()))
        }
    }
}
