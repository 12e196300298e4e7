//! The S3 endpoint: s3s-fs behind a fault switch, in the process of the supervisor.

pub mod faults;
mod rules;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

use crate::error::LabError;
use crate::files;
use faults::{FaultKind, S3Fault, Switch};
use rules::{IgnoreConditions, Rules};

/// A running S3 endpoint; it ends with the runtime that serves it.
#[derive(Clone, Debug)]
pub struct S3Endpoint {
    switch: Arc<Mutex<Switch>>,
}

/// The key pair that opens the buckets.
pub struct S3Keys {
    /// Public half.
    pub access_key: String,
    /// Secret half.
    pub secret_key: String,
}

impl S3Endpoint {
    /// Serves the buckets under `root` on an open listener, and makes the bucket named.
    pub fn start(
        runtime: &tokio::runtime::Handle,
        listener: TcpListener,
        root: &Path,
        bucket: &str,
        keys: &S3Keys,
    ) -> Result<S3Endpoint, LabError> {
        files::private_dir(&root.join(bucket))?;
        let store = s3s_fs::FileSystem::new(root)
            .map_err(|e| LabError::io("serve", root)(io::Error::other(format!("{e:?}"))))?;
        let mut builder = S3ServiceBuilder::new(store);
        builder.set_auth(SimpleAuth::from_single(&*keys.access_key, &*keys.secret_key));
        builder.set_access(Rules::new(root.to_path_buf()));
        let store = Store { service: builder.build(), switch: Arc::default(), conditional: Arc::default() };
        let switch = Arc::clone(&store.switch);
        listener.set_nonblocking(true).map_err(LabError::io("serve", root))?;
        let _guard = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).map_err(LabError::io("serve", root))?;
        runtime.spawn(accept(listener, store));
        Ok(S3Endpoint { switch })
    }

    /// Sets or clears the fault.
    pub fn set_fault(&self, fault: Option<S3Fault>) {
        lock(&self.switch).set(fault);
    }

    /// The fault as it stands and the number of requests so far.
    pub fn observe(&self) -> (Option<S3Fault>, u64) {
        let switch = lock(&self.switch);
        (switch.fault(), switch.requests())
    }
}

/// The switch is never left half changed, so a panic elsewhere does not spoil it.
fn lock(switch: &Mutex<Switch>) -> MutexGuard<'_, Switch> {
    switch.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every connection shares.
#[derive(Clone)]
struct Store {
    service: S3Service,
    switch: Arc<Mutex<Switch>>,
    /// Held by one conditional write at a time, and by no reader meanwhile. s3s-fs looks first and writes later: two
    /// writers that both looked would both win, and a reader could meet the new content with the old ETag. S3 promises
    /// that neither happens.
    conditional: Arc<tokio::sync::RwLock<()>>,
}

async fn accept(listener: tokio::net::TcpListener, store: Store) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely; they come back when a connection ends.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // A small answer must not wait for the acknowledgement of the one before it. A failure here only
        // makes the connection slower.
        let _ = stream.set_nodelay(true);
        let store = store.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(request, store.clone()));
            // A client that goes away is no failure of the endpoint.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

type Answer = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>>;

async fn answer(request: Request<Incoming>, store: Store) -> io::Result<Answer> {
    let mut request = request;
    let fault = lock(&store.switch).next(request.method().as_str(), request.uri().path());
    match fault {
        Some(FaultKind::Cut) => return Err(cut()),
        Some(FaultKind::Status(status)) => return refusal(status, request).await,
        Some(FaultKind::DelayMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
        Some(FaultKind::IgnoreConditions) => {
            request.extensions_mut().insert(IgnoreConditions);
        }
        Some(FaultKind::LoseAnswer) | None => {}
    }
    let conditional = ["if-match", "if-none-match"].iter().any(|name| request.headers().contains_key(*name));
    let (mut _writing, mut _reading) = (None, None);
    if request.method().is_safe() {
        _reading = Some(store.conditional.read().await);
    } else if conditional {
        _writing = Some(store.conditional.write().await);
    }
    let response =
        hyper::service::Service::call(&store.service, request).await.map_err(|e| io::Error::other(format!("{e:?}")))?;
    if fault == Some(FaultKind::LoseAnswer) {
        return Err(cut());
    }
    Ok(response.map(|body| body.map_err(io::Error::other).boxed_unsync()))
}

/// hyper closes a connection whose service fails, without a word to the client.
fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut by the laboratory")
}

/// An S3 error of this status, after the request has been read to its end, as a real store does it.
async fn refusal(status: u16, request: Request<Incoming>) -> io::Result<Answer> {
    let path = request.uri().path().to_owned();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(io::Error::other)?;
    }
    let xml = error_xml(status, &path);
    let body = Full::new(Bytes::from(xml)).map_err(|never: Infallible| match never {}).boxed_unsync();
    Response::builder().status(status).header("content-type", "application/xml").body(body).map_err(io::Error::other)
}

fn error_xml(status: u16, path: &str) -> String {
    let (code, message) = match status {
        403 => ("AccessDenied", "Access Denied"),
        404 => ("NoSuchKey", "The specified key does not exist."),
        429 => ("TooManyRequests", "Please reduce your request rate."),
        500 => ("InternalError", "We encountered an internal error. Please try again."),
        503 => ("SlowDown", "Please reduce your request rate."),
        _ => ("LaboratoryFault", "The laboratory was told to answer this."),
    };
    let path = path.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <Resource>{path}</Resource><RequestId>laboratory</RequestId></Error>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_the_code_of_their_status() {
        assert!(error_xml(503, "/b/k").contains("<Code>SlowDown</Code>"));
        assert!(error_xml(403, "/b/a&b").contains("<Resource>/b/a&amp;b</Resource>"));
    }
}
