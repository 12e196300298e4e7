//! Records: each an object, created under its number and never overwritten.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::fence::FenceFile;
use super::lease::Lease;
use super::{StateS3, keys};
use crate::adapter::s3::{Condition, Tagged, Written};
use crate::engine::ports::{ObjectError, ObjectInfo, Objects, StateError};
use crate::model::ids::RunId;

/// Records on their way at the same time.
const PARALLEL: usize = 64;
/// Attempts to replace our own fence.
const ATTEMPTS: u32 = 3;

impl StateS3 {
    pub(super) async fn append_record(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError> {
        let action = format!("appending record {number} to the journal of run {run}");
        let id = self.checked_run(run)?;
        let lease = self.held(run, &action)?;
        let appended = self.append_under(&lease, id, number, line, &action).await;
        if let Err(error) = &appended {
            lease.end_writes(format!("an earlier write failed ({error})"));
        }
        appended
    }

    async fn append_under(
        &self,
        lease: &Lease,
        run: &str,
        number: u64,
        line: &[u8],
        action: &str,
    ) -> Result<(), StateError> {
        if !lease.anchored.load(Ordering::SeqCst) {
            self.anchor(lease, run, number, action).await?;
        }
        let key = keys::record(run, number);
        let mut fence: Option<Tagged> = None;
        for _ in 0..ATTEMPTS {
            let condition = fence.as_ref().map_or(Condition::Absent, |fence| Condition::Unchanged(&fence.etag));
            let written = self.bucket.write(&key, line, condition).await;
            match written.map_err(|error| self.store_error(action, &error))? {
                Written::Done(_) => {
                    lease.anchored.store(true, Ordering::SeqCst);
                    return Ok(());
                }
                Written::Refused(found) => fence = Some(self.passable_fence(lease, found, action).await?),
            }
        }
        Err(self.failed(action, "the object that stands there keeps changing"))
    }

    /// Before its first record: the lock is still held now, so the end of the journal that the caller has read under
    /// it is the end. From the first record on, each number follows one that is ours.
    async fn anchor(&self, lease: &Lease, run: &str, number: u64, action: &str) -> Result<(), StateError> {
        if number > 1 {
            let before = self.bucket.exists(&keys::record(run, number - 1)).await;
            if !before.map_err(|error| self.store_error(action, &error))? {
                return Err(self.lost(action, &format!("record {} is not there", number - 1)));
            }
        } else if !self.run_exists(run, action).await? {
            return Err(self.missing(format!("run {run}")));
        }
        lease.confirm().await.map_err(|reason| self.lost(action, &reason))
    }

    /// What keeps a number from us: a fence that may be replaced, or somebody else's record. A fence is none of a later
    /// holder's where the lock is ours after it was read: a later holder has the lock before it fences, and would
    /// change the fence, which the swap that follows notices.
    async fn passable_fence(&self, lease: &Lease, found: Option<Tagged>, action: &str) -> Result<Tagged, StateError> {
        let Some(found) = found else {
            return Err(self.lost(action, "the object that stood there is gone"));
        };
        if FenceFile::read(&found.content).is_none() {
            return Err(self.lost(action, "somebody else has written a record of that number"));
        }
        lease.confirm().await.map_err(|reason| self.lost(action, &reason))?;
        Ok(found)
    }

    /// All records in order, without a fence behind them; `None` where there is nothing at all.
    pub(super) async fn read_journal(&self, run: &str, action: &str) -> Result<Option<Vec<u8>>, StateError> {
        let objects = self.record_objects(run, action).await?;
        let contents = self.contents(&objects, action).await?;
        if contents.is_empty() {
            return Ok(None);
        }
        Ok(Some(without_fence(&contents).concat()))
    }

    async fn record_objects(&self, run: &str, action: &str) -> Result<Vec<ObjectInfo>, StateError> {
        self.bucket.list(&keys::journal(run)).await.map_err(|error| self.store_error(action, &error))
    }

    async fn contents(&self, objects: &[ObjectInfo], action: &str) -> Result<Vec<Bytes>, StateError> {
        let reads: Vec<_> = objects.iter().map(|object| self.content(object)).collect();
        let contents = stream::iter(reads).buffered(PARALLEL).try_collect().await;
        contents.map_err(|error| self.store_error(action, &error))
    }

    async fn content(&self, object: &ObjectInfo) -> Result<Bytes, ObjectError> {
        let known = self.records.lock().unwrap_or_else(PoisonError::into_inner).get(&object.key).cloned();
        if let Some(known) = known.filter(|known| known.len() as u64 == object.size) {
            return Ok(known);
        }
        let content = self.bucket.get(&object.key).await?;
        // A whole record never changes; a fence does.
        if content.ends_with(b"\n") {
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            records.insert(object.key.clone(), content.clone());
        }
        Ok(content)
    }

    pub(super) async fn cut_journal(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        let action = format!("cutting the journal of run {run}");
        let id = self.checked_run(run)?;
        let lease = self.held(run, &action)?;
        let objects = self.record_objects(id, &action).await?;
        let contents = self.contents(&objects, &action).await?;
        let kept = without_fence(&contents).len();
        let (mut end, mut first) = (0, 0);
        while first < kept && end < length {
            end += contents[first].len() as u64;
            first += 1;
        }
        if end != length || contents[..first].last().is_some_and(|last| !last.ends_with(b"\n")) {
            return Err(self.failed(&action, format!("byte {length} is not behind a whole record")));
        }
        lease.confirm().await.map_err(|reason| self.lost(&action, &reason))?;
        let failed = |error| self.store_error(&action, &error);
        // From the end on, so that no hole is left by a crash; the first one becomes a fence, so that its number is
        // not free for somebody who lost the lock.
        for object in objects.iter().skip(first + 1).rev() {
            self.bucket.delete(&object.key).await.map_err(failed)?;
        }
        if let Some(object) = objects.get(first)
            && let Some(found) = self.bucket.tagged(&object.key).await.map_err(failed)?
        {
            let text = serde_json::to_vec(&FenceFile::of(&lease));
            let text = text.map_err(|error| self.failed(&action, error.to_string()))?;
            let written = self.bucket.write(&object.key, &text, Condition::Unchanged(&found.etag)).await;
            if let Written::Refused(_) = written.map_err(failed)? {
                return Err(self.lost(&action, "somebody else writes to it"));
            }
        }
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clear();
        lease.anchored.store(false, Ordering::SeqCst);
        Ok(())
    }
}

/// The records without a fence at their end. Elsewhere a fence is damage, and is left for the reader to notice.
fn without_fence(contents: &[Bytes]) -> &[Bytes] {
    match contents.split_last() {
        Some((last, records)) if FenceFile::read(last).is_some() => records,
        _ => contents,
    }
}
