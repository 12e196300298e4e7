//! Counting: many tables in few queries, each count forced to read the table instead of its metadata.

use std::collections::BTreeMap;

use super::arguments::RowsRule;
use super::reads::Asked;
use super::rules::ContentSum;
use super::table::Key;
use crate::action::select::ask;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::plan::sql::qualified;

/// Tables that one query counts.
pub const BATCH: usize = 100;

/// Without these a count comes from the metadata of the parts: `optimize_trivial_count_query` alone still answers
/// from the implicit projection `_minmax_count_projection` (seen with EXPLAIN on 26.7).
const EXACT: &str = "optimize_trivial_count_query = 0, optimize_use_implicit_projections = 0";

/// A count, or what the server said instead.
pub type Counted = Result<u64, String>;

/// The count of one table, as it is asked and shown.
#[must_use]
pub fn count_query(key: &Key, finally: bool) -> String {
    let last = if finally { " FINAL" } else { "" };
    format!("SELECT count() FROM {}{last}", qualified(&key.0, &key.1))
}

/// The query that proves that a plain view works: no row is read.
#[must_use]
pub fn view_query(key: &Key) -> String {
    format!("SELECT count() FROM (SELECT * FROM {} LIMIT 0)", qualified(&key.0, &key.1))
}

/// The content of a table as sums that do not depend on the order of rows. As a tuple, a row with a NULL has a hash
/// too; `cityHash64(*)` of such a row is NULL and the sums would skip it (seen on 26.7: 17 of 100 rows counted).
#[must_use]
pub fn content_query(key: &Key, finally: bool) -> String {
    let last = if finally { " FINAL" } else { "" };
    format!(
        "SELECT count() AS counted, toString(sum(hash)) AS total, toString(groupBitXor(hash)) AS mixed FROM (SELECT cityHash64(tuple(*)) AS hash FROM {}{last})",
        qualified(&key.0, &key.1)
    )
}

/// Counts of several tables in one statement, each with its place among them.
#[must_use]
pub fn counts_query(queries: &[(Key, String)]) -> String {
    let numbered = |(at, (_, query)): (usize, &(Key, String))| {
        query.replacen("count()", &format!("{at} AS number, count() AS counted"), 1)
    };
    queries.iter().enumerate().map(numbered).collect::<Vec<_>>().join(" UNION ALL ")
}

/// A query with the settings that force a count to read the table.
#[must_use]
pub fn exactly(query: &str) -> String {
    format!("{query} SETTINGS {EXACT}")
}

/// The question whether a host takes these settings. A user with `readonly = 1` may not change settings (164), and
/// old servers do not know both (115): then counts come as the server makes them.
#[must_use]
pub fn settings_query() -> String {
    exactly("SELECT 1")
}

/// Counts on the hosts of an operation.
pub struct Counter<'a> {
    context: &'a RunContext<'a>,
    /// Hosts that were asked, and whether they take the settings.
    exact: BTreeMap<HostName, bool>,
    done: u64,
    total: u64,
}

impl<'a> Counter<'a> {
    /// A counter that has asked nobody yet.
    #[must_use]
    pub fn new(context: &'a RunContext<'a>) -> Self {
        Self { context, exact: BTreeMap::new(), done: 0, total: 0 }
    }

    /// Asks a host whether it takes the settings, before anything is counted there.
    pub async fn prepare(&mut self, host: &HostName) -> Result<(), RunError> {
        if self.exact.contains_key(host) {
            return Ok(());
        }
        let exact = match ask(self.context, host, None, &settings_query()).await {
            Ok(_) => true,
            Err(error) if matches!(error.code(), Some(115 | 164 | 452)) => false,
            Err(error) => return Err(failed(self.context, &error)),
        };
        self.exact.insert(host.clone(), exact);
        Ok(())
    }

    /// Whether counts on a host are forced to read the tables.
    #[must_use]
    pub fn is_exact(&self, host: &HostName) -> bool {
        self.exact.get(host).copied().unwrap_or(false)
    }

    /// Asks the tables that are there, as it was planned; those that were not there at planning are asked besides.
    pub async fn tables(
        &mut self,
        host: &HostName,
        rule: RowsRule,
        planned: &Asked,
        there: &Asked,
    ) -> Result<BTreeMap<Key, Counted>, RunError> {
        let mut found = self.numbers(host, &planned.queries(rule)).await?;
        found.extend(self.numbers(host, &there.beyond(planned).queries(rule)).await?);
        Ok(found)
    }

