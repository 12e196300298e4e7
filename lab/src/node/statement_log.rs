//! The record of every statement a node ran: `statements.jsonl` in its folder.
//!
//! libchdb has no `system.query_log`. Each statement leaves two lines, one at its start (`"event":"start"`)
//! and one at its end, so that a killed node shows what was in flight.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::sql::{Statement, masked};

/// Longest statement text that is kept.
const LONGEST: usize = 64 * 1024;

/// The open log.
pub struct StatementLog {
    file: Mutex<File>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    time: String,
    query_id: &'a str,
    user: &'a str,
    statement: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    settings: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed_ms: Option<f64>,
}

/// What a statement is logged as.
pub struct Entry {
    query_id: String,
    user: String,
    statement: String,
    kind: &'static str,
    database: Option<String>,
    settings: Vec<(String, String)>,
}

impl Entry {
    /// Describes a statement; secrets in it are hidden, data of an INSERT is left out.
    pub fn new(query_id: &str, user: &str, statement: &Statement) -> Self {
        let mut text = masked(statement.head());
        if text.len() > LONGEST {
            let cut = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(cut);
        }
        let kind = if statement.only_reads() { "read" } else { "change" };
        let (database, settings) = (None, Vec::new());
        Self { query_id: query_id.to_owned(), user: user.to_owned(), statement: text, kind, database, settings }
    }

    /// Adds what came beside the statement: the current database and the settings.
    pub fn with(mut self, database: Option<&str>, settings: &[(String, String)]) -> Self {
        self.database = database.map(str::to_owned);
        self.settings = settings.to_vec();
        self
    }
}

impl StatementLog {
    /// Opens the log of a node's folder for appending.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("statements.jsonl"))?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Records that a statement begins.
    pub fn start(&self, entry: &Entry) {
        self.write(Some("start"), entry, None, None);
    }

    /// Records that a statement ended; code 0 means success.
    pub fn end(&self, entry: &Entry, code: i32, elapsed: Duration) {
        self.write(None, entry, Some(code), Some((elapsed.as_secs_f64() * 1e6).round() / 1e3));
    }

    fn write(&self, event: Option<&'static str>, entry: &Entry, code: Option<i32>, elapsed_ms: Option<f64>) {
        let line = Line {
            event,
            time: timestamp(SystemTime::now()),
            query_id: &entry.query_id,
            user: &entry.user,
            statement: &entry.statement,
            kind: entry.kind,
            database: entry.database.as_deref(),
            settings: &entry.settings,
            code,
            elapsed_ms,
        };
        let Ok(mut text) = serde_json::to_vec(&line) else { return };
        text.push(b'\n');
        // One write per line keeps lines whole; a full disk must not stop the node.
        let _ = self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }
}

/// RFC 3339 in UTC with microseconds.
pub fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = ((since.as_secs() / 86_400) as i64, since.as_secs() % 86_400);
    // Days to a civil date, counted in eras of 400 years that begin on a first of March.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", since.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates_of_the_calendar() {
        let at = |seconds, micros: u32| timestamp(UNIX_EPOCH + Duration::new(seconds, micros * 1000));
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000005Z");
        assert_eq!(at(1_795_213_859, 123_456), "2026-11-20T22:30:59.123456Z");
    }

    #[test]
    fn a_statement_leaves_two_lines_without_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let log = StatementLog::open(dir.path()).unwrap();
        let statement = Statement::new("BACKUP DATABASE a TO S3('http://b/c', 'key', 'secret')");
        let entry = Entry::new("id", "default", &statement).with(Some("d"), &[("max_threads".into(), "1".into())]);
        log.start(&entry);
        log.end(&entry, 598, Duration::from_millis(12));
        let text = std::fs::read_to_string(dir.path().join("statements.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["event"], "start");
        assert_eq!(lines[0]["database"], "d");
        assert_eq!(lines[0]["settings"], serde_json::json!([["max_threads", "1"]]));
        assert_eq!(lines[1]["code"], 598);
        assert_eq!(lines[1]["kind"], "change");
        assert_eq!(lines[1]["elapsed_ms"], 12.0);
        assert!(!text.contains("secret") && text.contains("[HIDDEN]"), "{text}");
    }
}
