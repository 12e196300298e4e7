//! Writes that happen only under a condition, for the state: the store decides between two writers.
//!
//! Each content must differ from every other that could stand under its key: after a lost answer the object is read
//! back, and equal content means that the write arrived.

use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use jiff::Timestamp;

use super::Bucket;
use crate::engine::ports::{ObjectError, Objects};

/// Attempts of a write whose answer was lost, each after reading the object back.
const ATTEMPTS: u32 = 3;
/// Pause before another attempt; one more of it each time.
const PAUSE: Duration = Duration::from_millis(200);

/// When a write may happen.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// The key does not exist.
    Absent,
    /// The object is still the one with this ETag.
    Unchanged(&'a str),
}

/// An object with what tells it from every other content under its key.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// Its content.
    pub content: Bytes,
    /// Its ETag, with the quotes.
    pub etag: String,
    /// When it was written, by the store's clock.
    pub at: Option<Timestamp>,
}

/// What became of a write.
#[derive(Clone, Debug)]
pub enum Written {
    /// The object is ours, with this ETag.
    Done(String),
    /// The condition did not hold; what stands there instead, if anything.
    Refused(Option<Tagged>),
}

impl Bucket {
    /// Writes an object if the condition holds. A lost answer is found out by reading back; nothing is sent again
    /// before that.
    pub(in crate::adapter) async fn write(
        &self,
        key: &str,
        content: &[u8],
        condition: Condition<'_>,
    ) -> Result<Written, ObjectError> {
        let mut attempt = 1;
        loop {
            let lost = match self.put_once(key, content, condition).await {
                Ok(Some(etag)) => return Ok(Written::Done(etag)),
                Ok(None) => None,
                Err(error @ (ObjectError::NoBucket { .. } | ObjectError::Denied { .. })) => return Err(error),
                Err(error) => Some(error),
            };
            let found = match (self.tagged(key).await, lost.as_ref()) {
                (Ok(found), _) => found,
                // It cannot be told whether it arrived: the caller learns of the write, not of the reading.
                (Err(_), Some(error)) if attempt >= ATTEMPTS => return Err(error.clone()),
                (Err(_), Some(_)) => {
                    attempt = self.pause(attempt).await;
                    continue;
                }
                (Err(error), None) => return Err(error),
            };
            let still_allowed = match (&found, condition) {
                (Some(found), _) if found.content == content => return Ok(Written::Done(found.etag.clone())),
                (None, Condition::Absent) => true,
                (Some(found), Condition::Unchanged(etag)) => found.etag == etag,
                _ => false,
            };
            match lost {
                Some(error) if still_allowed && attempt >= ATTEMPTS => return Err(error),
                Some(_) if still_allowed => attempt = self.pause(attempt).await,
                _ => return Ok(Written::Refused(found)),
            }
        }
    }

    async fn pause(&self, attempt: u32) -> u32 {
        tokio::time::sleep(PAUSE * attempt).await;
        attempt + 1
    }

    /// Sends the write once. `None` when the store refused it for its condition.
    pub(in crate::adapter) async fn put_once(
        &self,
        key: &str,
        content: &[u8],
        condition: Condition<'_>,
    ) -> Result<Option<String>, ObjectError> {
        let full = self.full(key);
        let request = self
            .client()
            .await?
            .put_object()
            .bucket(&self.config.bucket)
            .key(&full)
            .body(ByteStream::from(Bytes::copy_from_slice(content)));
        let request = match condition {
            Condition::Absent => request.if_none_match("*"),
            Condition::Unchanged(etag) => request.if_match(etag),
        };
        // Nothing below repeats a write: a repeated one would be refused for the very object it made.
        let once = aws_sdk_s3::config::Builder::default().retry_config(RetryConfig::disabled());
        match request.customize().config_override(once).send().await {
            Ok(written) => match written.e_tag() {
                Some(etag) => Ok(Some(etag.to_owned())),
                None => Err(self.unavailable(&full, "it wrote the object and told no ETag")),
            },
            Err(error) => {
                let status = error.raw_response().map_or(0, |response| response.status().as_u16());
                let has_no_bucket = error
                    .as_service_error()
                    .and_then(|error: &PutObjectError| error.meta().code())
                    .is_some_and(|code| code == "NoSuchBucket");
                match (status, condition) {
                    (412, _) => Ok(None),
                    // AWS answers so where the object that should be unchanged is gone.
                    (404, Condition::Unchanged(_)) if !has_no_bucket => Ok(None),
                    _ => Err(self.error(&full, &error)),
                }
            }
        }
    }

    /// An object with its ETag; `None` when it does not exist.
    pub(in crate::adapter) async fn tagged(&self, key: &str) -> Result<Option<Tagged>, ObjectError> {
        let full = self.full(key);
        let object = match self.client().await?.get_object().bucket(&self.config.bucket).key(&full).send().await {
            Ok(object) => object,
            Err(error) => {
                return match self.error(&full, &error) {
                    ObjectError::NotFound { .. } => Ok(None),
                    error => Err(error),
                };
            }
        };
        let Some(etag) = object.e_tag().map(str::to_owned) else {
            return Err(self.unavailable(&full, "it told no ETag of the object"));
        };
        let at = object.last_modified().and_then(|at| Timestamp::from_second(at.secs()).ok());
        let length = object.content_length();
        let content = object
            .body
            .collect()
            .await
            .map_err(|error| self.unavailable(&full, &format!("the object broke off: {error}")))?
            .into_bytes();
        if length.is_some_and(|length| u64::try_from(length) != Ok(content.len() as u64)) {
            return Err(self.unavailable(&full, &format!("{} of {length:?} bytes came", content.len())));
        }
        Ok(Some(Tagged { content, etag, at }))
    }

    /// Deletes an object; none is there afterwards.
    pub(in crate::adapter) async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let full = self.full(key);
        let sent = self.client().await?.delete_object().bucket(&self.config.bucket).key(&full).send().await;
        sent.map(|_| ()).map_err(|error| self.error(&full, &error))
    }

    /// Whether an object exists, without reading it.
    pub(in crate::adapter) async fn exists(&self, key: &str) -> Result<bool, ObjectError> {
        // A listing tells a missing object from missing rights, which the answer to HEAD does not.
        Ok(self.list(key).await?.iter().any(|object| object.key == key))
    }
}
