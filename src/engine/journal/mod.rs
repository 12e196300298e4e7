//! The append-only record of a run: intent before each operation, outcome after it.

mod line;
mod pieces;
mod reader;
mod record;
mod writer;

pub use reader::{Journal, JournalError, read_journal};
pub use record::{Entry, JOURNAL_VERSION, OutcomeKind, Record};
pub use writer::{HeldLock, JournalWriter, WriteError};
