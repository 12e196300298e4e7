//! Whether the store keeps two writers apart, seen before the first lock: a store that takes a condition and does not
//! honour it looks like any other until the night when two engines work on one target.

use super::{StateS3, keys};
use crate::adapter::s3::Condition;
use crate::engine::ports::{ObjectError, StateError, StateStore};

/// Attempts of each write of the probe.
const ATTEMPTS: u32 = 3;
/// An ETag that no content has.
const NOBODYS: &str = "\"00000000000000000000000000000000\"";

impl StateS3 {
    /// Shows once per process that a second create and a swap of something else are refused.
    pub(super) async fn check_store(&self) -> Result<(), StateError> {
        self.fit.get_or_try_init(|| self.probe()).await.map(|_| ())
    }

    async fn probe(&self) -> Result<(), StateError> {
        let expected = "it refuses to create an object that exists (If-None-Match: *), with status 412";
        // Whoever was here before has made it: then this is refused already.
        self.written(Condition::Absent, expected).await?;
        if self.written(Condition::Absent, expected).await? {
            return Err(self.unfit(expected, "the same object was created twice, the second over the first"));
        }
        let expected = "it refuses to replace an object that has changed (If-Match), with status 412";
        if self.written(Condition::Unchanged(NOBODYS), expected).await? {
            return Err(self.unfit(expected, "an object was replaced under the ETag of another one"));
        }
        Ok(())
    }

    /// Whether the store carried the write out.
    async fn written(&self, condition: Condition<'_>, expected: &str) -> Result<bool, StateError> {
        let mut attempt = 1;
        loop {
            let content = uuid::Uuid::now_v7().to_string();
            match self.bucket.put_once(keys::PROBE, content.as_bytes(), condition).await {
                Ok(etag) => return Ok(etag.is_some()),
                // Some stores say so instead of ignoring a condition.
                Err(ObjectError::Unavailable { reason, .. }) if reason.contains("NotImplemented") => {
                    return Err(self.unfit(expected, &reason));
                }
                Err(error @ ObjectError::Unavailable { .. }) if attempt >= ATTEMPTS => {
                    return Err(self.store_error("asking whether the store can hold a lock", &error));
                }
                Err(ObjectError::Unavailable { .. }) => attempt += 1,
                Err(error) => return Err(self.store_error("asking whether the store can hold a lock", &error)),
            }
        }
    }

    fn unfit(&self, expected: &str, found: &str) -> StateError {
        StateError::Unfit { location: self.describe(), expected: expected.to_owned(), found: found.to_owned() }
    }
}
