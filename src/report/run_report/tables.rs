//! What a report consists of, before it is drawn: the same tables in every form.

use super::RunReport;
use super::steps::OperationLine;
use crate::engine::journal::JournalError;
use crate::report::matrix::Cell as Found;
use crate::report::text::{count, number};

/// So many operations are listed one by one; of more, those that did not simply succeed.
const MOST_OPERATIONS: usize = 2_000;

/// A table of a report.
pub struct Table {
    /// Its title.
    pub title: &'static str,
    /// A sentence before it.
    pub lead: Option<String>,
    /// Heads of its columns; none where the first column names the second.
    pub heads: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Whether it is long and folded, under its lead.
    pub is_folded: bool,
    /// What is said behind it.
    pub rest: Option<String>,
}

/// A row, and what was expected and found, where it tells of something that failed.
pub struct Row {
    /// One for each column.
    pub cells: Vec<Cell>,
    /// The lines of a refusal.
    pub evidence: Option<String>,
}

/// What stands in a cell.
pub enum Cell {
    /// A name, an address, an id.
    Name(String),
    /// Our own words; what stands between ticks in them is a name.
    Words(String),
    /// A time or a number.
    Plain(String),
    /// What was found of a table on a server; `None` where it was not asked.
    Found(Option<Found>),
}

impl Cell {
    fn plain(text: Option<&String>) -> Self {
        Self::Plain(text.cloned().unwrap_or_else(|| "-".to_owned()))
    }
}

/// The tables in their order.
pub fn tables(report: &RunReport) -> Vec<Table> {
    let name = |text: &str| Cell::Name(text.to_owned());
    let about =
        report.about.iter().map(|(what, value)| vec![Cell::Words((*what).to_owned()), Cell::Words(value.clone())]);
    let servers = report.hosts.iter().map(|host| {
        vec![name(&host.target), name(host.name.as_str()), name(&host.url), name(&host.version), name(&host.identity)]
    });
    let steps = report.steps.iter().map(|step| {
        vec![
            name(step.step.as_str()),
            name(&step.action),
            Cell::Words(step.result.clone()),
            Cell::plain(step.began.as_ref()),
            Cell::plain(step.took.as_ref()),
        ]
    });
    let events = report.timeline.iter().map(|event| Row {
        cells: vec![Cell::Plain(event.at.clone()), Cell::Plain(event.after.clone()), Cell::Words(event.what.clone())],
        evidence: event.evidence.as_ref().map(evidence),
    });
    let mut tables = vec![
        table("About", &[], about),
        table("Servers", &["role", "server", "address", "ClickHouse", "identity"], servers),
        table("Steps", &["step", "action", "result", "began", "took"], steps),
    ];
    tables.extend(checks(report));
    tables.push(Table {
        rows: events.collect(),
        ..table("What happened", &["when", "after", "what"], std::iter::empty())
    });
    tables.push(operations(report));
    tables
}

fn table(title: &'static str, heads: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> Table {
    Table {
        title,
        lead: None,
        heads: heads.iter().map(|head| (*head).to_owned()).collect(),
        rows: rows.map(|cells| Row { cells, evidence: None }).collect(),
        is_folded: false,
        rest: None,
    }
}

fn checks(report: &RunReport) -> Option<Table> {
    let matrix = report.checks.as_ref()?;
    let has_expected = matrix.has_expected();
    let mut heads = vec!["table"];
    heads.extend(has_expected.then_some("expected rows"));
    heads.extend(matrix.hosts.iter().map(String::as_str));
    let rows = matrix.rows.iter().map(|row| {
        let expected = has_expected.then(|| Cell::plain(row.expected_rows.map(number).as_ref()));
        let found = row.cells.iter().cloned().map(Cell::Found);
        [Cell::Name(row.table.clone())].into_iter().chain(expected).chain(found).collect()
    });
    Some(Table { lead: Some(matrix.told()), ..table("Checks", &heads, rows) })
}

fn operations(report: &RunReport) -> Table {
    let (shown, left) = listed(&report.operations);
    let rows = shown.into_iter().map(|line| {
        vec![
            Cell::Name(line.operation.to_string()),
            Cell::Name(line.host.clone()),
            Cell::Name(line.what.clone()),
            Cell::Words(line.result.to_owned()),
            Cell::Plain(line.attempts.to_string()),
            Cell::plain(line.began.as_ref()),
            Cell::plain(line.took.as_ref()),
            Cell::Name(line.query_id.clone().unwrap_or_default()),
        ]
    });
    let heads = ["operation", "server", "what", "result", "attempts", "began", "took", "query id"];
    let rest = format!(
        "{} more: done at the first attempt. `clickferry report {} --format json` has all.",
        number(left as u64),
        report.run
    );
    Table {
        lead: Some(count(report.operations.len() as u64, "operation")),
        is_folded: true,
        rest: (left > 0).then_some(rest),
        ..table("Operations", &heads, rows)
    }
}

/// The operations to list, and how many are left out.
fn listed(all: &[OperationLine]) -> (Vec<&OperationLine>, usize) {
    if all.len() <= MOST_OPERATIONS {
        return (all.iter().collect(), 0);
    }
    let shown: Vec<&OperationLine> = all.iter().filter(|line| line.result != "done" || line.attempts > 1).collect();
    let left = all.len() - shown.len();
    (shown, left)
}

/// The lines of a refusal.
fn evidence(error: &JournalError) -> String {
    let parts = [
        ("expected", &error.expected),
        ("found", &error.found),
        ("see it", &error.evidence),
        ("do this", &error.action),
    ];
    let told = parts.into_iter().filter(|(_, text)| !text.is_empty());
    let lines = told.map(|(label, text)| format!("\n  {label:<9} {}", text.replace('\n', "\n            ")));
    std::iter::once(error.what.clone()).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_thousands_of_operations_those_are_listed_that_did_not_simply_succeed() {
        let mut all: Vec<OperationLine> = (0..MOST_OPERATIONS).map(OperationLine::done).collect();
        all[7].result = "outcome unknown";
        all[9].attempts = 2;
        assert_eq!((listed(&all).0.len(), listed(&all).1), (MOST_OPERATIONS, 0));
        all.push(OperationLine::done(MOST_OPERATIONS));
        let (shown, left) = listed(&all);
        let shown: Vec<&str> = shown.iter().map(|line| line.operation.as_str()).collect();
        assert_eq!((shown, left), (vec!["s/7", "s/9"], MOST_OPERATIONS - 1));
    }
}
