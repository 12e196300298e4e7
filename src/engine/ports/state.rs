//! Where runs are kept: one folder (or prefix) per run, holding its plan, its journal and its exports.

use async_trait::async_trait;

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
    /// [`StateError::Io`] also when the run exists already.
    async fn create_run(&self, run: &RunId) -> Result<(), StateError>;

    /// Writes a whole document of a run (`plan.json`, an export), replacing an older one in one step; durable
    /// when it returns.
    ///
    /// # Errors
    /// See [`StateError`].
    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError>;

    /// Reads a document of a run.
    ///
    /// # Errors
    /// [`StateError::Missing`] when it does not exist.
    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError>;

    /// Appends one line (with its line break) to the run's `journal.jsonl`; durable when it returns.
    ///
    /// # Errors
    /// See [`StateError`]; after an error nothing more is appended to this journal by this process.
    async fn append(&self, run: &RunId, line: &[u8]) -> Result<(), StateError>;

    /// Cuts the journal to a length, to remove a torn last line; durable when it returns.
    ///
    /// # Errors
    /// See [`StateError`].
    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError>;

    /// Takes the lock of the whole state; it is freed when the process ends.
    ///
    /// # Errors
    /// [`StateError::Locked`] with the holder.
    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError>;

    /// Where this is, for people.
    fn describe(&self) -> String;
}
