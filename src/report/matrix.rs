//! The matrix of verdicts at the end: tables by servers.

use std::collections::BTreeMap;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::text::{Style, number};
use crate::model::words::count_of;

/// The verdicts of all checks of rows.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Matrix {
    /// Servers, in the order of their checks.
    pub hosts: Vec<String>,
    /// Tables, by name.
    pub rows: Vec<MatrixRow>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct MatrixRow {
    /// `database.table`.
    pub table: String,
    /// Database alone.
    #[serde(skip)]
    pub database: String,
    /// Rows that there must be, where they are known.
    pub expected_rows: Option<u64>,
    /// A cell for each server; `None` where it was not asked.
    pub cells: Vec<Option<Cell>>,
}

/// A table on a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Cell {
    /// `pass`, `fail`, or why it cannot be told.
    pub verdict: String,
    /// Rows that were found.
    pub rows: Option<u64>,
    /// Why it does not pass, or what was compared instead of rows.
    pub reason: Option<String>,
}

impl Cell {
    /// With a mark in front.
    #[must_use]
    pub fn words(&self) -> String {
        let rows = self.rows.map(number);
        let reason = self.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        match self.verdict.as_str() {
            "pass" => format!("✓ {}", rows.unwrap_or_else(|| reason.trim().trim_matches(['(', ')']).to_owned())),
            "fail" => format!("✗ {}{reason}", rows.unwrap_or_default()),
            _ => format!("? {}{reason}", rows.unwrap_or_default()),
        }
    }
}

impl Matrix {
    /// How many verdicts of each kind there are.
    #[must_use]
    pub fn told(&self) -> String {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for cell in self.rows.iter().flat_map(|row| &row.cells).flatten() {
            *counts.entry(&cell.verdict).or_default() += 1;
        }
        let all = counts.values().sum();
        let mut told = vec![format!("{} of {} pass", number(counts.remove("pass").unwrap_or(0)), number(all))];
        told.extend(counts.iter().map(|(verdict, value)| format!("{} {verdict}", number(*value))));
        let (tables, servers) = (count_of(self.rows.len(), "table"), count_of(self.hosts.len(), "server"));
        format!("{tables} on {servers}: {}", told.join(", "))
    }

    /// Whether it is known of any table how many rows there must be.
    #[must_use]
    pub fn has_expected(&self) -> bool {
        self.rows.iter().any(|row| row.expected_rows.is_some())
    }

    /// The database of all tables, where it is one.
    #[must_use]
    pub fn one_database(&self) -> Option<&str> {
        let first = self.rows.first()?.database.as_str();
        self.rows.iter().all(|row| row.database == first).then_some(first)
    }
}

/// The matrix of the outcomes of `verify` operations; `None` when there are none.
///
/// An outcome holds `host` and `tables: [{database, table, verdict, rows, expected_rows, reason}]`.
#[must_use]
pub fn matrix(outcomes: &[&Value]) -> Option<Matrix> {
    let mut hosts: Vec<String> = Vec::new();
    let mut rows: BTreeMap<String, MatrixRow> = BTreeMap::new();
    for outcome in outcomes {
        let Some(tables) = outcome.get("tables").and_then(Value::as_array) else { continue };
        let host = outcome.get("host").and_then(Value::as_str).unwrap_or("-").to_owned();
        let at = hosts.iter().position(|known| *known == host).unwrap_or_else(|| {
            hosts.push(host);
            hosts.len() - 1
        });
        for table in tables {
            let text = |key: &str| table.get(key).and_then(Value::as_str);
            let count = |key: &str| table.get(key).and_then(Value::as_u64);
            let database = text("database").unwrap_or_default();
            let name = format!("{database}.{}", text("table").unwrap_or_default());
            let row = rows.entry(name.clone()).or_insert_with(|| MatrixRow {
                table: name,
                database: database.to_owned(),
                expected_rows: None,
                cells: Vec::new(),
            });
            row.expected_rows = row.expected_rows.or(count("expected_rows"));
            row.cells.resize(row.cells.len().max(at + 1), None);
            row.cells[at] = Some(Cell {
                verdict: text("verdict").unwrap_or("cannot tell").to_owned(),
                rows: count("rows"),
                reason: text("reason").map(str::to_owned),
            });
        }
    }
    let mut rows: Vec<MatrixRow> = rows.into_values().collect();
    rows.iter_mut().for_each(|row| row.cells.resize(hosts.len(), None));
    (!hosts.is_empty()).then_some(Matrix { hosts, rows })
}

/// Draws the matrix from the outcomes of `verify` operations; `None` when there are none.
#[must_use]
pub fn render_matrix(outcomes: &[&Value], width: usize, style: Style) -> Option<String> {
    let matrix = matrix(outcomes)?;
    let database = matrix.one_database();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(120));
    let mut header = vec![database.map_or_else(|| "table".to_owned(), |name| format!("table of {name}"))];
    if matrix.has_expected() {
        header.push("expected rows".to_owned());
    }
    header.extend(matrix.hosts.iter().cloned());
    table.set_header(header.iter().map(|cell| style.heading(cell)));
    for row in &matrix.rows {
        let own = database.and_then(|database| row.table.strip_prefix(database)?.strip_prefix('.'));
        let mut line = vec![own.unwrap_or(&row.table).to_owned()];
        if matrix.has_expected() {
            line.push(row.expected_rows.map_or_else(|| "-".to_owned(), number));
        }
        line.extend(row.cells.iter().map(|cell| match cell {
            None => style.notice("not asked"),
            Some(cell) => match cell.verdict.as_str() {
                "pass" => style.good(&cell.words()),
                "fail" => style.bad(&cell.words()),
                _ => style.notice(&cell.words()),
            },
        }));
        table.add_row(line);
    }
    // A name that is broken in two is searched for in vain; the reasons beside it may be broken.
    if let Some(column) = table.column_mut(0) {
        let longest = matrix.rows.iter().map(|row| row.table.chars().count()).max().unwrap_or(0);
        if longest * 2 <= width {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut out: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    out.push_str(&format!("\n{}\n", matrix.told()));
    Some(out)
}
