//! Counting: many tables in few queries, each count forced to read the table instead of its metadata.

use std::collections::BTreeMap;

use super::rules::ContentSum;
use super::table::Key;
use crate::action::select::ask;
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, SqlError};
use crate::model::ids::HostName;
use crate::plan::sql::qualified;

/// Tables that one query counts.
const BATCH: usize = 100;

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

/// Counts on one host.
pub struct Counter<'a> {
    context: &'a RunContext<'a>,
    host: &'a HostName,
    settings: String,
    done: u64,
    total: u64,
}

impl<'a> Counter<'a> {
    /// A counter. A user with `readonly = 1` may not change settings (164), and old servers do not know both (115):
    /// then counts come as the server makes them.
    pub async fn new(context: &'a RunContext<'a>, host: &'a HostName, total: usize) -> Result<Self, RunError> {
        let probe = ask(context, host, None, &format!("SELECT 1 SETTINGS {EXACT}")).await;
        let settings = match probe {
            Ok(_) => format!(" SETTINGS {EXACT}"),
            Err(error) if matches!(error.code(), Some(115 | 164 | 452)) => String::new(),
            Err(error) => return Err(failed(context, &error)),
        };
        Ok(Self { context, host, settings, done: 0, total: total as u64 })
    }

    /// Whether counts are forced to read the tables.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.settings.is_empty()
    }

    /// Answers queries of one number each, by key. One that fails does not spoil the others of its batch.
    pub async fn numbers(&mut self, queries: &[(Key, String)]) -> Result<BTreeMap<Key, Counted>, RunError> {
        let mut found = BTreeMap::new();
        for batch in queries.chunks(BATCH) {
            self.tell("counting")?;
            let union: Vec<String> = batch
                .iter()
                .enumerate()
                .map(|(at, (_, query))| query.replacen("count()", &format!("{at} AS number, count() AS counted"), 1))
                .collect();
            match self.ask(&union.join(" UNION ALL ")).await {
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
                        let one = self.one(query).await?;
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
    pub async fn one(&self, query: &str) -> Result<Counted, RunError> {
        match self.ask(query).await {
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
    pub async fn content(&self, key: &Key, finally: bool) -> Result<Result<ContentSum, String>, RunError> {
        self.tell(&format!("reading {}.{}", key.0, key.1))?;
        match self.ask(&content_query(key, finally)).await {
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

    async fn ask(&self, sql: &str) -> Result<Answer, SqlError> {
        ask(self.context, self.host, None, &format!("{sql}{}", self.settings)).await
    }

    fn tell(&self, message: &str) -> Result<(), RunError> {
        self.context.progress.progress(
            &self.context.operation.id,
            self.done,
            Some(self.total),
            &format!("{message} on {}", self.host),
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
    }
}
