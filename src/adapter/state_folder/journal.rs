//! The one file that is appended to.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::files;

/// A journal, kept open from its first record on.
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    tail: Option<Tail>,
    broken: Option<String>,
}

/// Where this process knows the end of the file to be.
#[derive(Clone, Copy)]
struct Tail {
    bytes: u64,
    records: u64,
}

/// Why nothing was appended: the system's error, or a reason to believe that somebody else writes here.
pub enum Refused {
    System(io::Error),
    Foreign(String),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Journal {
    /// The journal at a path; the file must exist when something is appended.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, tail: None, broken: None }
    }

    /// Writes record `number` and syncs it. After an error every later call fails: the kernel may have dropped the
    /// pages whose sync failed and reports a later sync as a success.
    pub fn append(&mut self, number: u64, line: &[u8]) -> Result<(), Refused> {
        if let Some(reason) = &self.broken {
            return Err(io::Error::other(format!("an earlier write failed ({reason})")).into());
        }
        let written = self.write(number, line);
        if let Err(error) = &written {
            self.broken = Some(match error {
                Refused::System(error) => error.to_string(),
                Refused::Foreign(reason) => reason.clone(),
            });
            self.file = None;
        }
        written
    }

    fn write(&mut self, number: u64, line: &[u8]) -> Result<(), Refused> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(files::private().read(true).append(true).open(&self.path)?),
        };
        // A deleted file takes writes without complaint; they would be lost with the process.
        let named = std::fs::metadata(&self.path)?;
        let opened = file.metadata()?;
        if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
            return Err(Refused::Foreign("the journal was replaced by somebody else".to_owned()));
        }
        let tail = match self.tail {
            Some(tail) => tail,
            None => find_tail(file)?,
        };
        if opened.len() != tail.bytes {
            return Err(Refused::Foreign(format!(
                "the journal has {} bytes where this process left {}: somebody else writes to it",
                opened.len(),
                tail.bytes
            )));
        }
        if number != tail.records + 1 {
            return Err(Refused::Foreign(format!(
                "the journal has {} records, so record {number} is not the next one",
                tail.records
            )));
        }
        file.write_all(line)?;
        file.sync_data()?;
        self.tail = Some(Tail { bytes: tail.bytes + line.len() as u64, records: number });
        Ok(())
    }

    /// Cuts the file to a length that it has or exceeds, behind a whole record.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        let file = files::private().read(true).write(true).open(&self.path)?;
        let mut kept = Vec::new();
        (&file).take(length).read_to_end(&mut kept)?;
        if kept.len() as u64 != length {
            return Err(io::Error::other(format!("it has {} bytes and cannot be cut to {length}", kept.len())));
        }
        if kept.last().is_some_and(|&last| last != b'\n') {
            return Err(io::Error::other(format!("byte {length} is inside of a record")));
        }
        file.set_len(length)?;
        file.sync_all()?;
        self.file = None;
        self.tail = None;
        Ok(())
    }
}

/// The end of a journal that this process has not written to yet.
fn find_tail(file: &File) -> Result<Tail, Refused> {
    let mut content = Vec::new();
    let mut reader = file;
    reader.read_to_end(&mut content)?;
    if content.last().is_some_and(|&last| last != b'\n') {
        return Err(Refused::Foreign("its last record is torn and has to be cut off first".to_owned()));
    }
    let records = content.iter().filter(|&&byte| byte == b'\n').count() as u64;
    Ok(Tail { bytes: content.len() as u64, records })
}
