//! The statement log of a node, which tests read to see what a program really asked.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::LabError;

/// One line of `statements.jsonl`; a statement has one at its start and one at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatementRecord {
    /// `start` on the first line of a statement, absent on the second.
    pub event: Option<String>,
    /// When, in UTC.
    pub time: String,
    /// Id of the query.
    pub query_id: String,
    /// Who asked.
    pub user: String,
    /// The statement, its secrets hidden.
    pub statement: String,
    /// `read` or `change`.
    pub kind: String,
    /// Current database, where the request named one.
    pub database: Option<String>,
    /// Settings that came beside the statement.
    pub settings: Vec<(String, String)>,
    /// ClickHouse's error code, 0 for success; on the second line.
    pub code: Option<i64>,
    /// How long it took; on the second line.
    pub elapsed_ms: Option<f64>,
}

impl StatementRecord {
    /// Whether this is the first line of a statement.
    pub fn is_start(&self) -> bool {
        self.event.as_deref() == Some("start")
    }
}

/// Reads the log; a node that has seen nothing has none.
pub fn read(path: &Path) -> Result<Vec<StatementRecord>, LabError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(LabError::io("read", path)(e)),
    };
    Ok(parse(&text))
}

/// A node killed in the middle of a write leaves half a line; it is no record.
fn parse(text: &str) -> Vec<StatementRecord> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_left_out_and_missing_fields_are_empty() {
        let records = parse("{\"statement\":\"SELECT 1\",\"code\":0,\"elapsed_ms\":1.5,\"new\":true}\n{\"statem");
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].statement.as_str(), records[0].code), ("SELECT 1", Some(0)));
    }
}
