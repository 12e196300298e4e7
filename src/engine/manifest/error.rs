//! Why a backup cannot be read.

use super::BackupState;
use crate::diag::Refusal;
use crate::engine::ports::ObjectError;
use crate::engine::retry::class_of_objects;
use crate::model::runbook::ErrorClass;

/// An entry whose object is not there, or has another size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingObject {
    /// Key below the backup's path.
    pub key: String,
    /// Size by the manifest.
    pub expected: u64,
    /// Size in the bucket; `None` where there is no such object.
    pub found: Option<u64>,
}

/// Why a backup cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is no manifest.
    #[error("there is no complete backup at {location}")]
    NoBackup {
        /// Path and bucket.
        location: String,
        /// What is there instead.
        state: BackupState,
    },
    /// The manifest or a file it names does not make sense.
    #[error("the backup at {location} is damaged: {reason}")]
    Damaged {
        /// Path and bucket.
        location: String,
        /// What does not.
        reason: String,
    },
    /// A kind of backup that cannot be read from the bucket.
    #[error("the backup at {location} is of a kind that cannot be read: {reason}")]
    Unsupported {
        /// Path and bucket.
        location: String,
        /// Which.
        reason: String,
    },
    /// Objects are missing or cut.
    #[error("the backup at {location} lacks {count} of its objects")]
    Incomplete {
        /// Path and bucket.
        location: String,
        /// How many.
        count: u64,
        /// The first of them.
        missing: Vec<MissingObject>,
    },
    /// The store did not answer.
    #[error(transparent)]
    Objects(ObjectError),
}

impl ManifestError {
    /// Whether reading it again may help; a damaged backup stays damaged.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        match self {
            Self::Objects(error) => class_of_objects(error),
            _ => None,
        }
    }

    /// The error as a refusal; `what` says what the backup was wanted for.
    #[must_use]
    pub fn refusal(&self, what: &str) -> Refusal {
        let (expected, found, action) = match self {
            Self::NoBackup { location, state } => (
                format!("a complete backup at {location}"),
                found_instead(*state).to_owned(),
                "correct the path; an unfinished backup cannot be restored",
            ),
            Self::Damaged { reason, .. } | Self::Unsupported { reason, .. } => (
                "a native backup that is not in an archive, made without ON CLUSTER, with its data in one place"
                    .to_owned(),
                reason.clone(),
                "use another backup, or restore this one with ClickHouse's own means",
            ),
            Self::Incomplete { count, missing, .. } => {
                let first: Vec<String> = missing
                    .iter()
                    .map(|object| match object.found {
                        Some(size) => format!("{} has {size} bytes instead of {}", object.key, object.expected),
                        None => format!("{} ({} bytes) is not there", object.key, object.expected),
                    })
                    .collect();
                (
                    "every file of the manifest has its object with its size".to_owned(),
                    format!("{count} do not: {}", first.join("; ")),
                    "this backup has lost data: do not use it",
                )
            }
            Self::Objects(error) => return object_refusal(what, error),
        };
        Refusal { what: format!("{what}: {self}"), expected, found, evidence: String::new(), action: action.to_owned() }
    }
}

/// What a store's error means and what to do.
#[must_use]
pub fn object_refusal(what: &str, error: &ObjectError) -> Refusal {
    let (expected, action) = match error {
        ObjectError::NotFound { .. } => ("the object is there", "look at the bucket: something was deleted"),
        ObjectError::NoBucket { .. } => (
            "the bucket exists",
            "create the bucket, or correct `bucket` or `endpoint` of the storage in the environment",
        ),
        ObjectError::Denied { .. } => (
            "the keys may read and list the bucket",
            "correct `credentials` of the storage in the environment, or the rights of these keys",
        ),
        ObjectError::Unavailable { .. } => {
            ("the store answers", "start the store, or correct `endpoint` of the storage in the environment")
        }
    };
    Refusal {
        what: what.to_owned(),
        expected: expected.to_owned(),
        found: error.to_string(),
        evidence: String::new(),
        action: action.to_owned(),
    }
}

fn found_instead(state: BackupState) -> &'static str {
    match state {
        BackupState::Complete | BackupState::CompleteLocked => "a manifest that vanished while it was read",
        BackupState::Unfinished => "a `.lock` without a manifest: a server is writing it, or died while it did",
        BackupState::Remains => "objects without a manifest: a backup that failed or was partly deleted",
        BackupState::Nothing => "nothing",
    }
}
