//! Reads the bulk of a large journal in pieces side by side. It takes only what is without a fault: where anything does
//! not fit, or no thread can be had, it takes nothing, and reading line by line tells what.

use std::thread;

use super::line::{read_line, said_before};
use super::reader::Journal;
use super::record::{Entry, JOURNAL_VERSION, Record};

/// More threads than these wait for memory.
const MOST: usize = 4;

/// All lines but the last, which may be torn.
pub(super) fn bulk(bytes: &[u8]) -> Option<Journal> {
    let end = bytes.iter().rposition(|&byte| byte == b'\n')?;
    let end = bytes[..end].iter().rposition(|&byte| byte == b'\n')?;
    let lines: Vec<&[u8]> = bytes[..end].split(|&byte| byte == b'\n').collect();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let size = lines.len().div_ceil(threads);
    let pieces: Vec<Option<Vec<Record>>> = thread::scope(|scope| {
        let read = |(at, lines)| thread::Builder::new().spawn_scoped(scope, move || piece(lines, at * size + 1));
        let readers: Vec<_> = lines.chunks(size).enumerate().map(read).collect();
        readers.into_iter().map(|reader| reader.ok()?.join().ok()?).collect()
    });
    let mut records: Vec<Record> = Vec::with_capacity(lines.len());
    for piece in pieces {
        let piece = piece?;
        let before = records.last().map_or("", |record| record.sum.as_str());
        if piece.first()?.prev != before {
            return None;
        }
        records.extend(piece);
    }
    let (first, others) = records.split_first()?;
    let begins = matches!(first.entry, Entry::Started { version, .. } if version <= JOURNAL_VERSION);
    let begins_again = others.iter().any(|record| matches!(record.entry, Entry::Started { .. }));
    (begins && !begins_again).then_some(Journal { records, intact_bytes: end as u64 + 1, torn_bytes: 0 })
}

/// Lines that follow each other; what the first one follows is compared by the caller.
fn piece(lines: &[&[u8]], first: usize) -> Option<Vec<Record>> {
    let mut records: Vec<Record> = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        let record = match records.last() {
            Some(before) => read_line(line, first + at, &before.sum),
            None => read_line(line, first + at, &said_before(line)?),
        };
        records.push(record.ok()?);
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::super::reader::read_journal;
    use super::super::reader::tests::lines;
    use super::*;

    #[test]
    fn the_bulk_is_what_line_by_line_finds_or_nothing() {
        for count in 0..12 {
            let whole = lines(count);
            let told = read_journal(&whole, "j").unwrap_or_default();
            let Some(bulk) = bulk(&whole) else {
                assert!(count < 2, "{count}");
                continue;
            };
            assert_eq!(bulk.records, told.records[..told.records.len() - 1]);
            let last = whole.split_inclusive(|&byte| byte == b'\n').next_back().unwrap_or_default();
            assert_eq!(bulk.intact_bytes, (whole.len() - last.len()) as u64);
        }
        // Whatever is changed, exchanged or taken out: never more than line by line.
        let whole = lines(9);
        let mut damaged: Vec<Vec<u8>> = (0..whole.len())
            .map(|at| {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                bytes
            })
            .collect();
        let parts: Vec<&[u8]> = whole.split_inclusive(|&byte| byte == b'\n').collect();
        for at in 0..parts.len() {
            let mut without = parts.clone();
            without.remove(at);
            damaged.push(without.concat());
            let mut swapped = parts.clone();
            swapped.swap(at, (at + 4) % 9);
            damaged.push(swapped.concat());
        }
        for bytes in damaged {
            let Some(bulk) = bulk(&bytes) else { continue };
            let told = read_journal(&bytes, "j");
            let before =
                read_journal(&bytes[..bulk.intact_bytes as usize], "j").expect("what the bulk holds is intact");
            assert_eq!(bulk.records, before.records);
            assert!(told.is_err() || told.is_ok_and(|told| told.records.len() >= bulk.records.len()));
        }
    }
}
