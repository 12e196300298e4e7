//! The write freeze: nobody else writes to the targets when an apply begins. Whoever does is named.
//!
//! Three signs, all read-only: statements that run now (`system.processes`), statements of the last while
//! (`system.query_log`, where there is one), and rows or parts that appear while the servers are watched. A merge
//! makes parts, too, but neither rows nor block numbers.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use futures_util::future::join_all;

use crate::diag::Refusal;
use crate::engine::errors::explain_look;
use crate::engine::ports::{Answer, Call, Ports, SqlError};
use crate::model::formats::DatabaseName;
use crate::model::guards::WriteFreezeGuard;
use crate::model::ids::HostName;
use crate::model::words::{count, number};
use crate::plan::plan_file::Plan;
use crate::plan::sql::literal;

/// Pause between two looks at the running statements.
const PAUSE: Duration = Duration::from_secs(1);
/// Most writers told per host.
const TOLD: usize = 5;
/// Kinds of statements that write, in `system.processes` and `system.query_log`.
const KINDS: &str = "('Insert', 'AsyncInsertFlush', 'Alter', 'Update', 'Delete', 'Create', 'Drop', 'Rename', 'Move', 'CTAS', 'Restore')";
/// The same for servers older than the column `query_kind`.
const VERBS: &str = r"'(?i)^\\s*(insert|alter|update|delete|create|drop|truncate|rename|restore)\\b'";
const NOT_OWN: &str = "NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')";

/// Watches the targets of the guard. Returns what could not be looked at.
///
/// # Errors
/// Every host on which somebody writes, with the writers; or a host that does not answer.
pub async fn check_freeze(plan: &Plan, guard: &WriteFreezeGuard, ports: &Ports) -> Result<Vec<String>, Vec<Refusal>> {
    let mut hosts: Vec<&HostName> = plan
        .hosts
        .iter()
        .filter(|host| guard.on.iter().any(|role| role.as_str() == host.target))
        .map(|host| &host.name)
        .collect();
    hosts.sort();
    hosts.dedup();
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    for watched in join_all(hosts.into_iter().map(|host| Watch { host, guard, ports }.run())).await {
        match watched {
            Ok(note) => notes.extend(note),
            Err(refusal) => problems.push(*refusal),
        }
    }
    if problems.is_empty() { Ok(notes) } else { Err(problems) }
}

struct Watch<'a> {
    host: &'a HostName,
    guard: &'a WriteFreezeGuard,
    ports: &'a Ports,
}

