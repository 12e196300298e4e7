//! Values of secret references.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::model::secret::SecretRef;

/// Why a secret cannot be had; never holds the secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the secret from {source_name} cannot be read: {reason}")]
pub struct SecretError {
    /// Where it should come from.
    pub source_name: String,
    /// Why not.
    pub reason: String,
}

/// Looks secrets up.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// The value behind a reference.
    ///
    /// # Errors
    /// [`SecretError`] names the reference and the reason.
    async fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError>;

    /// A text of somebody who may know any secret of this process, without all that were read so far.
    fn scrub(&self, text: &str) -> String;
}
