//! What a store or the network said, as the errors of the port.

use std::error::Error as StdError;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::Bucket;
use crate::engine::ports::ObjectError;

impl Bucket {
    pub(super) fn unavailable(&self, key: &str, reason: &str) -> ObjectError {
        ObjectError::Unavailable {
            endpoint: self.config.endpoint.clone(),
            location: self.location(key),
            reason: reason.to_owned(),
        }
    }

    fn location(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.config.bucket)
    }

    /// Stores differ in status and code; the code counts where there is one.
    pub(super) fn error<E>(&self, key: &str, error: &SdkError<E>) -> ObjectError
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let bucket = || self.config.bucket.clone();
        let endpoint = || self.config.endpoint.clone();
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let (code, message) = match error {
            SdkError::ServiceError(service) => {
                (service.err().code().unwrap_or_default(), service.err().message().unwrap_or_default())
            }
            _ => ("", ""),
        };
        let said =
            if code.is_empty() { format!("status {status}") } else { format!("{code} {message}").trim().to_owned() };
        match (code, status) {
            ("NoSuchBucket", _) => ObjectError::NoBucket { bucket: bucket(), endpoint: endpoint() },
            ("NoSuchKey" | "NotFound", _) | ("", 404) => ObjectError::NotFound { location: self.location(key) },
            (
                "AccessDenied"
                | "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "AuthorizationHeaderMalformed"
                | "NotSignedUp",
                _,
            )
            | (_, 401 | 403) => ObjectError::Denied { bucket: bucket(), endpoint: endpoint(), reason: said },
            (_, status) if status != 0 => self.unavailable(key, &format!("it answered {said}")),
            _ => self.unavailable(key, &causes(error)),
        }
    }
}

/// An error with its causes, each said once.
pub(super) fn causes(error: &dyn StdError) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let text = error.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        current = error.source();
    }
    parts.join(": ")
}
