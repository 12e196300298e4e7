//! Settings of BACKUP and RESTORE as a runbook gives them: scalars, written as literals of their type.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::action::ArgumentError;
use crate::plan::sql::literal;

/// The value of a setting: a flag, a number or a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Scalar {
    /// `true` or `false`; written as 1 or 0.
    Flag(bool),
    /// A number.
    Number(serde_json::Number),
    /// A text; written as a literal.
    Text(String),
}

impl Scalar {
    /// Whether it switches something on.
    pub(crate) fn is_on(&self) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::Number(number) => number.as_u64() != Some(0),
            Self::Text(text) => matches!(text.to_ascii_lowercase().as_str(), "1" | "true"),
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Flag(flag) => u8::from(*flag).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => literal(text),
        }
    }
}

/// Settings by name.
pub(crate) type Settings = BTreeMap<String, Scalar>;

/// A setting that a runbook may not give, and why.
pub(crate) type Forbidden = (&'static str, &'static str);

/// Settings that neither statement takes from a runbook.
const NEVER: &[Forbidden] = &[
    ("internal", "it belongs to ClickHouse's own coordination"),
    ("host_id", "it belongs to ClickHouse's own coordination"),
    ("backup_uuid", "it belongs to ClickHouse's own coordination"),
    ("restore_uuid", "it belongs to ClickHouse's own coordination"),
    ("cluster_host_ids", "it belongs to ClickHouse's own coordination"),
    ("coordination_zk_path", "it belongs to ClickHouse's own coordination"),
    ("shard_num", "every shard is addressed directly"),
    ("replica_num", "every shard is addressed directly"),
    ("shard_num_in_backup", "every shard is addressed directly"),
    ("replica_num_in_backup", "every shard is addressed directly"),
    ("id", "clickferry gives every attempt its own id, to find it again"),
    ("async", "clickferry always starts it in the background and waits for its end"),
    ("base_backup", "a backup must hold all of its data, or its rows cannot be counted from the bucket"),
    ("password", "it is for archives, which cannot be checked from the bucket"),
    ("structure_only", "the rows are what is promised and proved"),
];

/// Mistakes in the settings; `more` is what this statement forbids besides.
pub(crate) fn check(settings: &Settings, more: &[Forbidden]) -> Vec<ArgumentError> {
    let mut errors = Vec::new();
    for (name, value) in settings {
        let mut report = |message: String, help: &str| {
            errors.push(ArgumentError { pointer: format!("/settings/{name}"), message, help: Some(help.to_owned()) });
        };
        let forbidden = NEVER.iter().chain(more).find(|(forbidden, _)| forbidden.eq_ignore_ascii_case(name));
        if let Some((_, why)) = forbidden {
            report(format!("the setting `{name}` cannot be given: {why}"), "remove the setting");
        } else if name.is_empty() || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
            report(
                format!("`{name}` is not the name of a setting"),
                "names of settings consist of small letters, digits and `_`",
            );
        } else if matches!(value, Scalar::Text(text) if text.contains("${")) {
            report(format!("the value of `{name}` must be known before the run"), "use a parameter instead of `run`");
        }
    }
    errors
}

/// `name=value, ...`, sorted by name: the engine's own settings first, then the user's.
pub(crate) fn clause(own: &[(&str, String)], settings: &Settings) -> String {
    let own = own.iter().map(|(name, value)| format!("{name}={value}"));
    let given = settings.iter().map(|(name, value)| format!("{name}={}", value.sql()));
    own.chain(given).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: serde_json::Value) -> Settings {
        serde_json::from_value(json).expect("settings")
    }

    #[test]
    fn values_keep_their_type() {
        let given = settings(serde_json::json!({ "b": true, "a": 5, "c": "it's" }));
        assert_eq!(clause(&[("id", "'x'".to_owned())], &given), "id='x', a=5, b=1, c='it\\'s'");
        assert!(given["b"].is_on() && given["a"].is_on() && !given["c"].is_on());
    }

    #[test]
    fn the_engines_own_settings_and_late_values_are_refused() {
        let given = settings(
            serde_json::json!({ "id": "x", "Async": 1, "x y": 1, "s": "${secret a}", "s3_storage_class": "STANDARD" }),
        );
        let mut pointers: Vec<String> = check(&given, &[]).into_iter().map(|error| error.pointer).collect();
        pointers.sort();
        assert_eq!(pointers, ["/settings/Async", "/settings/id", "/settings/s", "/settings/x y"]);
        assert_eq!(check(&settings(serde_json::json!({ "create_table": 1 })), &[("create_table", "no")]).len(), 1);
    }
}
