//! State in an S3 bucket: one object per document, one per record, one for the lock.
//!
//! ```text
//! <prefix>/lock                            who holds the lock; never deleted, replaced by compare-and-swap
//! <prefix>/probe                           shows before the first lock that the store honours conditions
//! <prefix>/index/<run>                     the run exists
//! <prefix>/runs/<run>/plan.json ...        documents
//! <prefix>/runs/<run>/journal/0000000001   one record, created and never overwritten
//! ```
//!
//! Nothing rests on clocks being right: a record is created under its number, once, and whoever takes a lock over
//! occupies the next number of the former holder's journal before anything else (see [`fence`]). The design is in
//! `docs/design/0006-state-in-a-bucket.md`.

mod documents;
mod fence;
mod journal;
mod keys;
mod lease;
mod lock;
mod probe;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;

use self::lease::Lease;
use self::lock::Watch;
use super::boot_clock::BootClock;
use super::s3::{Bucket, BucketConfig};
use super::state_names::{JOURNAL, check_document, check_run};
use crate::engine::ports::{Document, Held, LockGuard, LockHolder, ObjectError, Objects, StateError, StateStore};
use crate::model::ids::RunId;

/// How long a lock outlives its last renewal. Its holder renews it six times as often and counts it as lost after two
/// thirds of that time.
const LIFE: Duration = Duration::from_secs(30);

/// State in a bucket.
pub struct StateS3 {
    bucket: Arc<Bucket>,
    life: Duration,
    /// Whether the store was seen to honour conditions.
    fit: OnceCell<()>,
    /// The lock of this process.
    lease: Mutex<Option<Arc<Lease>>>,
    /// Somebody else's lock, as it was seen last.
    watch: Mutex<Option<Watch>>,
    /// Records that were read before, by key: they never change.
    records: Mutex<BTreeMap<String, Bytes>>,
    clock: BootClock,
}

impl StateS3 {
    /// State below the prefix of a bucket. Connects to nothing.
    #[must_use]
    pub fn new(config: BucketConfig) -> Self {
        Self::with_life(config, LIFE)
    }

    /// The same with another life of its lock, which others read from the lock itself.
    #[must_use]
    pub fn with_life(config: BucketConfig, life: Duration) -> Self {
        Self {
            bucket: Arc::new(Bucket::new(config)),
            life,
            fit: OnceCell::new(),
            lease: Mutex::default(),
            watch: Mutex::default(),
            records: Mutex::default(),
            clock: BootClock::default(),
        }
    }

    /// The lock, for writing to this run; only while its holder may believe in it.
    fn held(&self, run: &RunId, action: &str) -> Result<Arc<Lease>, StateError> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(lease) = lease else {
            return Err(self.lost(action, "this process does not hold its lock"));
        };
        if lease.run() != run.as_str() {
            return Err(self.lost(action, &format!("its lock was taken for run {}", lease.run())));
        }
        match lease.write_doubt() {
            Some(reason) => Err(self.lost(action, &reason)),
            None => Ok(lease),
        }
    }

    fn checked_run<'r>(&self, run: &'r RunId) -> Result<&'r str, StateError> {
        check_run(run.as_str()).map_err(|reason| self.failed("finding the run", reason))?;
        Ok(run.as_str())
    }

    async fn run_exists(&self, run: &str, action: &str) -> Result<bool, StateError> {
        self.bucket.exists(&keys::index(run)).await.map_err(|error| self.store_error(action, &error))
    }

    fn lost(&self, action: &str, reason: &str) -> StateError {
        StateError::LockLost { action: action.to_owned(), location: self.describe(), reason: reason.to_owned() }
    }

    fn failed(&self, action: &str, reason: impl Into<String>) -> StateError {
        StateError::Io { action: action.to_owned(), location: self.describe(), reason: reason.into() }
    }

    fn store_error(&self, action: &str, error: &ObjectError) -> StateError {
        self.failed(action, error.to_string())
    }

    fn missing(&self, what: String) -> StateError {
        StateError::Missing { what, location: self.describe() }
    }
}

#[async_trait]
impl StateStore for StateS3 {
    async fn runs(&self) -> Result<Vec<RunId>, StateError> {
        let names = self.bucket.list_level(keys::INDEX).await;
        let names = names.map_err(|error| self.store_error("listing the runs", &error))?;
        // Ids begin with the time of the start, and the names are sorted.
        Ok(names.into_iter().filter(|name| check_run(name).is_ok()).map(RunId).collect())
    }

    async fn create_run(&self, run: &RunId) -> Result<(), StateError> {
        self.make_run(run).await
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.write_document(run, name, content).await
    }

    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.leave_document(run, name, content).await
    }

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        let action = format!("reading {name} of run {run}");
        let id = self.checked_run(run)?;
        check_document(name).map_err(|reason| self.failed(&action, reason))?;
        let found = if name == JOURNAL {
            self.read_journal(id, &action).await?
        } else {
            match self.bucket.get(&keys::document(id, name)).await {
                Ok(content) => Some(content.to_vec()),
                Err(ObjectError::NotFound { .. }) => None,
                Err(error) => return Err(self.store_error(&action, &error)),
            }
        };
        match found {
            Some(content) => Ok(content),
            None if !self.run_exists(id, &action).await? => Err(self.missing(format!("run {run}"))),
            None if name == JOURNAL => Ok(Vec::new()),
            None => Err(self.missing(format!("{name} of run {run}"))),
        }
    }

    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        self.list_documents(run).await
    }

    async fn append(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError> {
        self.append_record(run, number, line).await
    }

    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        self.cut_journal(run, length).await
    }

    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        let guard = self.take_lock(holder).await?;
        Ok(Box::new(guard))
    }

    async fn holder(&self) -> Result<Option<Held>, StateError> {
        self.look_at_lock().await
    }

    async fn remove_lock(&self, holder: &LockHolder) -> Result<(), StateError> {
        self.break_lock(holder).await
    }

    fn describe(&self) -> String {
        self.bucket.address()
    }
}
