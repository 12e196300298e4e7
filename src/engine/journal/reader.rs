//! Reads a journal: a torn last line is told and cut off, damage anywhere else is refused.
//!
//! Where the power fails, a record whose end is written may lack blocks before it: they read as zeros, which no record
//! holds. Such a record was not durable, so nothing was started on its account. It is torn if it is the last; every other
//! damage may be to a record that was.

use jiff::Timestamp;

use super::line::{LineProblem, read_line, version_of};
use super::pieces::bulk;
pub use super::record::JournalError;
use super::record::{Entry, JOURNAL_VERSION, Record};
use crate::diag::Refusal;
use crate::model::ids::RunId;

/// The smallest piece of a file that a disk writes whole or not at all.
const BLOCK: u64 = 512;

/// Bytes from which a journal is worth more than one thread.
const LARGE: usize = 1 << 20;

/// The records of a run.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// Records in order.
    pub records: Vec<Record>,
    /// Bytes of the file that hold whole records.
    pub intact_bytes: u64,
    /// Bytes of a torn last line behind them, written when the process or machine died.
    pub torn_bytes: u64,
}

impl Journal {
    /// Time of the first record.
    #[must_use]
    pub fn started(&self) -> Option<Timestamp> {
        self.records.first().map(|record| record.at)
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.records.iter().any(|record| matches!(record.entry, Entry::Finished { .. }))
    }

    /// Digest of the plan that the run executes.
    #[must_use]
    pub fn plan_digest(&self) -> Option<&str> {
        self.records.first().and_then(|record| match &record.entry {
            Entry::Started { plan, .. } => Some(plan.as_str()),
            _ => None,
        })
    }

    /// The run that the journal is of.
    #[must_use]
    pub fn run(&self) -> Option<&RunId> {
        self.records.first().and_then(|record| match &record.entry {
            Entry::Started { run, .. } => Some(run),
            _ => None,
        })
    }
}

/// Reads a journal.
///
/// # Errors
/// A refusal where a line other than the last is damaged, a number or link of the chain does not fit, or the format
/// is newer than this version knows.
pub fn read_journal(bytes: &[u8], location: &str) -> Result<Journal, Refusal> {
    let large = if bytes.len() >= LARGE { bulk(bytes) } else { None };
    let mut journal = large.unwrap_or_default();
    let mut rest = usize::try_from(journal.intact_bytes).ok().and_then(|read| bytes.get(read..)).unwrap_or_default();
    while !rest.is_empty() {
        let number = journal.records.len() + 1;
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            journal.torn_bytes = rest.len() as u64;
            break;
        };
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        if after.is_empty() && lacks_blocks(line, journal.intact_bytes) {
            journal.torn_bytes = rest.len() as u64;
            break;
        }
        let prev = journal.records.last().map_or("", |record| record.sum.as_str());
        let record = read_line(line, number, prev).map_err(|problem| match (problem, version_of(line)) {
            (_, Some(version)) if number == 1 && version > u64::from(JOURNAL_VERSION) => newer(version, location),
            (LineProblem::Damaged(problem), _) => damaged(&problem, location),
            (LineProblem::Unknown(part), _) => unknown(&part, &journal, location),
        })?;
        match (&record.entry, number) {
            (Entry::Started { version, .. }, 1) if *version > JOURNAL_VERSION => {
                return Err(newer(u64::from(*version), location));
            }
            (Entry::Started { .. }, 1) => {}
            (Entry::Started { .. }, _) => return Err(damaged("the run is started twice", location)),
            (_, 1) => return Err(damaged("the first record does not start the run", location)),
            _ => {}
        }
        journal.records.push(record);
        journal.intact_bytes += end as u64 + 1;
        rest = after;
    }
    Ok(journal)
}

