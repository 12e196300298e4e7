//! Objects in an S3 bucket, or a store that speaks its protocol. The port reads, and deletes what an undo takes back; the
//! state writes, under conditions.

mod conditional;
mod errors;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

pub(in crate::adapter) use self::conditional::{Condition, Tagged, Written};
use self::errors::causes;
use super::tls;
use crate::engine::ports::{ObjectError, ObjectInfo, Objects};

/// An unreachable endpoint is reported after this long, all attempts together.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);
/// One attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Attempts per reading request.
const ATTEMPTS: u32 = 3;

/// Where a bucket is and who reads it.
#[derive(Clone)]
pub struct BucketConfig {
    /// Address of the store.
    pub endpoint: String,
    /// Name of the bucket.
    pub bucket: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Put before every key, without slashes at its ends; empty for none.
    pub prefix: String,
    /// Access key id.
    pub access_key: SecretString,
    /// Secret access key.
    pub secret_key: SecretString,
}

/// One bucket below a prefix.
pub struct Bucket {
    config: BucketConfig,
    client: OnceCell<Client>,
}

impl Bucket {
    /// A bucket; nothing is connected, and no certificate is read, before the first request.
    #[must_use]
    pub fn new(mut config: BucketConfig) -> Self {
        config.endpoint = config.endpoint.trim_end_matches('/').to_owned();
        config.prefix = config.prefix.trim_matches('/').to_owned();
        Self { config, client: OnceCell::new() }
    }

    /// Bucket and prefix as an address: `s3://bucket/prefix`.
    pub(in crate::adapter) fn address(&self) -> String {
        let BucketConfig { bucket, prefix, .. } = &self.config;
        if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") }
    }

    async fn client(&self) -> Result<&Client, ObjectError> {
        self.client.get_or_try_init(|| async { self.build() }).await
    }

    fn build(&self) -> Result<Client, ObjectError> {
        let config = &self.config;
        let http = self.http()?;
        let credentials = Credentials::new(
            config.access_key.expose_secret(),
            config.secret_key.expose_secret(),
            None,
            None,
            "clickferry",
        );
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build();
        let retries =
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(Duration::from_millis(200));
        let config = aws_sdk_s3::Config::builder()
            .region(Region::new(config.region.clone()))
            .endpoint_url(&config.endpoint)
            .force_path_style(true)
            .credentials_provider(credentials)
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(retries)
            // Stores other than AWS refuse or lack the newer checksums.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(Client::from_conf(config))
    }

    /// The SDK's own client panics on a machine without CA certificates, even for plain http.
    fn http(&self) -> Result<SharedHttpClient, ObjectError> {
        if !self.config.endpoint.starts_with("https://") {
            return Ok(HttpBuilder::new().build_http());
        }
        if !tls::has_roots() {
            return Err(self.unavailable(&self.config.prefix, tls::NO_ROOTS));
        }
        Ok(HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build_https())
    }

    fn full(&self, key: &str) -> String {
        if self.config.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.config.prefix) }
    }

    /// The key below the storage's prefix.
    fn strip<'a>(&self, key: &'a str) -> &'a str {
        if self.config.prefix.is_empty() {
            return key;
        }
        key.strip_prefix(&self.config.prefix).and_then(|rest| rest.strip_prefix('/')).unwrap_or(key)
    }

    /// All pages of a listing, one by one.
    async fn pages(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        mut each: impl FnMut(&ListObjectsV2Output) + Send,
    ) -> Result<(), ObjectError> {
        let full = self.full(prefix);
        let mut token = None;
        loop {
            let page = self
                .client()
                .await?
                .list_objects_v2()
                .bucket(&self.config.bucket)
                .prefix(&full)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_continuation_token(token)
                .send()
                .await
                .map_err(|error| self.error(&full, &error))?;
            each(&page);
            token = page.next_continuation_token().map(str::to_owned);
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            // Without a token the first page would come again, for ever.
            if token.is_none() {
                return Err(self.unavailable(&full, "the listing is cut and has no token to go on"));
            }
        }
    }
}

#[async_trait]
impl Objects for Bucket {
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
        let mut found = Vec::new();
        self.pages(prefix, None, |page| {
            for object in page.contents() {
                let Some(key) = object.key() else { continue };
                let size = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
                let version = object
                    .e_tag()
                    .map(str::to_owned)
                    .or_else(|| Some(object.last_modified()?.to_millis().ok()?.to_string()));
                found.push(ObjectInfo { key: self.strip(key).to_owned(), size, version });
            }
        })
        .await?;
        // AWS lists in the order of the bytes; not every other store does.
        found.sort_by(|left, right| left.key.cmp(&right.key));
        Ok(found)
    }

    async fn list_level(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let start = self.full(prefix);
        let mut names: Vec<String> = Vec::new();
        self.pages(prefix, Some("/"), |page| {
            let folders = page.common_prefixes().iter().filter_map(|folder| folder.prefix());
            let objects = page.contents().iter().filter_map(|object| object.key());
            names.extend(
                folders
                    .chain(objects)
                    .filter_map(|key| key.strip_prefix(&start))
                    .map(|name| name.trim_end_matches('/').to_owned())
                    // A marker object of the folder itself has no name below it.
                    .filter(|name| !name.is_empty()),
            );
        })
        .await?;
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn get(&self, key: &str) -> Result<Bytes, ObjectError> {
        let full = self.full(key);
        let mut last = None;
        // The SDK repeats requests, not bodies that break off.
        for _ in 0..ATTEMPTS {
            let object = self
                .client()
                .await?
                .get_object()
                .bucket(&self.config.bucket)
                .key(&full)
                .send()
                .await
                .map_err(|error| self.error(&full, &error))?;
            let length = object.content_length();
            match object.body.collect().await {
                Ok(body) => {
                    let body = body.into_bytes();
                    if length.is_none_or(|length| u64::try_from(length) == Ok(body.len() as u64)) {
                        return Ok(body);
                    }
                    last = Some(format!("{} of {length:?} bytes came", body.len()));
                }
                Err(error) => last = Some(format!("the object broke off: {}", causes(&error))),
            }
        }
        Err(self.unavailable(&full, &last.unwrap_or_default()))
    }

    async fn delete(&self, key: &str) -> Result<(), ObjectError> {
        let full = self.full(key);
        // Deleting is the same however often it is asked; versions of a versioned bucket stay.
        self.client()
            .await?
            .delete_object()
            .bucket(&self.config.bucket)
            .key(&full)
            .send()
            .await
            .map(|_| ())
            .map_err(|error| self.error(&full, &error))
    }

    async fn check_access(&self) -> Result<(), ObjectError> {
        let prefix = self.full("");
        self.client()
            .await?
            .list_objects_v2()
            .bucket(&self.config.bucket)
            .prefix(&prefix)
            .max_keys(1)
            .send()
            .await
            .map_err(|error| self.error(&prefix, &error))?;
        Ok(())
    }

    fn describe(&self) -> String {
        format!("{} at {}", self.address(), self.config.endpoint)
    }
}

#[cfg(test)]
mod tests;
