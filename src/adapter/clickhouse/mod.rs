//! ClickHouse over its HTTP interface, host by host.
//!
//! Rules, and why:
//! - the statement goes verbatim into the body of a POST (GET is readonly, and URLs are logged);
//! - `wait_end_of_query=1` on everything: the server buffers the answer, so the status tells the truth;
//! - the answer's format is asked for by the URL's `default_format`, which DDL and BACKUP ignore gracefully;
//! - a changing statement travels on a connection of its own, so that a kept connection that the server closed
//!   meanwhile can never blur the line between "not sent" and "answer lost"; it is sent once;
//! - a reading one may be sent a second time when no answer began, which is what a stale connection looks like.

mod answer;
mod exception;
mod failed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use clickhouse::error::Error as ClientError;
use clickhouse::{Client, Compression};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret, SecretString};

use self::answer::Unreadable;
use self::failed::{Failed, shown};
use super::redact::Redactor;
use super::tls::{CONNECT_TIMEOUT, Connector};
use crate::engine::ports::{Answer, Call, Sql, SqlError};
use crate::model::ids::HostName;

/// Below the 3 seconds after which ClickHouse closes a kept connection by default (`keep_alive_timeout`).
const POOL_IDLE: Duration = Duration::from_secs(2);

/// One server and who connects to it.
#[derive(Clone)]
pub struct Host {
    /// Name in plans and reports.
    pub name: HostName,
    /// Address of the HTTP interface.
    pub url: String,
    /// User.
    pub user: String,
    /// Password, absent for users without one.
    pub password: Option<SecretString>,
}

/// ClickHouse servers, addressed one by one.
pub struct ClickHouse {
    hosts: BTreeMap<HostName, Host>,
    connector: Connector,
    /// Keeps connections; for reading statements only.
    reading: Client,
    redactor: Redactor,
}

impl ClickHouse {
    /// Clients for these servers; connects to none of them.
    #[must_use]
    pub fn new(hosts: Vec<Host>, redactor: Redactor) -> Self {
        Self::with_connect_timeout(hosts, redactor, CONNECT_TIMEOUT)
    }

    /// As [`ClickHouse::new`], with another limit for making a connection.
    #[must_use]
    pub fn with_connect_timeout(hosts: Vec<Host>, redactor: Redactor, limit: Duration) -> Self {
        for password in hosts.iter().filter_map(|host| host.password.as_ref()) {
            redactor.learn(password);
        }
        let connector = Connector::new(limit);
        let reading = Client::with_http_client(
            legacy::Client::builder(TokioExecutor::new())
                .retry_canceled_requests(false)
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .build(connector.fresh()),
        );
        let hosts = hosts.into_iter().map(|host| (host.name.clone(), host)).collect();
        Self { hosts, connector, reading, redactor }
    }

    /// A client that keeps no connection, and a flag that tells whether it ever had one.
    fn once(&self) -> (Client, Arc<AtomicBool>) {
        let connector = self.connector.fresh();
        let connected = connector.connected();
        let http = legacy::Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(0)
            .build(connector);
        (Client::with_http_client(http), connected)
    }

    async fn read(&self, host: &Host, call: &Call) -> Result<Bytes, Failed> {
        match send(&self.reading, host, call, Compression::Lz4).await {
            Err(error) if no_answer_began(&error) => {
                let (client, _) = self.once();
                send(&client, host, call, Compression::Lz4).await.map_err(Failed::from)
            }
            other => other.map_err(Failed::from),
        }
    }

    async fn change(&self, host: &Host, call: &Call) -> Result<Bytes, Failed> {
        let (client, connected) = self.once();
        let sending = send(&client, host, call, Compression::None);
        match tokio::time::timeout(call.timeout, sending).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(error)) => Err(Failed::from(error)),
            Err(_) if !connected.load(Ordering::SeqCst) => {
                Err(Failed::NotSent(format!("no connection within {:?}", call.timeout)))
            }
            Err(_) => Err(Failed::timeout(call.timeout)),
        }
    }

    fn error(&self, host: &Host, failed: Failed) -> SqlError {
        let name = host.name.clone();
        match failed {
            Failed::NotSent(reason) => {
                let reason = self.redactor.scrub(&reason);
                SqlError::NotSent { host: name, url: shown(&host.url), reason }
            }
            Failed::Lost(reason) => SqlError::Lost { host: name, reason: self.redactor.scrub(&reason) },
            Failed::Server(thrown) => SqlError::Server {
                host: name,
                code: thrown.code,
                name: thrown.name,
                message: self.redactor.scrub(&thrown.message),
            },
        }
    }
}

#[async_trait]
impl Sql for ClickHouse {
    async fn call(&self, host: &HostName, call: Call) -> Result<Answer, SqlError> {
        let Some(host) = self.hosts.get(host) else {
            return Err(SqlError::NotSent {
                host: host.clone(),
                url: "an unknown address".to_owned(),
                reason: "the environment has no host of this name".to_owned(),
            });
        };
        let body = if call.read_only {
            match tokio::time::timeout(call.timeout, self.read(host, &call)).await {
                Ok(body) => body,
                Err(_) => Err(Failed::timeout(call.timeout)),
            }
        } else {
            self.change(host, &call).await
        };
        let answer = match body {
            Ok(body) => parsed(body).await.map_err(|unreadable| match unreadable {
                Unreadable::Exception(thrown) => Failed::Server(thrown),
                Unreadable::Other(reason) => Failed::Lost(format!("the answer cannot be read: {reason}")),
            }),
            Err(failed) => Err(failed),
        };
        answer.map_err(|failed| self.error(host, failed))
    }
}

/// Bytes of an answer that is worth a thread of its own: servers are asked side by side, and their tables are read so.
const LARGE: usize = 1 << 18;

async fn parsed(body: Bytes) -> Result<Answer, Unreadable> {
    if body.len() < LARGE {
        return answer::parse(&body);
    }
    let reading = tokio::task::spawn_blocking(move || answer::parse(&body));
    reading.await.unwrap_or_else(|error| Err(Unreadable::Other(error.to_string())))
}

/// Sends a statement once and collects the whole body.
async fn send(client: &Client, host: &Host, call: &Call, compression: Compression) -> Result<Bytes, ClientError> {
    let mut client = client
        .clone()
        .with_url(&host.url)
        .with_user(&host.user)
        .with_database(&call.database)
        .with_compression(compression)
        .with_product_info("clickferry", env!("CARGO_PKG_VERSION"))
        .with_setting("wait_end_of_query", "1")
        .with_setting("output_format_json_quote_64bit_integers", "0");
    if let Some(password) = &host.password {
        client = client.with_password(password.expose_secret());
    }
    for (name, value) in &call.settings {
        client = client.with_setting(name, value);
    }
    if let Some(id) = &call.query_id {
        client = client.with_setting("query_id", id);
    }
    client.query_raw(call.text.expose_secret()).fetch_bytes("JSONCompact")?.collect().await
}

/// Whether the request failed before the head of an answer came, on a connection that stood.
fn no_answer_began(error: &ClientError) -> bool {
    // Failures of the body are hyper's own errors; those of the request are of its client.
    matches!(error, ClientError::Network(reason)
        if reason.downcast_ref::<legacy::Error>().is_some_and(|error| !error.is_connect()))
}

#[cfg(test)]
mod tests;
