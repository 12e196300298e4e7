//! Two copies of one journal, compared.

use crate::engine::journal::Record;

/// How the journal that is there goes together with the one that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histories {
    /// Nothing is missing on either side.
    Same,
    /// What is there is the beginning of what comes; so many records are there.
    Behind(usize),
    /// What comes is the beginning of what is there.
    Ahead,
    /// The record of this number differs.
    Parted(u64),
}

/// Compares what is there with what comes.
#[must_use]
pub fn compare(there: &[Record], coming: &[Record]) -> Histories {
    // The checksum covers everything before it, too.
    let parted = there.iter().zip(coming).find(|(there, coming)| there.sum != coming.sum);
    match (parted, there.len().cmp(&coming.len())) {
        (Some((record, _)), _) => Histories::Parted(record.seq),
        (None, std::cmp::Ordering::Equal) => Histories::Same,
        (None, std::cmp::Ordering::Less) => Histories::Behind(there.len()),
        (None, std::cmp::Ordering::Greater) => Histories::Ahead,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::engine::journal::Entry;

    fn records(reasons: &[&str]) -> Vec<Record> {
        let mut prev = String::new();
        let make = |(at, reason): (usize, &&str)| {
            let entry = Entry::Stopped { reason: (*reason).to_owned() };
            let record = Record::new(at as u64 + 1, Timestamp::UNIX_EPOCH, entry, &prev);
            prev.clone_from(&record.sum);
            record
        };
        reasons.iter().enumerate().map(make).collect()
    }

    #[test]
    fn only_a_beginning_is_the_same_history() {
        let whole = records(&["a", "b", "c"]);
        assert_eq!(compare(&whole, &whole), Histories::Same);
        assert_eq!(compare(&whole[..1], &whole), Histories::Behind(1));
        assert_eq!(compare(&[], &whole), Histories::Behind(0));
        assert_eq!(compare(&whole, &whole[..2]), Histories::Ahead);
        assert_eq!(compare(&whole, &records(&["a", "x"])), Histories::Parted(2));
        assert_eq!(compare(&records(&["a", "x", "c", "d"]), &whole), Histories::Parted(2));
    }
}
