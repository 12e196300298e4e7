//! The one file that is appended to.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::files;

/// A journal, kept open from its first record on.
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    broken: Option<String>,
}

impl Journal {
    /// The journal at a path; the file must exist when something is appended.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, broken: None }
    }

    /// Writes a line and syncs it. After an error every later call fails: the kernel may have dropped the
    /// pages whose sync failed and reports a later sync as a success.
    pub fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(reason) = &self.broken {
            return Err(io::Error::other(format!("an earlier write failed ({reason})")));
        }
        let written = self.write(line);
        if let Err(error) = &written {
            self.broken = Some(error.to_string());
            self.file = None;
        }
        written
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(files::private().append(true).open(&self.path)?),
        };
        // A deleted file takes writes without complaint; they would be lost with the process.
        let named = std::fs::metadata(&self.path)?;
        let opened = file.metadata()?;
        if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
            return Err(io::Error::other("the journal was replaced by somebody else"));
        }
        file.write_all(line)?;
        file.sync_data()
    }

    /// Cuts the file to a length that it has or exceeds.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        let file = files::private().write(true).open(&self.path)?;
        let now = file.metadata()?.len();
        if length > now {
            return Err(io::Error::other(format!("it has {now} bytes and cannot be cut to {length}")));
        }
        file.set_len(length)?;
        file.sync_all()
    }
}
