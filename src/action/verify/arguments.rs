//! The arguments of `verify`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::action::select::Every;
use crate::action::sql::error;
use crate::engine::action::ArgumentError;
use crate::model::formats::{BackupStep, DatabaseName, StorageRole, TableName, TargetRole};

/// Arguments of `verify`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyArguments {
    /// Target whose hosts are verified.
    pub on: TargetRole,
    /// What the rows are compared with: the id of a `backup` step, `{ storage: ROLE, path: PATH }` for a backup
    /// that is there already, or `{ target: ROLE }` for a live source. Absent: the replicas are compared with each
    /// other.
    #[serde(default)]
    pub against: Option<Against>,
    /// Which hosts of the target.
    #[serde(default)]
    pub every: Every,
    /// Databases; those of the backup when absent.
    #[serde(default)]
    pub databases: Vec<DatabaseName>,
    /// Tables that are left out.
    #[serde(default)]
    pub except_tables: Vec<TableName>,
    /// How the rows must compare. Engines that merge rows away may have fewer in any case.
    #[serde(default)]
    pub rows: RowsRule,
    /// Whether replicated tables must be healthy.
    #[serde(default)]
    pub replication: Health,
    /// Whether the tables must have the same definition on all replicas of a shard.
    #[serde(default)]
    pub schema: SchemaRule,
    /// Whether new detached parts and failing mutations are a failure.
    #[serde(default)]
    pub parts: Health,
    /// Whether the content is compared too, by a hash over every row. It reads everything.
    #[serde(default)]
    pub content: ContentRule,
}

/// How rows must compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowsRule {
    /// As many as expected.
    #[default]
    Equal,
    /// No more than expected, and some.
    AtMost,
    /// Not compared.
    Ignore,
}

/// Whether something must be healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It must.
    #[default]
    Healthy,
    /// Not looked at.
    Ignore,
}

/// Whether definitions must be the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemaRule {
    /// They must, apart from UUIDs and names of replicas.
    #[default]
    Same,
    /// Not looked at.
    Ignore,
}

/// What content is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentRule {
    /// Not compared.
    #[default]
    None,
    /// With the first replica of the shard.
    Replicas,
    /// With the live source of `against: { target: ROLE }`.
    Source,
}

/// What rows are compared with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Against {
    /// A `backup` step of this runbook.
    Step(BackupStep),
    /// Something else.
    Other(AgainstOther),
}

/// A backup that is there already, or a live source.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgainstOther {
    /// Storage of the backup.
    #[serde(default)]
    pub storage: Option<StorageRole>,
    /// Path of the backup.
    #[serde(default)]
    pub path: Option<String>,
    /// Live source.
    #[serde(default)]
    pub target: Option<TargetRole>,
}

impl JsonSchema for Against {
    fn schema_name() -> Cow<'static, str> {
        "Against".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut step = generator.subschema_for::<BackupStep>();
        step.insert("description".to_owned(), "Id of an earlier `backup` step.".into());
        let storage = generator.subschema_for::<StorageRole>();
        let target = generator.subschema_for::<TargetRole>();
        json_schema!({
            "anyOf": [
                step,
                {
                    "type": "object",
                    "description": "A backup that is there already, or a live source.",
                    "additionalProperties": false,
                    "properties": {
                        "storage": storage,
                        "path": { "type": "string", "description": "Path of the backup below the storage's prefix." },
                        "target": target
                    }
                }
            ]
        })
    }
}

impl VerifyArguments {
    /// Storage role and path of a backup that is there already.
    #[must_use]
    pub fn backup(&self) -> Option<(&str, &str)> {
        match &self.against {
            Some(Against::Other(other)) => {
                Some((other.storage.as_ref()?.as_str(), other.path.as_deref()?.trim_matches('/')))
            }
            _ => None,
        }
    }

    /// Mistakes that the schema cannot express.
    #[must_use]
    pub fn check(&self) -> Vec<ArgumentError> {
        let mut errors = Vec::new();
        let help =
            Some("write `against: STEP`, `against: { storage: ROLE, path: PATH }` or `against: { target: ROLE }`");
        let mut is_source = false;
        let mut names_databases = false;
        match &self.against {
            Some(Against::Other(other)) => match (&other.storage, &other.path, &other.target) {
                (Some(_), Some(_), None) => names_databases = true,
                (None, None, Some(source)) => {
                    is_source = true;
                    if *source == self.on {
                        errors.push(error("/against", "a target cannot be its own source", help));
                    }
                }
                _ => errors.push(error(
                    "/against",
                    "`against` is a backup step, a storage with a path, or a target",
                    help,
                )),
            },
            Some(Against::Step(_)) => names_databases = true,
            None => {}
        }
        if self.databases.is_empty() && !names_databases {
            errors.push(error(
                "",
                "without a backup it is not known which databases are meant",
                Some("name them: `databases: [NAME]`"),
            ));
        }
        if self.content == ContentRule::Source && !is_source {
            errors.push(error(
                "/content",
                "`content: source` needs a live source",
                Some("write `against: { target: ROLE }`, or `content: replicas`"),
            ));
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: serde_json::Value) -> usize {
        let arguments: VerifyArguments = serde_json::from_value(value).expect("fits");
        arguments.check().len()
    }

    #[test]
    fn what_rows_can_be_compared_with() {
        assert_eq!(check(json!({ "on": "d", "against": "back-up" })), 0);
        assert_eq!(check(json!({ "on": "d", "against": { "storage": "s", "path": "a/b" } })), 0);
        assert_eq!(
            check(json!({ "on": "d", "against": { "target": "s" }, "databases": ["a"], "content": "source" })),
            0
        );
        assert_eq!(check(json!({ "on": "d", "databases": ["a"], "content": "replicas" })), 0);
        assert_eq!(check(json!({ "on": "d" })), 1);
        assert_eq!(check(json!({ "on": "d", "against": { "storage": "s" } })), 2);
        assert_eq!(check(json!({ "on": "d", "against": { "target": "d" }, "databases": ["a"] })), 1);
        assert_eq!(check(json!({ "on": "d", "against": "b", "content": "source" })), 1);
    }
}
