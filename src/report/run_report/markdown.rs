//! A report as markdown, for a ticket.

use std::fmt::Write;

use super::RunReport;
use super::tables::{Cell, Row, Table, tables};
use crate::report::plan_markdown::span::{cell, fence, prose, prose_with_code};

/// The report as markdown.
#[must_use]
pub fn render_markdown(report: &RunReport) -> String {
    let mut out = format!(
        "# {}\n\n**{}** {}\n\n**Destroyed:** {}\n",
        prose(&report.title()),
        report.state,
        prose_with_code(&report.verdict),
        prose(&report.destroyed)
    );
    for table in tables(report) {
        let _ = write!(out, "\n## {}\n\n", table.title);
        match (&table.lead, table.is_folded) {
            (Some(lead), true) => {
                let _ = write!(out, "<details>\n<summary>{}</summary>\n\n", prose(lead));
            }
            (Some(lead), false) => {
                let _ = write!(out, "{}\n\n", prose(lead));
            }
            (None, _) => {}
        }
        draw(&table, &mut out);
        if let Some(rest) = &table.rest {
            let _ = write!(out, "\n{}\n", prose_with_code(rest));
        }
        if table.is_folded {
            out.push_str("\n</details>\n");
        }
        evidence(&table, &mut out);
    }
    out
}

fn draw(table: &Table, out: &mut String) {
    let columns = table.rows.first().map_or(table.heads.len(), |row| row.cells.len());
    let mut heads: Vec<String> = table.heads.iter().map(|head| prose(head)).collect();
    // Markdown knows no table without heads.
    heads.resize(columns, String::new());
    let _ = writeln!(out, "| {} |\n|{}", heads.join(" | "), "---|".repeat(columns));
    for row in &table.rows {
        let cells: Vec<String> = row.cells.iter().map(draw_cell).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | ").replace('\n', " "));
    }
}

fn draw_cell(content: &Cell) -> String {
    match content {
        Cell::Name(text) => cell(text),
        Cell::Words(text) => prose_with_code(text),
        Cell::Plain(text) => prose(text),
        Cell::Found(None) => "not asked".to_owned(),
        Cell::Found(Some(found)) => prose(&found.words()),
    }
}

/// Lines do not fit into a table, so they stand behind it, under the words of their row.
fn evidence(table: &Table, out: &mut String) {
    for Row { cells, evidence } in &table.rows {
        if let (Some(lines), Some(when), Some(what)) = (evidence, cells.first(), cells.last()) {
            let _ = write!(out, "\n### {}: {}\n\n{}", draw_cell(when), draw_cell(what), fence("text", lines));
        }
    }
}
