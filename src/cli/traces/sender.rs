//! Sends finished spans over HTTP with the same connections and trust as everything else, and remembers what went wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};
use tokio::runtime::Handle;

use crate::adapter::tls::Connector;

/// Longest time for one batch: nobody waits for it but the thread that sends.
const LIMIT: Duration = Duration::from_secs(5);
/// Most of an answer that is read.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The HTTP client of the exporter. Its thread knows no runtime, so requests run on ours.
#[derive(Clone)]
pub(super) struct Sender {
    client: Client<Connector, Full<Bytes>>,
    runtime: Handle,
    failure: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Addresses and headers may hold secrets.
        f.write_str("Sender")
    }
}

impl Sender {
    /// A client on the runtime that this is called on.
    pub(super) fn new() -> Self {
        let connector = Connector::new(LIMIT);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, runtime: Handle::current(), failure: Arc::default() }
    }

    /// What went wrong last.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn failed(&self, reason: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    async fn send(
        client: Client<Connector, Full<Bytes>>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, HttpError> {
        let answer = client.request(request.map(Full::new)).await?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        // A timer needs our runtime already when it is made, so it is made there.
        let sending = self.runtime.spawn(async { tokio::time::timeout(LIMIT, Self::send(client, request)).await });
        let answer: Result<Response<Bytes>, HttpError> = match sending.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("no answer within {} s", LIMIT.as_secs()).into()),
            Err(ended) => Err(ended.into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.failed(format!("it answered {}", answer.status())),
            Err(error) => self.failed(with_causes(&**error)),
        }
        answer
    }
}

/// An error with what it came from: clients hide the reason behind their own words.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
