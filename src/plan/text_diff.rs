//! How a statement differs from the text it was made from: clause by clause, only what differs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffTag, capture_diff_slices};

use super::layout::lines;
use super::sql::tokenize;
use crate::model::text::Text;

/// What differs between a statement and the text it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TextDiff {
    /// What it was made from, e.g. `default.runs on standalone`.
    pub against: Text,
    /// What differs, in order; nothing where the texts are the same.
    pub changes: Vec<TextChange>,
}

/// One place at which two texts differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TextChange {
    /// The clauses before, one per line; empty where some are added.
    pub before: Text,
    /// The clauses after, one per line; empty where some are taken away.
    pub after: Text,
}

impl TextDiff {
    /// Compares two statements, line by line as they are shown.
    #[must_use]
    pub fn between(against: impl Into<Text>, before: &str, after: &str) -> Self {
        Self::compared(against.into(), before, after, |line| vec![line.to_owned()])
    }

    /// As [`Self::between`], where neither statement is shown: of settings that differ each is told alone.
    #[must_use]
    pub fn between_definitions(before: &str, after: &str) -> Self {
        Self::compared(Text::default(), before, after, settings)
    }

    fn compared(against: Text, before: &str, after: &str, pieces: fn(&str) -> Vec<String>) -> Self {
        let cut = |sql: &str| lines(sql).iter().flat_map(|line| pieces(line.trim())).collect::<Vec<_>>();
        let (old, new) = (cut(before), cut(after));
        let changes = capture_diff_slices(Algorithm::Myers, &old, &new)
            .into_iter()
            .filter(|op| op.tag() != DiffTag::Equal)
            .map(|op| TextChange {
                before: old[op.old_range()].join("\n").into(),
                after: new[op.new_range()].join("\n").into(),
            })
            .collect();
        Self { against, changes }
    }
}

/// A line; one of settings for each of them, so that one that differs does not tell of the others.
fn settings(line: &str) -> Vec<String> {
    const WORD: &str = "SETTINGS ";
    let tokens = line.starts_with(WORD).then(|| tokenize(line).ok()).flatten();
    let Some(tokens) = tokens else { return vec![line.to_owned()] };
    let commas = tokens.iter().filter(|token| token.depth == 0 && token.is_symbol(",")).map(|token| token.start);
    let mut from = WORD.len();
    let ends = commas.chain([line.len()]);
    let pieces = ends.filter_map(|end| {
        let piece = line.get(from..end)?;
        from = end + 1;
        Some(format!("{WORD}{}", piece.trim()))
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_differs_tells_of_no_other() {
        let table =
            |settings: &str| format!("CREATE TABLE d.t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS {settings}");
        let diff = TextDiff::between_definitions(
            &table("index_granularity = 8192, disk = disk(type = 'x', path = 'a, b'), b = 'c, d'"),
            &table("index_granularity = 8192, disk = disk(type = 'x', path = 'a, c'), b = 'c, d', e = 1"),
        );
        let changed = |before: &str, after: &str| TextChange { before: before.into(), after: after.into() };
        assert_eq!(
            diff.changes,
            [
                changed(
                    "SETTINGS disk = disk(type = 'x', path = 'a, b')",
                    "SETTINGS disk = disk(type = 'x', path = 'a, c')"
                ),
                changed("", "SETTINGS e = 1"),
            ]
        );
    }

    #[test]
    fn only_the_clause_that_differs_is_told() {
        let diff = TextDiff::between(
            "d.t on standalone",
            "CREATE TABLE d.t (a Int8, b Int8) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192",
            "CREATE TABLE d.t (a Int8, b Int8) ENGINE = ReplicatedMergeTree('/p', '{replica}') ORDER BY a SETTINGS index_granularity = 8192",
        );
        assert_eq!(
            diff.changes,
            [TextChange {
                before: "ENGINE = MergeTree".into(),
                after: "ENGINE = ReplicatedMergeTree('/p', '{replica}')".into()
            }]
        );
        assert!(TextDiff::between("x", "CREATE VIEW a AS SELECT 1", "CREATE VIEW a AS SELECT 1").changes.is_empty());
    }
}