impl Watch<'_> {
    async fn run(self) -> Result<Option<String>, Box<Refusal>> {
        let time = self.guard.r#for.duration().unwrap_or_default();
        let start = self.ports.clock.ticks();
        // Who wrote a moment ago need not be watched.
        self.logged(time).await?;
        let before = self.content().await?;
        loop {
            self.running().await?;
            let gone = self.ports.clock.ticks().saturating_sub(start);
            if gone >= time {
                break;
            }
            self.ports.clock.sleep(PAUSE.min(time - gone)).await;
        }
        let after = self.content().await?;
        let has_log = self.logged(time * 2).await?;
        let grown = grown(&before, &after);
        if !grown.is_empty() {
            return Err(self.refuse(
                grown,
                "SELECT database, table, sum(rows), max(modification_time) FROM system.parts WHERE active GROUP BY database, table",
            ));
        }
        Ok((!has_log).then(|| {
            format!("{} keeps no system.query_log: it was watched for {}", self.host, self.guard.r#for.as_str())
        }))
    }

    /// Statements that run now.
    async fn running(&self) -> Result<(), Box<Refusal>> {
        let query = |filter: &str| {
            format!(
                "SELECT {WHO}, query_id, elapsed AS seconds FROM system.processes WHERE {filter} ORDER BY elapsed DESC, query_id"
            )
        };
        let of_session = if self.guard.databases.is_empty() {
            "1".to_owned()
        } else {
            format!("(current_database IN ({}) OR {})", self.names(), self.by_text("query"))
        };
        let by_kind = query(&format!("query_kind IN {KINDS} AND {of_session}"));
        let by_text = query(&format!("match(query, {VERBS}) AND {}", self.by_text("query")));
        let (sql, answer) = self.either(by_kind, by_text).await;
        let answer = answer.map_err(|error| self.unread(&error))?;
        let writers = (0..answer.rows.len()).map(|row| {
            let text = |column: &str| answer.text(row, column).unwrap_or_default();
            format!("{} runs {} (for {} s)", writer(&answer, row), text("query_id"), text("seconds"))
        });
        let writers: Vec<String> = writers.collect();
        if writers.is_empty() { Ok(()) } else { Err(self.refuse(writers, &sql)) }
    }

    /// Statements of the last while. `false` where the server keeps no log of them (60 UNKNOWN_TABLE).
    async fn logged(&self, time: Duration) -> Result<bool, Box<Refusal>> {
        let query = |filter: &str| {
            format!(
                "SELECT {WHO}, count() AS statements, toString(max(event_time)) AS last FROM system.query_log \
                 WHERE event_date >= toDate(now() - {seconds}) AND event_time >= now() - {seconds} AND type NOT IN ('QueryStart', 'ExceptionBeforeStart') \
                 AND {filter} AND NOT startsWith(query_id, 'clickferry-') GROUP BY {WHO_COLUMNS} ORDER BY last DESC, user",
                seconds = time.as_secs().max(1)
            )
        };
        let of_databases = if self.guard.databases.is_empty() {
            format!("arrayExists(name -> name {NOT_OWN}, databases)")
        } else {
            format!("hasAny(databases, [{}])", self.names())
        };
        let by_kind = query(&format!("query_kind IN {KINDS} AND {of_databases}"));
        // Before 20.11 a log tells neither the kind of a statement nor its databases.
        let by_text = query(&format!("match(query, {VERBS}) AND {}", self.by_text("query")));
        let (sql, answer) = self.either(by_kind, by_text).await;
        let answer = match answer {
            Err(error) if error.code() == Some(60) => return Ok(false),
            answer => answer.map_err(|error| self.unread(&error))?,
        };
        let writers = (0..answer.rows.len()).map(|row| {
            let text = |column: &str| answer.text(row, column).unwrap_or_default();
            format!("{} wrote {} times, last at {}", writer(&answer, row), text("statements"), text("last"))
        });
        let writers: Vec<String> = writers.collect();
        if writers.is_empty() { Ok(true) } else { Err(self.refuse(writers, &sql)) }
    }

    /// Asks the first; where this version lacks one of its columns (47 UNKNOWN_IDENTIFIER), the second.
    async fn either(&self, first: String, second: String) -> (String, Result<Answer, SqlError>) {
        match self.ask(&first).await {
            Err(error) if error.code() == Some(47) => {
                let answer = self.ask(&second).await;
                (second, answer)
            }
            answer => (first, answer),
        }
    }

    /// Rows and block numbers of every table; of those without parts their bytes, for a TinyLog does not count rows.
    async fn content(&self) -> Result<BTreeMap<String, (u64, u64)>, Box<Refusal>> {
        let filter = self.by_name("database");
        let parts = format!(
            "SELECT concat(database, '.', table) AS name, sum(partition_rows) AS rows, sum(block) AS blocks FROM \
             (SELECT database, table, partition_id, sum(rows) AS partition_rows, max(max_block_number) AS block FROM system.parts \
             WHERE active AND {filter} GROUP BY database, table, partition_id) GROUP BY name"
        );
        let others = format!(
            "SELECT concat(database, '.', name) AS name, coalesce(total_rows, 0) AS rows, coalesce(total_bytes, 0) AS blocks FROM system.tables \
             WHERE engine IN ('Log', 'TinyLog', 'StripeLog', 'Memory') AND NOT is_temporary AND {filter}"
        );
        let mut content = BTreeMap::new();
        for sql in [parts, others] {
            let answer = match self.ask(&sql).await {
                // Before 19.14 a server does not tell the sizes of tables without parts.
                Err(error) if error.code() == Some(47) => continue,
                answer => answer.map_err(|error| self.unread(&error))?,
            };
            for row in 0..answer.rows.len() {
                let number = |column: &str| answer.number(row, column).unwrap_or(0);
                content.insert(answer.text(row, "name").unwrap_or_default(), (number("rows"), number("blocks")));
            }
        }
        Ok(content)
    }

    fn names(&self) -> String {
        self.guard.databases.iter().map(|name| literal(name.as_str())).collect::<Vec<_>>().join(", ")
    }

    fn by_name(&self, column: &str) -> String {
        if self.guard.databases.is_empty() {
            format!("{column} {NOT_OWN}")
        } else {
            format!("{column} IN ({})", self.names())
        }
    }

    /// A running statement does not tell its tables: whether its text names a database has to do.
    fn by_text(&self, text: &str) -> String {
        let named = |name: &DatabaseName| format!("position({text}, {}) > 0", literal(name.as_str()));
        let conditions: Vec<String> = self.guard.databases.iter().map(named).collect();
        if conditions.is_empty() { "1".to_owned() } else { format!("({})", conditions.join(" OR ")) }
    }

    async fn ask(&self, sql: &str) -> Result<Answer, SqlError> {
        self.ports.sql.call(self.host, Call::read(sql)).await
    }

    fn unread(&self, error: &SqlError) -> Box<Refusal> {
        Box::new(explain_look(format!("looking at {} for somebody who writes", self.host), error))
    }

    fn refuse(&self, writers: Vec<String>, sql: &str) -> Box<Refusal> {
        let more = writers.len().saturating_sub(TOLD);
        let mut found = writers.into_iter().take(TOLD).collect::<Vec<_>>().join("\n");
        if more > 0 {
            let _ = write!(found, "\nand {more} more");
        }
        let databases = if self.guard.databases.is_empty() {
            String::new()
        } else {
            let names: Vec<&str> = self.guard.databases.iter().map(|name| name.as_str()).collect();
            format!(" to {}", names.join(", "))
        };
        Box::new(Refusal {
            what: format!("somebody still writes to {}", self.host),
            expected: format!(
                "no writes{databases} for {} (`guards.write_freeze`), so that nothing is written beside the move and lost",
                self.guard.r#for.as_str()
            ),
            found,
            evidence: format!("on {}: {sql}", self.host),
            action: "stop these writers, then apply again; nothing was changed".to_owned(),
        })
    }
}

