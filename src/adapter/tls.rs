//! TLS and connections for all HTTP clients: one provider, native roots, no panic where a machine has none.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

/// How long a connection may take: name lookup, TCP and TLS together.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Half of what load balancers and firewalls cut idle connections after; long statements sit silent.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What this machine trusts, read once.
struct Trust {
    config: ClientConfig,
    has_roots: bool,
}

static TRUST: LazyLock<Result<Trust, String>> = LazyLock::new(load);

fn load() -> Result<Trust, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))
    };
    Ok(match builder()?.with_native_roots() {
        Ok(config) => Trust { config: config.with_no_client_auth(), has_roots: true },
        // A container without CA files: plain http must work, https is refused at its handshake.
        Err(_) => Trust {
            config: builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
            has_roots: false,
        },
    })
}

/// Whether this machine has CA certificates, without which no https server can be trusted.
#[must_use]
pub fn has_roots() -> bool {
    TRUST.as_ref().is_ok_and(|trust| trust.has_roots)
}

/// What to tell people when https is asked for and [`has_roots`] is false.
pub const NO_ROOTS: &str =
    "this machine has no CA certificates (install ca-certificates, or name a file in SSL_CERT_FILE)";

/// A stream to a server, with or without TLS.
pub type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens connections, and can tell whether it ever did: what never had a connection was never sent.
#[derive(Clone)]
pub struct Connector {
    http: HttpConnector,
    limit: Duration,
    connected: Arc<AtomicBool>,
}

impl Connector {
    /// A connector that gives up after `limit`.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        http.set_connect_timeout(Some(limit));
        Self { http, limit, connected: Arc::new(AtomicBool::new(false)) }
    }

    /// With TLS. Certificates are read at the first use: hundreds of them, which plain http does not need.
    fn secure(&self) -> Result<HttpsConnector<HttpConnector>, String> {
        let trust = TRUST.as_ref().map_err(Clone::clone)?;
        Ok(HttpsConnectorBuilder::new()
            .with_tls_config(trust.config.clone())
            .https_only()
            .enable_http1()
            .wrap_connector(self.http.clone()))
    }

    /// The same connector with a flag of its own.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { connected: Arc::new(AtomicBool::new(false)), ..self.clone() }
    }

    /// Turns true as soon as one connection stood, including its TLS handshake.
    #[must_use]
    pub fn connected(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.connected)
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let secure = uri.scheme_str() == Some("https");
        let (limit, connected, mut this) = (self.limit, Arc::clone(&self.connected), self.clone());
        Box::pin(async move {
            let connecting = async {
                if secure {
                    return this.secure()?.call(uri).await;
                }
                this.http.call(uri).await.map(MaybeHttpsStream::Http).map_err(Into::into)
            };
            match tokio::time::timeout(limit, connecting).await {
                Ok(Ok(stream)) => {
                    connected.store(true, Ordering::SeqCst);
                    Ok(stream)
                }
                Ok(Err(error)) if secure && !has_roots() => {
                    Err(io::Error::other(format!("{error}; {NO_ROOTS}")).into())
                }
                Ok(Err(error)) => Err(error),
                Err(_) => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:?}")).into())
                }
            }
        })
    }
}