    /// Answers queries of one number each, by key. One that fails does not spoil the others of its batch.
    pub async fn numbers(
        &mut self,
        host: &HostName,
        queries: &[(Key, String)],
    ) -> Result<BTreeMap<Key, Counted>, RunError> {
        self.prepare(host).await?;
        self.total += queries.len() as u64;
        let mut found = BTreeMap::new();
        for batch in queries.chunks(BATCH) {
            self.tell(host, "counting")?;
            match self.ask(host, &counts_query(batch)).await {
                Ok(answer) => {
                    for row in 0..answer.rows.len() {
                        let at = answer.number(row, "number").and_then(|at| usize::try_from(at).ok());
                        if let Some((key, _)) = at.and_then(|at| batch.get(at)) {
                            found.insert(
                                key.clone(),
                                answer.number(row, "counted").ok_or_else(|| "no number".to_owned()),
                            );
                        }
                    }
                }
                Err(SqlError::Server { .. }) => {
                    for (key, query) in batch {
                        let one = self.one(host, query).await?;
                        found.insert(key.clone(), one);
                    }
                }
                Err(error) => return Err(failed(self.context, &error)),
            }
            self.done += batch.len() as u64;
        }
        Ok(found)
    }

    /// Answers one query of one number.
    pub async fn one(&self, host: &HostName, query: &str) -> Result<Counted, RunError> {
        match self.ask(host, query).await {
            Ok(answer) => {
                let value = answer.rows.first().and_then(|row| row.first()).and_then(serde_json::Value::as_u64);
                Ok(value.ok_or_else(|| "no number".to_owned()))
            }
            Err(SqlError::Server { code, name, message, .. }) => {
                Ok(Err(format!("{code} {name}: {}", message.chars().take(200).collect::<String>())))
            }
            Err(error) => Err(failed(self.context, &error)),
        }
    }

    /// The content of a table, or what the server said instead.
    pub async fn content(
        &self,
        host: &HostName,
        key: &Key,
        finally: bool,
    ) -> Result<Result<ContentSum, String>, RunError> {
        self.tell(host, &format!("reading {}.{}", key.0, key.1))?;
        match self.ask(host, &content_query(key, finally)).await {
            Ok(answer) => Ok(Ok(ContentSum {
                rows: answer.number(0, "counted").unwrap_or(0),
                sum: answer.text(0, "total").unwrap_or_default(),
                xor: answer.text(0, "mixed").unwrap_or_default(),
            })),
            Err(SqlError::Server { code, name, message, .. }) => {
                Ok(Err(format!("{code} {name}: {}", message.chars().take(200).collect::<String>())))
            }
            Err(error) => Err(failed(self.context, &error)),
        }
    }

    async fn ask(&self, host: &HostName, query: &str) -> Result<Answer, SqlError> {
        let exact = self.is_exact(host).then(|| exactly(query));
        ask(self.context, host, None, exact.as_deref().unwrap_or(query)).await
    }

    fn tell(&self, host: &HostName, message: &str) -> Result<(), RunError> {
        self.context.progress.progress(
            &self.context.operation.id,
            self.done,
            Some(self.total),
            &format!("{message} on {host}"),
        );
        if self.context.cancel.is_cancelled() {
            return Err(self.context.fail(
                RunErrorKind::AskProbe,
                "the verification was cancelled",
                "",
                "",
                "",
                "`clickferry resume` verifies again",
            ));
        }
        Ok(())
    }
}

/// A read that failed.
pub fn failed(context: &RunContext<'_>, error: &SqlError) -> RunError {
    RunError::from_sql(format!("{}: verifying {}", context.operation.id, error.host()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let key = ("a`b".to_owned(), "t".to_owned());
        assert_eq!(count_query(&key, true), "SELECT count() FROM `a\\`b`.`t` FINAL");
        assert!(content_query(&key, false).contains("cityHash64(tuple(*))"));
        assert!(view_query(&key).ends_with("FROM `a\\`b`.`t` LIMIT 0)"));
        let queries = [(key.clone(), count_query(&key, false)), (key.clone(), view_query(&key))];
        assert_eq!(
            counts_query(&queries),
            "SELECT 0 AS number, count() AS counted FROM `a\\`b`.`t` UNION ALL \
             SELECT 1 AS number, count() AS counted FROM (SELECT * FROM `a\\`b`.`t` LIMIT 0)"
        );
    }
}
