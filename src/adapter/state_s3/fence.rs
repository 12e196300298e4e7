//! The fence: whoever takes a lock over occupies the next number of the former holder's journal.
//!
//! The former holder knows one number to write next, and a number is created once. So after the fence stands, whatever
//! the former holder still sends is refused by the store, however late it wakes up and whatever its clock says. What
//! arrived before the fence is in the journal that the new holder reads afterwards. A fence is replaced by the next
//! record of whoever holds the lock, by compare-and-swap, after the lock was proved to be held; or by the next fence.

use serde::{Deserialize, Serialize};

use super::lease::Lease;
use super::{StateS3, keys};
use crate::adapter::s3::{Condition, Written};
use crate::engine::ports::{LockHolder, Objects, StateError};

/// Attempts: each that fails was overtaken by a record or by another fence.
const ATTEMPTS: u32 = 10;

/// Content of a fence. A record has no such key.
#[derive(Debug, Serialize, Deserialize)]
pub struct FenceFile {
    /// What is fenced.
    pub fence: Fence,
}

/// Who fenced.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fence {
    /// Different for every fence.
    pub id: String,
    /// The holder.
    pub holder: LockHolder,
}

impl FenceFile {
    /// A fence of this holder.
    pub fn of(lease: &Lease) -> Self {
        Self { fence: Fence { id: uuid::Uuid::now_v7().to_string(), holder: lease.holder().clone() } }
    }

    /// The fence in an object, unless it is a record.
    pub fn read(content: &[u8]) -> Option<Self> {
        content.starts_with(b"{\"fence\":").then(|| serde_json::from_slice(content).ok()).flatten()
    }
}

impl StateS3 {
    /// Returns when nobody who held the lock before can append to the run any more.
    pub(super) async fn fence(&self, run: &str, lease: &Lease) -> Result<(), StateError> {
        let action = format!("fencing the journal of run {run}");
        let failed = |error| self.store_error(&action, &error);
        for _ in 0..ATTEMPTS {
            let keys = self.bucket.list(&keys::journal(run)).await.map_err(failed)?;
            let last = keys.iter().filter_map(|object| keys::number(&object.key)).max().unwrap_or(0);
            let text = serde_json::to_vec(&FenceFile::of(lease));
            let text = text.map_err(|error| self.failed(&action, error.to_string()))?;
            let standing = match last {
                0 => None,
                last => self.bucket.tagged(&keys::record(run, last)).await.map_err(failed)?,
            };
            // A fence that an earlier holder left keeps that one from writing, but not that one's own first record.
            let written = match standing.filter(|found| FenceFile::read(&found.content).is_some()) {
                Some(fence) => {
                    let key = keys::record(run, last);
                    self.bucket.write(&key, &text, Condition::Unchanged(&fence.etag)).await
                }
                None => self.bucket.write(&keys::record(run, last + 1), &text, Condition::Absent).await,
            };
            if let Written::Done(_) = written.map_err(failed)? {
                return Ok(());
            }
        }
        Err(self.failed(&action, "somebody else keeps writing to it"))
    }
}
