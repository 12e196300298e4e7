//! The outcome of one host: what the journal keeps and the matrix at the end is drawn from.

use serde::{Deserialize, Serialize};

use super::rules::{ContentSum, Judged, Verdict};
use super::table::Key;
use crate::model::words::count_of;

/// Lines that a failure shows.
const LINES: usize = 20;

/// The verdict on one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableVerdict {
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// Engine; empty for a missing table of unknown engine.
    pub engine: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Rows it should hold.
    pub expected_rows: Option<u64>,
    /// Rows it holds.
    pub rows: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The statement that shows it.
    pub query: String,
    /// Its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentSum>,
    /// The source's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_content: Option<ContentSum>,
}

impl TableVerdict {
    /// A verdict without numbers yet.
    #[must_use]
    pub fn new(key: &Key, engine: &str, query: String) -> Self {
        Self {
            database: key.0.clone(),
            table: key.1.clone(),
            engine: engine.to_owned(),
            verdict: Verdict::Pass,
            expected_rows: None,
            rows: None,
            reason: None,
            query,
            content: None,
            expected_content: None,
        }
    }

    /// Adds what another check says; the worse verdict stays.
    pub fn add(&mut self, judged: Judged) {
        let before = Judged { verdict: self.verdict, reason: self.reason.take().unwrap_or_default() };
        let after = before.and(judged);
        self.verdict = after.verdict;
        self.reason = Some(after.reason).filter(|reason| !reason.is_empty());
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.database.clone(), self.table.clone())
    }
}

/// Something about a table that is not healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Database.
    pub database: String,
    /// Table.
    pub table: String,
    /// What.
    pub problem: String,
}

impl Problem {
    /// A problem of a table.
    #[must_use]
    pub fn of(key: &Key, problem: impl Into<String>) -> Self {
        Self { database: key.0.clone(), table: key.1.clone(), problem: problem.into() }
    }
}

/// The outcome of one host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostOutcome {
    /// Host.
    pub host: String,
    /// Shard.
    pub shard: String,
    /// What was compared with.
    pub against: String,
    /// Tables that pass.
    pub passed: u64,
    /// Tables that fail; the run ends with exit code 2 where there are any.
    pub failed: u64,
    /// Tables of which it cannot be told.
    pub cannot_tell: u64,
    /// What fails, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What should be.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub expected: String,
    /// What is, line by line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub found: String,
    /// The statement that shows the first failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Every table.
    pub tables: Vec<TableVerdict>,
    /// Replicated tables that are not healthy.
    pub replication: Vec<Problem>,
    /// Detached parts that were not there at planning.
    pub detached: Vec<Problem>,
    /// Mutations that are not done.
    pub mutations: Vec<Problem>,
    /// Tables that are not expected.
    pub extra: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl HostOutcome {
    /// Counts the verdicts and writes the words of a failure.
    #[must_use]
    pub fn summed(mut self) -> Self {
        let count = |verdict: Verdict| self.tables.iter().filter(|table| table.verdict == verdict).count() as u64;
        (self.passed, self.failed, self.cannot_tell) =
            (count(Verdict::Pass), count(Verdict::Fail), count(Verdict::CannotTell));
        let failures: Vec<&TableVerdict> = self.tables.iter().filter(|table| table.verdict == Verdict::Fail).collect();
        let Some(first) = failures.first() else { return self };
        let mut lines: Vec<String> = failures
            .iter()
            .take(LINES)
            .map(|table| {
                format!("{}.{}: {}", table.database, table.table, table.reason.as_deref().unwrap_or("not as expected"))
            })
            .collect();
        if failures.len() > LINES {
            lines.push(format!("and {} more", count_of(failures.len() - LINES, "table")));
        }
        let words = if self.failed == 1 { "is not as it should be" } else { "are not as they should be" };
        self.reason = format!("{} of {} on {} {words}", self.failed, count_of(self.tables.len(), "table"), self.host);
        self.expected = if self.against.is_empty() {
            "every table as on the first replica, and healthy".to_owned()
        } else {
            format!("every table as in the {}, and healthy", self.against)
        };
        self.found = lines.join("\n");
        self.query = format!("on {}: {}", self.host, first.query);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_in_a_few_lines() {
        let table = |number: usize, verdict| {
            let mut one = TableVerdict::new(&("d".to_owned(), format!("t{number}")), "Log", "SELECT 1".to_owned());
            one.add(Judged::because(verdict, "expected 2 rows, found 1"));
            one
        };
        let tables = (0..30)
            .map(|at| table(at, Verdict::Fail))
            .chain([table(30, Verdict::Pass), table(31, Verdict::CannotTell)])
            .collect();
        let outcome = HostOutcome { host: "r1".to_owned(), tables, ..HostOutcome::default() }.summed();
        assert_eq!((outcome.passed, outcome.failed, outcome.cannot_tell), (1, 30, 1));
        assert_eq!(outcome.found.lines().count(), 21);
        assert!(outcome.found.starts_with("d.t0: expected 2 rows, found 1"));
        let json = serde_json::to_value(&outcome).expect("plain data");
        assert_eq!(json["tables"][31]["verdict"], "cannot tell");
    }
}
