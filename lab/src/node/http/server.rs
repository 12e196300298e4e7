//! Takes connections and sends requests to the thread that runs their statement.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::super::engine::{Counters, EngineError};
use super::super::{Node, random, replicas};
use super::body::{Body, BodyReader, full};
use super::error::status_of;
use super::execute::execute;
use super::request::Request;
use super::response::Head;

/// Serves the HTTP interface until the listener is dropped.
pub async fn serve(node: Arc<Node>, listener: TcpListener) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        // Without it, each answer over a kept connection waits 40 ms for a delayed acknowledgement.
        let _ = socket.set_nodelay(true);
        let node = Arc::clone(&node);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let node = Arc::clone(&node);
                async move { Ok::<_, Infallible>(answer(node, request).await) }
            });
            let mut builder = http1::Builder::new();
            // A client that goes away ends its connection only; the statement goes on in its own thread.
            builder.timer(TokioTimer::new()).max_buf_size(2 << 20);
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(node: Arc<Node>, request: HttpRequest<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let parsed = match Request::parse(&parts.method, &parts.uri, &parts.headers) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&node, &error),
    };
    match parsed.path.as_str() {
        "/ping" => return plain(StatusCode::OK, "Ok.\n"),
        "/replicas_status" => return replicas_status(node).await,
        "/" if parsed.is_get && parsed.query.is_empty() => return plain(StatusCode::OK, "Ok.\n"),
        "/" | "/query" => {}
        path => return plain(StatusCode::NOT_FOUND, format!("There is no handle {path}\n")),
    }
    if let Err(error) = parsed.credentials.check(&node.config) {
        return refuse(&node, &error);
    }
    let body = BodyReader::new(Handle::current(), body);
    let (sender, receiver) = oneshot::channel();
    let worker = Arc::clone(&node);
    tokio::task::spawn_blocking(move || execute(&worker, parsed, body, sender));
    match receiver.await {
        Ok(response) => response,
        Err(_) => refuse(&node, &EngineError::new(1002, "UNKNOWN_EXCEPTION", "the statement ended without an answer")),
    }
}

async fn replicas_status(node: Arc<Node>) -> Response<Body> {
    let status = tokio::task::spawn_blocking(move || replicas::status(&node)).await;
    match status {
        Ok(Ok(None)) => plain(StatusCode::OK, "Ok.\n"),
        Ok(Ok(Some(lag))) => plain(StatusCode::SERVICE_UNAVAILABLE, lag),
        Ok(Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(full(text.into()));
    *response.status_mut() = status;
    response
}

/// The answer to a request that never becomes a statement.
fn refuse(node: &Node, error: &EngineError) -> Response<Body> {
    let head = Head {
        query_id: random::uuid(),
        display_name: node.config.name.clone(),
        timezone: node.engine.timezone.clone(),
        tag: random::tag(),
        format: None,
        encoding: None,
        started: Instant::now(),
    };
    let body = full(format!("{}\n", error.text(&node.engine.version)));
    head.error(status_of(error.code), error.code, Counters::default(), body)
}
