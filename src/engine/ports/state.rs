//! Where runs are kept: one folder (or prefix) per run, holding its plan, its journal and its exports.
//!
//! Every backend promises the same, and one suite (`tests/it/state_port.rs`) asks all of them for it:
//!
//! - Whoever writes holds the lock of the state, taken for the run it writes to. A write without it fails.
//! - When [`StateStore::lock`] returns, nobody who held the lock before can append any more, whatever their clocks
//!   say and however long they slept: a fence, not a time-out.
//! - A record is appended under its number, once. Of two writers one gets the number, the other an error.
//! - What a call wrote is durable when it returns. A write whose answer was lost is read back, never sent blindly.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::keeper::{LockGuard, LockHolder};
use crate::model::ids::RunId;

/// Why the state could not be read or written. A failed write ends the run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StateError {
    /// Another engine works with this state.
    #[error("the state {location} is locked by run {} of {} (pid {}) since {}",
        .holder.run, .holder.owner, .holder.pid, .holder.since)]
    Locked {
        /// Where the state is.
        location: String,
        /// Who holds it.
        holder: LockHolder,
        /// Whether the holder was seen to live. Where it was not, asking again watches it further; once it has given
        /// no sign for the life of its lock, the lock is taken over.
        is_alive: bool,
    },
    /// The lock is not held, or was lost: nothing is written any more.
    #[error("{action} is refused by the state {location}: {reason}")]
    LockLost {
        /// What was tried.
        action: String,
        /// Where the state is.
        location: String,
        /// How that was noticed.
        reason: String,
    },
    /// The store cannot keep two engines apart, so nothing is locked and nothing is written.
    #[error("the state {location} cannot be locked")]
    Unfit {
        /// Where the state is.
        location: String,
        /// What a store must do.
        expected: String,
        /// What it did.
        found: String,
    },
    /// No such run, or no such document in it.
    #[error("{what} is not in the state {location}")]
    Missing {
        /// Run or document.
        what: String,
        /// Where the state is.
        location: String,
    },
    /// Reading or writing failed.
    #[error("{action} failed in the state {location}: {reason}")]
    Io {
        /// What was tried.
        action: String,
        /// Where the state is.
        location: String,
        /// What the system said.
        reason: String,
    },
}

/// A document of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name; `journal.jsonl` is the journal, however the backend keeps it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A held lock, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who holds it.
    pub holder: LockHolder,
    /// What tells whether the holder lives.
    pub life: Life,
}

/// What tells whether the holder of a lock lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// The operating system: it frees the lock when the process ends.
    Process,
    /// The holder renews the lock: where `mark` has not changed for `life`, it does not any more.
    Renewed {
        /// Differs after every renewal.
        mark: String,
        /// How long the lock outlives its last renewal.
        life: Duration,
        /// When it was renewed last, by the clock of the store.
        at: Option<Timestamp>,
    },
}

/// Keeps runs.
#[async_trait]
pub trait StateStore: Send + Sync {
    /// Ids of all runs, oldest first.
    ///
    /// # Errors
    /// See [`StateError`].
    async fn runs(&self) -> Result<Vec<RunId>, StateError>;

    /// Makes the place of a new run; durable when it returns.
    ///
    /// # Errors
    /// [`StateError::Io`] also when the run exists already, [`StateError::LockLost`] without the lock.
    async fn create_run(&self, run: &RunId) -> Result<(), StateError>;

    /// Writes a whole document of a run (`plan.json`, an export), replacing an older one in one step; durable
    /// when it returns.
    ///
    /// # Errors
    /// [`StateError::Missing`] where the run does not exist, [`StateError::LockLost`] without the lock.
    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError>;

    /// Leaves a message for the engine that holds the lock: a document below `requests/`, written as [`Self::put`]
    /// writes, but without the lock.
    ///
    /// # Errors
    /// [`StateError::Missing`] where the run does not exist.
    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError>;

    /// Reads a document of a run.
    ///
    /// # Errors
    /// [`StateError::Missing`] when it does not exist.
    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError>;

    /// All documents of a run, the journal among them, by name.
    ///
    /// # Errors
    /// [`StateError::Missing`] when the run does not exist.
    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError>;

    /// Appends record number `number` (from 1), one line with its line break, to the run's `journal.jsonl`; durable
    /// when it returns. The number is the one behind the last record that the caller read under the lock, or wrote.
    ///
    /// # Errors
    /// [`StateError::LockLost`] without the lock, or where somebody else has written that number. After an error
    /// nothing more is appended to this journal by this process.
    async fn append(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError>;

    /// Cuts the journal to a length that ends with a whole record, to remove a torn last line; durable when it
    /// returns.
    ///
    /// # Errors
    /// See [`StateError`].
    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError>;

    /// Takes the lock of the whole state, or tells who has it; never waits. A lock of the operating system is freed
    /// when the process ends; a lock that is renewed is taken over after its life without a renewal, measured by this
    /// process from its first call on.
    ///
    /// # Errors
    /// [`StateError::Locked`] with the holder, [`StateError::Unfit`] where the store cannot keep engines apart.
    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError>;

    /// Who holds the lock. Changes nothing.
    ///
    /// # Errors
    /// See [`StateError`].
    async fn holder(&self) -> Result<Option<Held>, StateError>;

    /// Removes the lock if exactly this holder has it, for a holder that is proven to be gone; it can append nothing
    /// afterwards. A lock of the operating system needs no removing and cannot be removed.
    ///
    /// # Errors
    /// [`StateError::Locked`] where somebody else holds it, or the operating system holds it for a living process.
    async fn remove_lock(&self, holder: &LockHolder) -> Result<(), StateError>;

    /// Where this is, for people.
    fn describe(&self) -> String;
}
