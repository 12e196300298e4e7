//! The place of the state.

use std::path::Path;
use std::sync::Arc;

use super::{Builder, keys_of, refusal, unusable};
use crate::adapter::redact::Redactor;
use crate::adapter::s3::BucketConfig;
use crate::adapter::secrets::LocalSecrets;
use crate::adapter::state_folder::StateFolder;
use crate::adapter::state_s3::StateS3;
use crate::diag::Refusal;
use crate::engine::ports::StateStore;
use crate::model::environment::{StateBinding, StateS3Binding};

/// The state alone, for commands that contact no server; only its own secrets are read.
///
/// # Errors
/// Every secret that cannot be read, and an address that cannot be used.
pub async fn connect_state(
    binding: &StateBinding,
    base_dir: &Path,
    redactor: &Redactor,
) -> Result<Arc<dyn StateStore>, Vec<Refusal>> {
    let secrets = LocalSecrets::new(base_dir, redactor.clone());
    let mut builder = Builder { secrets, refusals: Vec::new() };
    let state = builder.state(binding, base_dir).await;
    state.filter(|_| builder.refusals.is_empty()).ok_or(builder.refusals)
}

impl Builder {
    /// The state; `None` where a refusal tells why not.
    pub(super) async fn state(&mut self, binding: &StateBinding, base_dir: &Path) -> Option<Arc<dyn StateStore>> {
        match binding {
            StateBinding::Directory(folder) => Some(Arc::new(StateFolder::new(base_dir.join(folder)))),
            StateBinding::S3(binding) => self.state_s3(binding).await,
        }
    }

    async fn state_s3(&mut self, binding: &StateS3Binding) -> Option<Arc<dyn StateStore>> {
        if let Some(reason) = unusable(&binding.endpoint) {
            self.refusals.push(refusal(
                "the endpoint of the state cannot be used",
                "http://host:port or https://host, without keys",
                reason,
                "",
                "correct `endpoint` of `state` in the environment file",
            ));
        }
        let (access, secret) = keys_of(binding.credentials.as_ref());
        let access_key = self.secret("access key of the state", &access).await;
        let secret_key = self.secret("secret key of the state", &secret).await;
        Some(Arc::new(StateS3::new(BucketConfig {
            endpoint: binding.endpoint.clone(),
            bucket: binding.bucket.clone(),
            region: binding.region.clone(),
            prefix: binding.prefix.clone(),
            access_key: access_key?,
            secret_key: secret_key?,
        })))
    }
}