/// Columns that tell who it is.
const WHO: &str = "user, toString(address) AS address, client_hostname, client_name, http_user_agent";
const WHO_COLUMNS: &str = "user, address, client_hostname, client_name, http_user_agent";

fn writer(answer: &Answer, row: usize) -> String {
    let text = |column: &str| answer.text(row, column).unwrap_or_default();
    // An IPv4 address comes as IPv6; a statement over HTTP has no client's host.
    let address = text("address");
    let address = address.strip_prefix("::ffff:").unwrap_or(&address).to_owned();
    let host = match text("client_hostname") {
        name if name.is_empty() => address,
        name => format!("{name} ({address})"),
    };
    let client = [text("client_name"), text("http_user_agent")].into_iter().find(|name| !name.is_empty());
    format!("user {} from {host} with {}", text("user"), client.unwrap_or_else(|| "an unnamed client".to_owned()))
}

fn grown(before: &BTreeMap<String, (u64, u64)>, after: &BTreeMap<String, (u64, u64)>) -> Vec<String> {
    after
        .iter()
        .filter_map(|(name, now)| {
            let was = before.get(name).copied().unwrap_or_default();
            if now.0 > was.0 {
                return Some(format!(
                    "{name} grew from {} to {} while it was watched, by a statement too short to be seen, a queue or another replica",
                    number(was.0),
                    count(now.0, "row")
                ));
            }
            (now.1 > was.1).then(|| format!("{name} got new data while it was watched"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_blocks_that_appear_are_writes_and_merges_are_none() {
        let at = |list: &[(&str, u64, u64)]| -> BTreeMap<String, (u64, u64)> {
            list.iter().map(|(name, rows, blocks)| ((*name).to_owned(), (*rows, *blocks))).collect()
        };
        let before = at(&[("d.a", 10, 4), ("d.b", 5, 1), ("d.gone", 1, 1)]);
        assert!(grown(&before, &at(&[("d.a", 10, 4), ("d.b", 4, 1)])).is_empty());
        let found = grown(&before, &at(&[("d.a", 11, 5), ("d.b", 5, 2), ("d.new", 1, 1)]));
        assert!(
            found[0].starts_with("d.a grew from 10 to 11 rows") && found[1].starts_with("d.b got new data"),
            "{found:?}"
        );
        assert!(found[2].starts_with("d.new grew from 0 to 1 row"), "{found:?}");
    }
}
