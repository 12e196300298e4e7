//! The matrix of verdicts at the end: tables by servers.

use std::collections::BTreeMap;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::text::{Style, number};
use crate::model::words::count_of;

/// Draws the matrix from the outcomes of `verify` operations; `None` when there are none.
///
/// An outcome holds `host` and `tables: [{database, table, verdict, rows, expected_rows, reason}]`.
#[must_use]
pub fn render_matrix(outcomes: &[&Value], width: usize, style: Style) -> Option<String> {
    let mut hosts: Vec<String> = Vec::new();
    let mut rows: BTreeMap<String, BTreeMap<String, &Value>> = BTreeMap::new();
    for outcome in outcomes {
        let Some(tables) = outcome.get("tables").and_then(Value::as_array) else { continue };
        let host = outcome.get("host").and_then(Value::as_str).unwrap_or("-").to_owned();
        if !hosts.contains(&host) {
            hosts.push(host.clone());
        }
        for table in tables {
            let text = |key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default();
            rows.entry(format!("{}.{}", text("database"), text("table"))).or_default().insert(host.clone(), table);
        }
    }
    if hosts.is_empty() {
        return None;
    }
    let has_expected = rows
        .values()
        .flat_map(BTreeMap::values)
        .any(|cell| cell.get("expected_rows").is_some_and(|value| !value.is_null()));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(120));
    let mut header = vec!["table".to_owned()];
    if has_expected {
        header.push("expected rows".to_owned());
    }
    header.extend(hosts.iter().cloned());
    table.set_header(header.iter().map(|cell| style.heading(cell)));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, cells) in &rows {
        let mut line = vec![name.clone()];
        if has_expected {
            line.push(
                cells
                    .values()
                    .find_map(|cell| cell.get("expected_rows").and_then(Value::as_u64))
                    .map_or_else(|| "-".to_owned(), number),
            );
        }
        for host in &hosts {
            line.push(cells.get(host).map_or_else(
                || style.notice("not asked"),
                |cell| {
                    *counts.entry(verdict(cell)).or_default() += 1;
                    draw(cell, style)
                },
            ));
        }
        table.add_row(line);
    }
    let mut out: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let told: Vec<String> = counts.iter().map(|(verdict, number)| format!("{number} {verdict}")).collect();
    out.push_str(&format!(
        "\n{} on {}: {}\n",
        count_of(rows.len(), "table"),
        count_of(hosts.len(), "server"),
        told.join(", ")
    ));
    Some(out)
}

fn verdict(cell: &Value) -> &str {
    cell.get("verdict").and_then(Value::as_str).unwrap_or("cannot tell")
}

fn draw(cell: &Value, style: Style) -> String {
    let rows = cell.get("rows").and_then(Value::as_u64).map(number);
    let reason = cell.get("reason").and_then(Value::as_str).map(|reason| format!(" ({reason})")).unwrap_or_default();
    match verdict(cell) {
        "pass" => {
            style.good(&format!("✓ {}", rows.unwrap_or_else(|| reason.trim().trim_matches(['(', ')']).to_owned())))
        }
        "fail" => style.bad(&format!("✗ {}{reason}", rows.unwrap_or_default())),
        _ => style.notice(&format!("? {}{reason}", rows.unwrap_or_default())),
    }
}
