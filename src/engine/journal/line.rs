//! One line of a journal as text: its place in the chain is checked before its meaning is read.
//!
//! The checksum is taken over the text as it stands in the file. So it fits also where a newer version wrote more than
//! this one knows, and such a record is told from a damaged one.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::{Entry, Record};
use crate::plan::plan_file::sha256_of_parts;

/// A record, its parts still text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    seq: &'a RawValue,
    #[serde(borrow)]
    at: &'a RawValue,
    #[serde(borrow)]
    entry: &'a RawValue,
    #[serde(borrow)]
    prev: &'a RawValue,
    sum: String,
}

/// The part of a first record that every version can read.
#[derive(Deserialize)]
struct Opening {
    entry: OpeningEntry,
}

#[derive(Deserialize)]
struct OpeningEntry {
    started: OpeningStarted,
}

#[derive(Deserialize)]
struct OpeningStarted {
    version: u64,
}

/// Why a line is no record.
pub(super) enum LineProblem {
    /// It was changed, or is out of place.
    Damaged(String),
    /// It is intact, and holds what this version does not know.
    Unknown(String),
}

/// The format that a first line says its journal has.
pub(super) fn version_of(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<Opening>(line).ok().map(|opening| opening.entry.started.version)
}

/// The checksum that a line says it follows.
pub(super) fn said_before(text: &[u8]) -> Option<String> {
    let line: Line<'_> = serde_json::from_slice(text).ok()?;
    serde_json::from_str(line.prev.get()).ok()
}

/// Reads the line with this number, which follows the record with the checksum `prev`.
pub(super) fn read_line(text: &[u8], number: usize, prev: &str) -> Result<Record, LineProblem> {
    let damaged = |problem: String| LineProblem::Damaged(problem);
    let not_a_record = |error: serde_json::Error| damaged(format!("line {number} is not a record: {error}"));
    let line: Line<'_> = serde_json::from_slice(text).map_err(not_a_record)?;
    let (seq, at, entry) = (line.seq.get(), line.at.get(), line.entry.get());
    if line.sum != sha256_of_parts(&["[", seq, ",", at, ",", entry, ",", line.prev.get(), "]"]) {
        return Err(damaged(format!("the checksum of line {number} does not fit")));
    }
    let said: String = serde_json::from_str(line.prev.get()).map_err(not_a_record)?;
    if said != prev {
        return Err(damaged(format!("line {number} does not continue the line before")));
    }
    let seq: u64 = serde_json::from_str(seq).map_err(not_a_record)?;
    if seq != number as u64 {
        return Err(damaged(format!("line {number} has the number {seq}")));
    }
    let at = serde_json::from_str(at).map_err(not_a_record)?;
    let entry: Entry = serde_json::from_str(entry).map_err(|error| {
        // What is known here, and the place within the entry, help nobody.
        let text = error.to_string();
        let what = text.split(", expected").next().and_then(|what| what.split(" at line ").next()).unwrap_or_default();
        LineProblem::Unknown(format!("line {number}: {what}"))
    })?;
    Ok(Record { seq, at, entry, prev: said, sum: line.sum })
}
