//! Objects in a bucket.

use async_trait::async_trait;
use bytes::Bytes;

/// What a listing tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Key below the storage's prefix.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// What changes when the object is written again: its `ETag`, else the time of its last change; `None` where the
    /// store tells neither.
    pub version: Option<String>,
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectError {
    /// No such object.
    #[error("{location} does not exist")]
    NotFound {
        /// Bucket and key.
        location: String,
    },
    /// No such bucket.
    #[error("the bucket {bucket} does not exist at {endpoint}")]
    NoBucket {
        /// Bucket.
        bucket: String,
        /// Address of the store.
        endpoint: String,
    },
    /// The store refused the keys.
    #[error("{endpoint} refused the keys for bucket {bucket}: {reason}")]
    Denied {
        /// Bucket.
        bucket: String,
        /// Address of the store.
        endpoint: String,
        /// What the store said.
        reason: String,
    },
    /// The store could not be reached or answered something else.
    #[error("{endpoint} did not answer for {location}: {reason}")]
    Unavailable {
        /// Address of the store.
        endpoint: String,
        /// Bucket and key or prefix.
        location: String,
        /// What happened.
        reason: String,
    },
}

/// One bucket (below the prefix of its storage role).
#[async_trait]
pub trait Objects: Send + Sync {
    /// All objects whose key starts with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// See [`ObjectError`]; an empty listing is not an error.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, ObjectError>;

    /// Names of the "folders" and objects directly below a prefix that ends with `/` (or is empty).
    ///
    /// # Errors
    /// See [`ObjectError`].
    async fn list_level(&self, prefix: &str) -> Result<Vec<String>, ObjectError>;

    /// The whole object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`] when it does not exist.
    async fn get(&self, key: &str) -> Result<Bytes, ObjectError>;

    /// Deletes one object; an object that is not there is no error.
    ///
    /// # Errors
    /// See [`ObjectError`].
    async fn delete(&self, key: &str) -> Result<(), ObjectError>;

    /// Whether the bucket exists and the keys may list it.
    ///
    /// # Errors
    /// See [`ObjectError`].
    async fn check_access(&self) -> Result<(), ObjectError>;

    /// Where this is, for people: `s3://bucket/prefix at endpoint`.
    fn describe(&self) -> String;
}
