//! Statements on one ClickHouse server.

use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use crate::model::ids::HostName;

/// One statement to send. It is sent at most once; nothing below the engine repeats it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The statement with secrets put in; sent in the body of a POST, never in the URL.
    pub text: SecretString,
    /// Settings of this statement, sent in the URL.
    pub settings: Vec<(String, String)>,
    /// Current database of the session.
    pub database: String,
    /// Query id; the server picks one when absent.
    pub query_id: Option<String>,
    /// How long to wait for the whole answer.
    pub timeout: Duration,
    /// Whether the statement only reads. A read may be sent again when a kept connection turns out closed.
    pub read_only: bool,
}

impl Call {
    /// A reading statement with a limit of 60 seconds, in the database `system`.
    #[must_use]
    pub fn read(text: impl Into<String>) -> Self {
        Self {
            text: SecretString::from(text.into()),
            settings: Vec::new(),
            database: "system".to_owned(),
            query_id: None,
            timeout: Duration::from_secs(60),
            read_only: true,
        }
    }

    /// A changing statement, in the database `system`.
    #[must_use]
    pub fn change(text: SecretString, query_id: String, timeout: Duration) -> Self {
        Self {
            text,
            settings: Vec::new(),
            database: "system".to_owned(),
            query_id: Some(query_id),
            timeout,
            read_only: false,
        }
    }
}

/// A complete answer: the stream ended properly and its JSON parsed to the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Names of the columns; empty for statements without a result.
    pub columns: Vec<String>,
    /// Rows; 64-bit integers are JSON numbers.
    pub rows: Vec<Vec<Value>>,
    /// `X-ClickHouse-Server-Display-Name`, where the server sent it and the client shows it.
    pub display_name: Option<String>,
}

impl Answer {
    /// The value in a row under a column's name.
    #[must_use]
    pub fn get(&self, row: usize, column: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(at)
    }

    /// The rows as the values of these columns, in this order; null where a column is not there.
    pub fn into_records<const N: usize>(self, columns: [&str; N]) -> impl Iterator<Item = [Value; N]> {
        let places = columns.map(|column| self.columns.iter().position(|name| name == column));
        self.rows.into_iter().map(move |mut row| {
            places.map(|place| place.and_then(|at| row.get_mut(at)).map(Value::take).unwrap_or_default())
        })
    }

    /// A value as text: strings without quotes, everything else as JSON writes it.
    #[must_use]
    pub fn text(&self, row: usize, column: &str) -> Option<String> {
        self.get(row, column).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
    }

    /// A value as an unsigned number; numbers written as strings count too.
    #[must_use]
    pub fn number(&self, row: usize, column: &str) -> Option<u64> {
        match self.get(row, column)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            Value::Bool(flag) => Some(u64::from(*flag)),
            _ => None,
        }
    }
}

/// Why there is no answer. The difference between the first two decides whether a statement may be sent again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SqlError {
    /// No connection was made, so the server never saw the statement.
    #[error("{host} at {url} cannot be reached: {reason}")]
    NotSent {
        /// Host asked.
        host: HostName,
        /// Its address.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The statement may have reached the server, and its answer did not come back whole.
    #[error("the answer of {host} was lost: {reason}")]
    Lost {
        /// Host asked.
        host: HostName,
        /// What happened to the answer.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{host} answered error {code} {name}: {message}")]
    Server {
        /// Host asked.
        host: HostName,
        /// ClickHouse error code, e.g. 608.
        code: i32,
        /// Name of the code, e.g. `CANNOT_RESTORE_TABLE`.
        name: String,
        /// The server's text without code, name, version and stack trace.
        message: String,
    },
}

impl SqlError {
    /// The ClickHouse error code, where the server gave one.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Host asked.
    #[must_use]
    pub fn host(&self) -> &HostName {
        match self {
            Self::NotSent { host, .. } | Self::Lost { host, .. } | Self::Server { host, .. } => host,
        }
    }
}

/// ClickHouse servers, addressed one by one.
#[async_trait]
pub trait Sql: Send + Sync {
    /// Sends one statement to one server and waits for its whole answer.
    ///
    /// # Errors
    /// [`SqlError`] tells whether the server never saw the statement, answered with an error, or may have
    /// carried it out without our knowing.
    async fn call(&self, host: &HostName, call: Call) -> Result<Answer, SqlError>;
}
