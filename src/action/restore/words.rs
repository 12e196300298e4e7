//! Words that plans of restores use.

use super::data::{RestoreData, Rule};

/// What an entry is called.
pub(crate) fn noun(engine: &str) -> &'static str {
    match engine {
        "Dictionary" => "dictionary",
        "MaterializedView" | "View" | "LiveView" | "WindowView" => "view",
        _ => "table",
    }
}

/// The hosts that hold the rows.
pub(crate) fn hosts(data: &RestoreData) -> String {
    data.copies.iter().map(|host| host.as_str()).collect::<Vec<_>>().join(", ")
}

/// How the rows are proved.
pub(crate) fn check_words(data: &RestoreData) -> &'static str {
    match data.rule {
        Rule::Equal => "as many rows as in the backup, on every replica once nothing is pending; no new detached parts",
        Rule::AtMost | Rule::AtMostOrNone => {
            "no more rows than in the backup, on every replica (its engine merges or deletes rows by itself); nothing pending; no new detached parts"
        }
    }
}
