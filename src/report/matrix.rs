//! The matrix of verdicts at the end: tables by servers.

use std::collections::BTreeMap;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
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
    let database = one_database(&rows);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(120));
    let mut header = vec![database.map_or_else(|| "table".to_owned(), |name| format!("table of {name}"))];
    if has_expected {
        header.push("expected rows".to_owned());
    }
    header.extend(hosts.iter().cloned());
    table.set_header(header.iter().map(|cell| style.heading(cell)));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, cells) in &rows {
        let own = database.and_then(|database| name.strip_prefix(database)?.strip_prefix('.'));
        let mut line = vec![own.unwrap_or(name).to_owned()];
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
    // A name that is broken in two is searched for in vain; the reasons beside it may be broken.
    if let Some(column) = table.column_mut(0) {
        let longest = rows.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        if longest * 2 <= width {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut out: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let all = counts.values().sum();
    let mut told = vec![format!("{} of {} pass", number(counts.remove("pass").unwrap_or(0)), number(all))];
    told.extend(counts.iter().map(|(verdict, value)| format!("{} {verdict}", number(*value))));
    let (tables, servers) = (count_of(rows.len(), "table"), count_of(hosts.len(), "server"));
    out.push_str(&format!("\n{tables} on {servers}: {}\n", told.join(", ")));
    Some(out)
}

/// The database of all tables, where it is one.
fn one_database<'v>(rows: &BTreeMap<String, BTreeMap<String, &'v Value>>) -> Option<&'v str> {
    let mut databases: Vec<&'v str> = rows
        .values()
        .flat_map(BTreeMap::values)
        .map(|cell| cell.get("database").and_then(Value::as_str).unwrap_or_default())
        .collect();
    databases.dedup();
    if let [one] = databases.as_slice() { Some(one) } else { None }
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
