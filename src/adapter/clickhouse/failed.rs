//! Sorts failures: not sent, answer lost, answered with an error.

use std::error::Error;
use std::time::Duration;

use clickhouse::error::Error as ClientError;
use hyper_util::client::legacy;

use super::exception::{self, Exception};

/// Why there is no body.
pub enum Failed {
    /// No connection was made.
    NotSent(String),
    /// The statement may have reached the server.
    Lost(String),
    /// The server answered with an error.
    Server(Exception),
}

impl Failed {
    /// The time ran out while a connection stood.
    pub fn timeout(limit: Duration) -> Self {
        Self::Lost(format!("no complete answer within {limit:?}; the server may still be working on the statement"))
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        match &error {
            // Both are found before a request is made of it.
            ClientError::InvalidParams(reason) => Self::NotSent(chain(reason.as_ref())),
            ClientError::Unsupported(reason) => Self::NotSent(reason.clone()),
            ClientError::Network(reason) if is_connect(reason.as_ref()) => Self::NotSent(chain(reason.as_ref())),
            ClientError::Network(reason) => Self::Lost(format!(
                "the connection broke ({}); the server may have carried the statement out",
                chain(reason.as_ref())
            )),
            ClientError::BadResponse(text) => exception::parse(text).map_or_else(
                || Self::Lost(format!("something that is not ClickHouse answered: {}", excerpt(text))),
                Self::Server,
            ),
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// Whether no connection was made: refused, unknown name, TLS.
fn is_connect(error: &(dyn Error + 'static)) -> bool {
    let mut current = Some(error);
    while let Some(error) = current {
        if error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect) {
            return true;
        }
        current = error.source();
    }
    false
}

/// The causes of an error that say something, the outermost first.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut current = Some(error);
    while let Some(error) = current {
        let text = error.to_string();
        // hyper-util's own text only names a variant; causes often repeat the text of their cause.
        let noise = error.downcast_ref::<legacy::Error>().is_some() && error.source().is_some();
        if !noise && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        current = error.source();
    }
    parts.join(": ")
}

/// The first characters of a text, on one line.
fn excerpt(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(200).collect()
}

/// An address without user, password and parameters.
pub fn shown(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, p)| (a, p));
            let host = authority.rsplit('@').next().unwrap_or(authority);
            let slash = if path.is_empty() { "" } else { "/" };
            format!("{scheme}://{host}{slash}{path}")
        }
        None => url.rsplit('@').next().unwrap_or(url).to_owned(),
    }
}
