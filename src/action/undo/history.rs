//! Gives a history of migrations its former last row again.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::gate::{PAUSE, cannot_read, pause, same_server, since, still_running, unproved, unread};
use crate::action::mark_migrations_clean::{Row, last_row, last_row_query};
use crate::engine::action::{Probe, RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::SqlError;
use crate::model::ids::HostName;
use crate::plan::sql::literal;

/// How the row that the run wrote is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The very row is deleted.
    Delete,
    /// It is the only one, and the engine cannot delete rows.
    Empty,
    /// The engine cannot delete rows: the former last row is written once more.
    InsertFormer,
}

/// A history as the run left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryData {
    /// Table, quoted.
    pub table: String,
    /// Hosts on which it must answer.
    pub hosts: Vec<HostName>,
    /// How.
    pub how: How,
    /// The row that the run wrote.
    pub written: Row,
    /// The last row before it.
    pub former: Option<Row>,
}

/// What is there on one host.
struct Now {
    rows: u64,
    written: u64,
    last: Option<Row>,
}

async fn look(context: &RunContext<'_>, host: &HostName, data: &HistoryData) -> Result<Now, SqlError> {
    let counted =
        format!("SELECT count() AS row_count, countIf({}) AS written FROM {}", condition(&data.written), data.table);
    let counted = context.read(host, counted).await?;
    let last = last_row(&context.read(host, last_row_query(&data.table)).await?);
    let number = |column: &str| counted.number(0, column).unwrap_or(0);
    Ok(Now { rows: number("row_count"), written: number("written"), last })
}

/// The row and no other.
#[must_use]
pub fn condition(row: &Row) -> String {
    format!("version = {} AND dirty = {} AND sequence = {}", row.version, row.dirty, row.sequence)
}

impl Now {
    /// Whether the run's row is the last one, and there once.
    fn is_as_left(&self, data: &HistoryData) -> bool {
        let same_rows = data.how != How::Empty || self.rows == 1;
        self.written == 1 && self.last.as_ref() == Some(&data.written) && same_rows
    }

    fn is_taken_back(&self, data: &HistoryData) -> bool {
        match data.how {
            How::Delete => self.written == 0 && self.last == data.former,
            How::Empty => self.rows == 0,
            How::InsertFormer => {
                let is_former = |row: &Row, former: &Row| {
                    row.version == former.version && row.dirty == former.dirty && row.sequence > data.written.sequence
                };
                self.written == 1
                    && self.last.as_ref().zip(data.former.as_ref()).is_some_and(|(row, former)| is_former(row, former))
            }
        }
    }

    fn words(&self) -> String {
        format!("{} ({} rows)", Row::words(self.last.as_ref()), self.rows)
    }
}

pub async fn prepare(context: &RunContext<'_>, data: &HistoryData) -> Result<Value, RunError> {
    for host in &data.hosts {
        same_server(context, host).await?;
        let now = look(context, host, data).await.map_err(|error| unread(context, "reading the history", &error))?;
        if !now.is_as_left(data) {
            return Err(context.fail(
                RunErrorKind::NotSent,
                format!("the history on {host} is not as the run left it"),
                format!("its last row is the run's: {}", Row::words(Some(&data.written))),
                now.words(),
                format!("on {host}: {}", last_row_query(&data.table)),
                "nothing was changed; migrations went on since, so take the state of the migrator back by hand",
            ));
        }
    }
    Ok(Value::Null)
}

pub async fn probe(context: &RunContext<'_>, data: &HistoryData) -> Result<Probe, RunError> {
    let host = context.host()?;
    let unread = |error| cannot_read(context, &error);
    if still_running(context, host).await.map_err(unread)? || is_mutating(context, host, data).await? {
        return Ok(Probe::Running);
    }
    let now = look(context, host, data).await.map_err(unread)?;
    Ok(match () {
        () if now.is_taken_back(data) => Probe::Done,
        () if now.is_as_left(data) => Probe::NotDone,
        () => Probe::Unknown(Box::new(context.refusal(
            "somebody else writes into the history",
            format!("{}, or {}", Row::words(Some(&data.written)), Row::words(data.former.as_ref())),
            now.words(),
            format!("on {host}: {}", last_row_query(&data.table)),
            "stop every migrator that uses this database, then say how it ended: clickferry resolve RUN OPERATION",
        ))),
    })
}

/// A mutation goes on after its statement has lost its connection.
async fn is_mutating(context: &RunContext<'_>, host: &HostName, data: &HistoryData) -> Result<bool, RunError> {
    if data.how != How::Delete {
        return Ok(false);
    }
    let query = format!(
        "SELECT count() AS open FROM system.mutations WHERE NOT is_done AND position(command, {}) > 0",
        literal(&data.written.sequence.to_string())
    );
    let answer = context.read(host, query).await.map_err(|error| cannot_read(context, &error))?;
    Ok(answer.number(0, "open").unwrap_or(0) > 0)
}

pub async fn prove(context: &RunContext<'_>, data: &HistoryData) -> Result<Value, RunError> {
    let start = context.ports.clock.ticks();
    for host in &data.hosts {
        loop {
            let now =
                look(context, host, data).await.map_err(|error| unproved(context, "reading the history", &error))?;
            if now.is_taken_back(data) {
                break;
            }
            if since(context, start) > context.timeout {
                return Err(context.fail(
                    RunErrorKind::Broken,
                    format!("the history on {host} is not as before"),
                    Row::words(data.former.as_ref()),
                    now.words(),
                    format!("on {host}: {}", last_row_query(&data.table)),
                    "look at system.mutations and system.replication_queue, then `clickferry resume`",
                ));
            }
            pause(context, PAUSE).await?;
        }
    }
    Ok(json!({ "table": data.table, "last": data.former }))
}
