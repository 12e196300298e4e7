//! Appends records: durable when `append` returns, and only while every lock is held.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::record::{Entry, Record};
use crate::engine::ports::{Clock, LockGuard, StateStore};
use crate::model::ids::RunId;

/// Why a record could not be written. The run ends: nothing may happen that the journal does not hold.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// A lock is gone: another engine may be working on the target.
    #[error("the lock on {0} was lost, so nothing more may be written or started")]
    LockLost(String),
    /// An earlier record could not be written, for this reason.
    #[error("nothing more is written after the first record that could not be: {0}")]
    Ended(String),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] crate::engine::ports::StateError),
}

/// A lock and what it protects, for the message when it is lost.
pub struct HeldLock {
    /// What it protects.
    pub name: String,
    /// The lock.
    pub guard: Box<dyn LockGuard>,
}

/// The only writer of a run's journal.
pub struct JournalWriter {
    state: Arc<dyn StateStore>,
    clock: Arc<dyn Clock>,
    run: RunId,
    locks: Vec<HeldLock>,
    tail: Mutex<Tail>,
}

struct Tail {
    seq: u64,
    prev: String,
    /// Why the first record that could not be written was not.
    broken: Option<String>,
}

impl JournalWriter {
    /// A writer that continues behind the record with number `seq` and checksum `prev`.
    #[must_use]
    pub fn new(
        state: Arc<dyn StateStore>,
        clock: Arc<dyn Clock>,
        run: RunId,
        locks: Vec<HeldLock>,
        seq: u64,
        prev: String,
    ) -> Self {
        Self { state, clock, run, locks, tail: Mutex::new(Tail { seq, prev, broken: None }) }
    }

    /// Appends a record; durable when it returns.
    ///
    /// # Errors
    /// After the first error every further append fails too.
    pub async fn append(&self, entry: Entry) -> Result<Record, WriteError> {
        let mut tail = self.tail.lock().await;
        if let Some(lost) = self.lost() {
            tail.broken = Some(lost.to_string());
            return Err(lost);
        }
        if let Some(reason) = &tail.broken {
            return Err(WriteError::Ended(reason.clone()));
        }
        let record = Record::new(tail.seq + 1, self.clock.now(), entry, &tail.prev);
        // Plain data with text keys always becomes JSON.
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        if let Err(error) = self.state.append(&self.run, record.seq, &line).await {
            tail.broken = Some(error.to_string());
            return Err(error.into());
        }
        tail.seq = record.seq;
        tail.prev.clone_from(&record.sum);
        // Lost while the record was on its way: it stands, and nothing is started on its account.
        if let Some(lost) = self.lost() {
            tail.broken = Some(lost.to_string());
            return Err(lost);
        }
        Ok(record)
    }

    /// The first lock that is not held any more.
    #[must_use]
    pub fn lost(&self) -> Option<WriteError> {
        let lost = self.locks.iter().find(|lock| !lock.guard.is_held())?;
        Some(WriteError::LockLost(lost.name.clone()))
    }

    /// Gives every lock back.
    pub async fn release(&self) {
        for lock in &self.locks {
            lock.guard.release().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use jiff::Timestamp;

    use super::*;
    use crate::adapter::state_folder::StateFolder;
    use crate::engine::ports::LockHolder;

    struct NoTime;

    #[async_trait]
    impl Clock for NoTime {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }

        fn ticks(&self) -> Duration {
            Duration::ZERO
        }

        async fn sleep(&self, _: Duration) {}
    }

    /// A lock that is held for so many more questions.
    struct Fading(AtomicUsize);

    #[async_trait]
    impl LockGuard for Fading {
        fn is_held(&self) -> bool {
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
        }

        async fn release(&self) {}
    }

    #[tokio::test]
    async fn a_lock_that_is_lost_while_a_record_is_written_lets_nothing_start_on_its_account() {
        let folder = tempfile::tempdir().expect("folder");
        let (state, run) = (Arc::new(StateFolder::new(folder.path())), RunId::from("r"));
        let holder = LockHolder {
            run: run.0.clone(),
            owner: String::new(),
            pid: 1,
            since: String::new(),
            machine: String::new(),
        };
        let _lock = state.lock(&holder).await.expect("lock");
        state.create_run(&run).await.expect("run");
        // Asked before and behind the first record, and before the second.
        let guard = Box::new(Fading(AtomicUsize::new(3)));
        let locks = vec![HeldLock { name: "the target".to_owned(), guard }];
        let writer = JournalWriter::new(state.clone(), Arc::new(NoTime), run.clone(), locks, 0, String::new());
        let entry = || Entry::Stopped { reason: "r".to_owned() };
        writer.append(entry()).await.expect("held");
        for _ in 0..2 {
            let error = writer.append(entry()).await.expect_err("lost behind the record, then before it");
            assert!(matches!(&error, WriteError::LockLost(name) if name == "the target"), "{error}");
        }
        let text = state.get(&run, "journal.jsonl").await.expect("journal");
        assert_eq!(text.iter().filter(|&&byte| byte == b'\n').count(), 2);
    }

    #[tokio::test]
    async fn after_a_record_that_could_not_be_written_the_first_reason_is_told_again() {
        let folder = tempfile::tempdir().expect("folder");
        let (state, run) = (Arc::new(StateFolder::new(folder.path())), RunId::from("r"));
        let holder = LockHolder {
            run: run.0.clone(),
            owner: String::new(),
            pid: 1,
            since: String::new(),
            machine: String::new(),
        };
        let _lock = state.lock(&holder).await.expect("lock");
        state.create_run(&run).await.expect("run");
        let writer = JournalWriter::new(state, Arc::new(NoTime), run.clone(), Vec::new(), 0, String::new());
        let entry = || Entry::Stopped { reason: "r".to_owned() };
        writer.append(entry()).await.expect("room");
        let path = folder.path().join("runs").join(&run.0).join("journal.jsonl");
        std::fs::write(&path, "somebody else").expect("damaged");
        let first = writer.append(entry()).await.expect_err("not ours any more").to_string();
        let second = writer.append(entry()).await.expect_err("the end").to_string();
        assert!(second.contains(&first) && !second.contains("lock"), "{first}; {second}");
    }
}
