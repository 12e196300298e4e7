//! Which hosts of a target an action goes to, and how it asks one of them for a single value.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::context::RunContext;
use crate::engine::ports::{Answer, Call, SqlError};
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::model::words::count_of;

/// A selection of a target's hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// Every host of the target.
    #[default]
    Replica,
    /// The first replica of every shard.
    Shard,
    /// The first host of the target.
    Any,
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replica => "every replica",
            Self::Shard => "the first replica of every shard",
            Self::Any => "the first host",
        })
    }
}

/// The selected hosts, in the order of the environment.
#[must_use]
pub fn select(target: &TargetWorld, every: Every) -> Vec<&HostWorld> {
    match every {
        Every::Replica => target.hosts.iter().collect(),
        Every::Any => target.hosts.iter().take(1).collect(),
        Every::Shard => {
            let mut seen = Vec::new();
            target
                .hosts
                .iter()
                .filter(|host| {
                    let new = !seen.contains(&host.shard);
                    if new {
                        seen.push(host.shard.clone());
                    }
                    new
                })
                .collect()
        }
    }
}

/// A single value to compare with: text, a number or a flag.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scalar(pub Value);

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Scalar {
    /// Whether a server's value is this one. Numbers are compared as numbers, also where one side is text (a
    /// filled-in template is text); `true` and 1 are the same, for ClickHouse writes flags as numbers.
    #[must_use]
    pub fn matches(&self, found: &Value) -> bool {
        let (wanted, found) = (shown(&self.0), shown(found));
        if wanted == found {
            return true;
        }
        if let (Ok(wanted), Ok(found)) = (wanted.parse::<i128>(), found.parse::<i128>()) {
            return wanted == found;
        }
        match (wanted.parse::<f64>(), found.parse::<f64>()) {
            (Ok(wanted), Ok(found)) => wanted.total_cmp(&found).is_eq(),
            _ => false,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

/// A value as people read it: text without quotes, flags as ClickHouse writes them.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => u8::from(*flag).to_string(),
        other => other.to_string(),
    }
}

/// What a query that should answer one value answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Single {
    /// One row with one column.
    Value(Value),
    /// Something else, in words.
    Other(String),
}

impl Single {
    /// Reads an answer.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        match answer.rows.as_slice() {
            [row] => match row.as_slice() {
                [value] => Self::Value(value.clone()),
                columns => Self::Other(format!("one row of {} columns", columns.len())),
            },
            rows => Self::Other(count_of(rows.len(), "row")),
        }
    }

    /// Whether it is the value.
    #[must_use]
    pub fn is(&self, wanted: &Scalar) -> bool {
        matches!(self, Self::Value(value) if wanted.matches(value))
    }
}

impl fmt::Display for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(&shown(value)),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// Asks a host something in a current database, with a time limit. Only reads.
///
/// # Errors
/// See [`SqlError`].
pub async fn ask(
    context: &RunContext<'_>,
    host: &HostName,
    database: Option<&str>,
    query: &str,
) -> Result<Answer, SqlError> {
    let mut call = Call::read(query);
    call.timeout = context.timeout;
    if let Some(database) = database {
        database.clone_into(&mut call.database);
    }
    context.ports.sql.call(host, call).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::runbook::Topology;

    fn target() -> TargetWorld {
        let host = |name: &str, shard: &str| HostWorld {
            name: HostName::from(name),
            shard: shard.to_owned(),
            ..HostWorld::default()
        };
        TargetWorld {
            topology: Topology::Replicated,
            cluster: None,
            keeper: true,
            hosts: vec![host("a1", "1"), host("a2", "1"), host("b1", "2"), host("b2", "2")],
        }
    }

    #[test]
    fn hosts_are_selected_in_the_order_of_the_environment() {
        let target = target();
        let names = |every| -> Vec<String> { select(&target, every).iter().map(|host| host.name.0.clone()).collect() };
        assert_eq!(names(Every::Replica), ["a1", "a2", "b1", "b2"]);
        assert_eq!(names(Every::Shard), ["a1", "b1"]);
        assert_eq!(names(Every::Any), ["a1"]);
    }

    #[test]
    fn values_are_compared_by_what_they_mean() {
        for (wanted, found, same) in [
            (json!(1), json!("1"), true),
            (json!("1"), json!(1), true),
            (json!(true), json!(1), true),
            (json!(1.0), json!(1), true),
            (json!("1.50"), json!(1.5), true),
            (json!("a"), json!("a"), true),
            (json!("01"), json!(1), true),
            (json!(0), json!(null), false),
            (json!("a"), json!(""), false),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64), false),
        ] {
            assert_eq!(Scalar(wanted.clone()).matches(&found), same, "{wanted} {found}");
        }
    }
}
