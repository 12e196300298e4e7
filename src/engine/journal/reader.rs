//! Reads a journal: a torn last line is told and cut off, damage anywhere else is refused.

use jiff::Timestamp;

pub use super::record::JournalError;
use super::record::{Entry, JOURNAL_VERSION, Record};
use crate::diag::Refusal;

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
}

/// Reads a journal.
///
/// # Errors
/// A refusal where a line other than the last is damaged, a number or link of the chain does not fit, or the format
/// is newer than this version knows.
pub fn read_journal(bytes: &[u8], location: &str) -> Result<Journal, Refusal> {
    let mut journal = Journal::default();
    let mut prev = String::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let line_number = journal.records.len() + 1;
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            journal.torn_bytes = rest.len() as u64;
            break;
        };
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        let problem = match serde_json::from_slice::<Record>(line) {
            Err(error) => Some(format!("line {line_number} is not a record: {error}")),
            Ok(record) if !record.is_intact() => Some(format!("the checksum of line {line_number} does not fit")),
            Ok(record) if record.prev != prev => Some(format!("line {line_number} does not continue the line before")),
            Ok(record) if record.seq != line_number as u64 => {
                Some(format!("line {line_number} has the number {}", record.seq))
            }
            Ok(record) => {
                check_version(&record, line_number, location)?;
                prev.clone_from(&record.sum);
                journal.records.push(record);
                None
            }
        };
        if let Some(problem) = problem {
            return Err(damaged(&problem, location));
        }
        journal.intact_bytes += end as u64 + 1;
        rest = after;
    }
    Ok(journal)
}

fn check_version(record: &Record, line_number: usize, location: &str) -> Result<(), Refusal> {
    match &record.entry {
        Entry::Started { version, .. } if *version > JOURNAL_VERSION => Err(Refusal {
            what: "the journal was written by a newer clickferry".to_owned(),
            expected: format!("journal format {JOURNAL_VERSION} or older"),
            found: format!("format {version} in {location}"),
            evidence: String::new(),
            action: "use the version of clickferry that began the run, or a newer one".to_owned(),
        }),
        Entry::Started { .. } if line_number > 1 => Err(damaged("the run is started twice", location)),
        Entry::Started { .. } => Ok(()),
        _ if line_number == 1 => Err(damaged("the first record does not start the run", location)),
        _ => Ok(()),
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
mod tests {
    use super::*;
    use crate::model::ids::RunId;

    fn lines(count: u64) -> Vec<u8> {
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
    fn every_changed_byte_before_the_last_line_is_noticed() {
        let whole = lines(4);
        let three = lines(3).len();
        for at in 0..three {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x01;
            assert!(read_journal(&damaged, "j").is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_newer_format_is_refused() {
        let text = String::from_utf8(lines(1)).expect("utf8");
        let record: Record = serde_json::from_str(text.trim()).expect("record");
        let Entry::Started { run, plan, tool, owner, consent, .. } = record.entry else { unreachable!() };
        let newer = Record::new(1, record.at, Entry::Started { version: 2, run, plan, tool, owner, consent }, "");
        let line = format!("{}\n", serde_json::to_string(&newer).expect("json"));
        let refusal = read_journal(line.as_bytes(), "j").expect_err("newer");
        assert!(refusal.what.contains("newer"), "{refusal}");
    }
}
