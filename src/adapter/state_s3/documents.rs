//! Runs and their documents, one object each.

use std::collections::BTreeMap;

use super::lease::Lease;
use super::{StateS3, keys};
use crate::adapter::s3::{Condition, Written};
use crate::adapter::state_names::{JOURNAL, check_left, check_run, check_written};
use crate::engine::ports::{Document, Objects, StateError};
use crate::model::ids::RunId;

/// Attempts to replace a document.
const ATTEMPTS: u32 = 3;
/// Where records lie; no document may be called so.
const RECORDS: &str = "journal/";

impl StateS3 {
    pub(super) async fn make_run(&self, run: &RunId) -> Result<(), StateError> {
        let action = format!("creating run {run}");
        check_run(run.as_str()).map_err(|reason| self.failed(&action, reason))?;
        let lease = self.held(run, &action)?;
        // Tells our own object from one that somebody else made, should the answer be lost.
        let text = format!("{{\"version\":1,\"run\":\"{run}\",\"made_by\":\"{}\"}}\n", lease.nonce());
        let written = self.bucket.write(&keys::index(run.as_str()), text.as_bytes(), Condition::Absent).await;
        match written.map_err(|error| self.store_error(&action, &error))? {
            Written::Done(_) => Ok(()),
            Written::Refused(_) => Err(self.failed(&action, "it is there already")),
        }
    }

    pub(super) async fn write_document(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        let action = format!("writing {name} of run {run}");
        let id = self.checked_run(run)?;
        check_written(name).map_err(|reason| self.failed(&action, reason))?;
        if name.starts_with(RECORDS) {
            return Err(self.failed(&action, "the records of the journal lie there"));
        }
        let lease = self.held(run, &action)?;
        self.replace(id, name, content, Some(&lease), &action).await
    }

    pub(super) async fn leave_document(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        let action = format!("writing {name} of run {run}");
        let id = self.checked_run(run)?;
        check_left(name).map_err(|reason| self.failed(&action, reason))?;
        self.replace(id, name, content, None, &action).await
    }

    /// Replaces a document; where it needs the lock, only while the store says that the lock is ours.
    async fn replace(
        &self,
        run: &str,
        name: &str,
        content: &[u8],
        lease: Option<&Lease>,
        action: &str,
    ) -> Result<(), StateError> {
        if !self.run_exists(run, action).await? {
            return Err(self.missing(format!("run {run}")));
        }
        let key = keys::document(run, name);
        for _ in 0..ATTEMPTS {
            // Read before the lock is asked for: whoever writes after us changes the object that is swapped.
            let standing = self.bucket.tagged(&key).await.map_err(|error| self.store_error(action, &error))?;
            if let Some(lease) = lease {
                lease.confirm().await.map_err(|reason| self.lost(action, &reason))?;
            }
            let condition = standing.as_ref().map_or(Condition::Absent, |found| Condition::Unchanged(&found.etag));
            let written = self.bucket.write(&key, content, condition).await;
            if let Written::Done(_) = written.map_err(|error| self.store_error(action, &error))? {
                return Ok(());
            }
        }
        Err(self.failed(action, "the object keeps changing"))
    }

    pub(super) async fn list_documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        let action = format!("listing the documents of run {run}");
        let id = self.checked_run(run)?;
        if !self.run_exists(id, &action).await? {
            return Err(self.missing(format!("run {run}")));
        }
        let below = keys::run(id);
        let objects = self.bucket.list(&below).await.map_err(|error| self.store_error(&action, &error))?;
        let mut sizes: BTreeMap<&str, u64> = BTreeMap::from([(JOURNAL, 0)]);
        for object in &objects {
            let name = object.key.strip_prefix(&below).unwrap_or(&object.key);
            let name = if name.starts_with(RECORDS) { JOURNAL } else { name };
            *sizes.entry(name).or_default() += object.size;
        }
        Ok(sizes.into_iter().map(|(name, size)| Document { name: name.to_owned(), size }).collect())
    }
}