/// Whether blocks of a line at this place of the file read as if they had never been written: they begin where the file
/// ended before, or where a block does, and end where a block does.
fn lacks_blocks(line: &[u8], place: u64) -> bool {
    let begins_block = |at: usize| (place + at as u64).is_multiple_of(BLOCK);
    let is_zero = |at: usize| line.get(at) == Some(&0);
    let mut edges = (0..=line.len()).filter(|&at| is_zero(at) != (at > 0 && is_zero(at - 1))).peekable();
    edges.peek().is_some() && edges.all(|at| (at == 0 && is_zero(0)) || begins_block(at))
}

fn newer(version: u64, location: &str) -> Refusal {
    Refusal {
        what: "the journal was written by a newer clickferry".to_owned(),
        expected: format!("journal format {JOURNAL_VERSION} or older"),
        found: format!("format {version} in {location}"),
        evidence: format!("head -n 1 {location}"),
        action: "use the version of clickferry that began the run, or a newer one".to_owned(),
    }
}

/// An intact record that this version does not understand: written by a newer one, which the journal names.
fn unknown(part: &str, journal: &Journal, location: &str) -> Refusal {
    let tool = journal.records.iter().rev().find_map(|record| match &record.entry {
        Entry::Started { tool, .. } | Entry::Resumed { tool, .. } => Some(tool.as_str()),
        _ => None,
    });
    let by = tool.map(|tool| format!("; clickferry {tool} wrote last")).unwrap_or_default();
    Refusal {
        what: "the journal holds a record that this clickferry does not know".to_owned(),
        expected: format!("records as clickferry {} knows them", env!("CARGO_PKG_VERSION")),
        found: format!("{part} in {location}{by}"),
        evidence: format!("tail -n 5 {location}"),
        action: "use the version of clickferry that wrote it, or a newer one".to_owned(),
    }
}

fn damaged(problem: &str, location: &str) -> Refusal {
    Refusal {
        what: "the journal is damaged".to_owned(),
        expected: "an unbroken chain of records".to_owned(),
        found: format!("{problem} in {location}"),
        evidence: if location.contains("://") {
            "clickferry state repair RUN".to_owned()
        } else {
            format!("head -c 2000 {location}")
        },
        action: "do not resume on it: bring back an undamaged copy of the state, or look at the servers and plan anew"
            .to_owned(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::engine::journal) fn lines(count: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut prev = String::new();
        for seq in 1..=count {
            let entry = if seq == 1 {
                Entry::Started {
                    version: 1,
                    run: RunId::from("r"),
                    plan: "p".into(),
                    tool: "t".into(),
                    owner: "o".into(),
                    consent: "c".into(),
                }
            } else {
                Entry::Stopped { reason: format!("{seq}") }
            };
            let record = Record::new(seq, Timestamp::UNIX_EPOCH, entry, &prev);
            prev.clone_from(&record.sum);
            out.extend(serde_json::to_vec(&record).expect("json"));
            out.push(b'\n');
        }
        out
    }

    #[test]
    fn a_torn_last_line_is_told_and_everything_before_it_kept() {
        let whole = lines(3);
        let two = lines(2).len();
        for cut in two + 1..whole.len() {
            let journal = read_journal(&whole[..cut], "j").expect("torn only");
            assert_eq!(
                (journal.records.len(), journal.intact_bytes, journal.torn_bytes),
                (2, two as u64, (cut - two) as u64)
            );
        }
    }

    #[test]
    fn a_last_line_with_blocks_that_were_never_written_is_torn() {
        // A record that spans blocks, behind two that were durable.
        let two = lines(2);
        let last = read_journal(&two, "j").expect("whole").records[1].sum.clone();
        let long = Record::new(3, Timestamp::UNIX_EPOCH, Entry::Stopped { reason: "x".repeat(2000) }, &last);
        let whole = [&two[..], &serde_json::to_vec(&long).expect("json"), b"\n"].concat();
        let block = |number: usize| number * 512;
        let (begin, first) = (two.len(), two.len() / 512 + 1);
        let zeros = |from: usize, to: usize| {
            let mut damaged = whole.clone();
            damaged[from..to].fill(0);
            damaged
        };
        for (from, to) in [(begin, block(first)), (block(first), block(first + 2)), (begin, block(first + 3))] {
            let journal = read_journal(&zeros(from, to), "j").expect("torn only");
            assert_eq!((journal.records.len(), journal.intact_bytes), (2, begin as u64), "{from}");
            assert_eq!(journal.torn_bytes, (whole.len() - begin) as u64);
            // Where something stands behind it, it was durable.
            read_journal(&[zeros(from, to), b"{}\n".to_vec()].concat(), "j").expect_err("not the last");
        }
        // Other damage may be to a record on whose account something was started: also to the one before.
        for (from, to) in [(begin + 9, begin + 10), (begin, begin + 9), (begin - 9, block(first))] {
            read_journal(&zeros(from, to), "j").expect_err("no block begins and ends there");
        }
    }

    #[test]
    fn every_changed_byte_before_the_last_line_is_noticed() {
        let whole = lines(4);
        let three = lines(3).len();
        for at in 0..three {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            assert!(read_journal(&damaged, "j").is_err(), "byte {at}");
        }
    }

    /// A first line, and one behind it with any entry, both intact.
    fn with_entry(first: &str, second: &str) -> Vec<u8> {
        let mut out = String::new();
        let mut prev = String::new();
        for (seq, entry) in [first, second].iter().enumerate() {
            let (seq, at) = (seq + 1, "\"1970-01-01T00:00:00Z\"");
            let sum = crate::plan::plan_file::sha256(format!("[{seq},{at},{entry},\"{prev}\"]").as_bytes());
            out += &format!("{{\"seq\":{seq},\"at\":{at},\"entry\":{entry},\"prev\":\"{prev}\",\"sum\":\"{sum}\"}}\n");
            prev = sum;
        }
        out.into_bytes()
    }

    const STARTED: &str = r#"{"started":{"version":1,"run":"r","plan":"p","tool":"0.9.0","owner":"o","consent":"c"}}"#;

    fn refused(first: &str, second: &str) -> String {
        read_journal(&with_entry(first, second), "j").expect_err("it was read").to_string()
    }

    #[test]
    fn a_newer_format_is_refused() {
        let stopped = r#"{"stopped":{"reason":"x"}}"#;
        read_journal(&with_entry(STARTED, stopped), "j").expect("known");
        let expected = "the journal was written by a newer clickferry\n  expected  journal format 1 or older\n  found     format 2 in j\n  see it    head -n 1 j\n  do this   use the version of clickferry that began the run, or a newer one\n";
        assert_eq!(refused(&STARTED.replace("\"version\":1", "\"version\":2"), stopped), expected);
        // Also where the first record has another shape altogether.
        let other = br#"{"number":1,"entry":{"started":{"version":2,"what":"else"}}}"#;
        let refusal = read_journal(&[other, &b"\n"[..]].concat(), "j").expect_err("newer");
        assert_eq!(refusal.to_string(), expected);
    }

    #[test]
    fn what_a_newer_version_added_is_not_called_damage() {
        insta::assert_snapshot!(refused(STARTED, r#"{"abandoned":{"operation":"a/1"}}"#), @r"
        the journal holds a record that this clickferry does not know
          expected  records as clickferry 0.1.0 knows them
          found     line 2: unknown variant `abandoned` in j; clickferry 0.9.0 wrote last
          see it    tail -n 5 j
          do this   use the version of clickferry that wrote it, or a newer one
        ");
        insta::assert_snapshot!(refused(STARTED, r#"{"stopped":{"reason":"x","signal":15}}"#), @r"
        the journal holds a record that this clickferry does not know
          expected  records as clickferry 0.1.0 knows them
          found     line 2: unknown field `signal` in j; clickferry 0.9.0 wrote last
          see it    tail -n 5 j
          do this   use the version of clickferry that wrote it, or a newer one
        ");
    }
}
