//! The verdicts. Pure: what is expected and what was found go in, a verdict with its reason comes out.

use serde::{Deserialize, Serialize};

use super::arguments::RowsRule;
use crate::model::words::{count, number};

/// A verdict on one table of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// As expected.
    #[serde(rename = "pass")]
    Pass,
    /// It cannot be told.
    #[serde(rename = "cannot tell")]
    CannotTell,
    /// Not as expected.
    #[serde(rename = "fail")]
    Fail,
}

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why; empty where the numbers say it all.
    pub reason: String,
}

impl Judged {
    /// As expected, without a word.
    #[must_use]
    pub fn pass() -> Self {
        Self { verdict: Verdict::Pass, reason: String::new() }
    }

    /// A verdict with a reason.
    #[must_use]
    pub fn because(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self { verdict, reason: reason.into() }
    }

    /// The worse of two verdicts, with both reasons.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let reasons: Vec<&str> =
            [self.reason.as_str(), other.reason.as_str()].into_iter().filter(|reason| !reason.is_empty()).collect();
        Self { verdict: self.verdict.max(other.verdict), reason: reasons.join("; ") }
    }
}

/// What the engine of a table does to its rows by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Merges make fewer rows of some (Replacing, Summing, Aggregating, Collapsing, Graphite, Coalescing).
    pub merges: bool,
    /// A TTL deletes rows.
    pub expires: bool,
    /// A schedule fills it (refreshable materialized view).
    pub refreshed: bool,
    /// Rows in active parts where a lightweight DELETE hides some of them: these are in a backup, and in no count.
    pub hidden_from: Option<u64>,
}

/// Whether merges of an engine make fewer rows.
#[must_use]
pub fn merges_rows(engine: &str) -> bool {
    let plain = engine.trim_start_matches("Replicated").trim_start_matches("Shared");
    let kinds = ["Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing", "Graphite", "Coalescing"];
    kinds.iter().any(|kind| plain.starts_with(kind))
}

/// Judges the number of rows.
///
/// `finals` are the counts with FINAL of the expected side and of this one, where the expected side is alive.
#[must_use]
pub fn judge_rows(rule: RowsRule, traits: Traits, expected: u64, found: u64, finals: Option<(u64, u64)>) -> Judged {
    if rule == RowsRule::Ignore || found == expected {
        return Judged::pass();
    }
    if found == 0 {
        return Judged::because(Verdict::Fail, format!("expected {}, the table is empty", count(expected, "row")));
    }
    if let Some((wanted, here)) = finals {
        return if wanted == here {
            Judged::because(Verdict::Pass, format!("{} with FINAL on both sides", count(here, "row")))
        } else {
            Judged::because(
                Verdict::Fail,
                format!(
                    "expected {} ({} with FINAL), found {} ({} with FINAL)",
                    count(expected, "row"),
                    number(wanted),
                    number(found),
                    number(here)
                ),
            )
        };
    }
    if traits.refreshed {
        return Judged::because(
            Verdict::CannotTell,
            format!("a schedule fills it: expected {}, found {}", count(expected, "row"), number(found)),
        );
    }
    if found > expected {
        let twice = if found == expected.saturating_mul(2) { ", exactly twice as many: restored twice?" } else { "" };
        return Judged::because(
            Verdict::Fail,
            format!("expected {}, found {}{twice}", count(expected, "row"), number(found)),
        );
    }
    if rule == RowsRule::AtMost {
        return Judged::because(Verdict::Pass, format!("{} of {}", number(found), number(expected)));
    }
    if traits.merges {
        return Judged::because(Verdict::Pass, format!("merged: {} of {}", number(found), number(expected)));
    }
    if traits.expires {
        return Judged::because(Verdict::Pass, format!("expired by TTL: {} of {}", number(found), number(expected)));
    }
    match traits.hidden_from {
        Some(held) if held <= expected => Judged::because(
            Verdict::Pass,
            format!("hidden by a lightweight DELETE: {} of {}", number(found), number(expected)),
        ),
        _ => Judged::because(Verdict::Fail, format!("expected {}, found {}", count(expected, "row"), number(found))),
    }
}

/// Sums over the content of a table, independent of the order of rows and of parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentSum {
    /// Rows that went in.
    pub rows: u64,
    /// Sum of the rows' hashes, as text: it takes all 64 bits.
    pub sum: String,
    /// Exclusive or of the rows' hashes. Alone it would miss a doubled pair.
    pub xor: String,
}

/// Judges the content. `states` tells that the table holds states of aggregate functions, which may be written in
/// several ways that mean the same.
#[must_use]
pub fn judge_content(traits: Traits, states: bool, expected: &ContentSum, found: &ContentSum) -> Judged {
    if expected == found {
        return Judged::pass();
    }
    if expected.rows == found.rows && states {
        return Judged::because(
            Verdict::CannotTell,
            "the content hash differs, and states of aggregate functions need not be written alike",
        );
    }
    if traits.expires || traits.refreshed {
        return Judged::because(
            Verdict::CannotTell,
            "the content hash differs, and the table changes by itself (TTL or schedule)",
        );
    }
    let rows = if expected.rows == found.rows {
        String::new()
    } else {
        format!(" over {} instead of {}", count(found.rows, "row"), number(expected.rows))
    };
    Judged::because(Verdict::Fail, format!("the content hash differs{rows}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Traits = Traits { merges: false, expires: false, refreshed: false, hidden_from: None };
    const MERGES: Traits = Traits { merges: true, ..PLAIN };

    fn verdict(rule: RowsRule, traits: Traits, expected: u64, found: u64) -> Verdict {
        judge_rows(rule, traits, expected, found, None).verdict
    }

    #[test]
    fn rows_by_the_rule_that_fits_the_engine() {
        use RowsRule::{AtMost, Equal, Ignore};
        let expires = Traits { expires: true, ..PLAIN };
        let hidden = Traits { hidden_from: Some(10), ..PLAIN };
        let refreshed = Traits { refreshed: true, ..PLAIN };
        for (rule, traits, expected, found, wanted) in [
            (Equal, PLAIN, 10, 10, Verdict::Pass),
            (Equal, PLAIN, 0, 0, Verdict::Pass),
            (Equal, PLAIN, 10, 9, Verdict::Fail),
            (Equal, PLAIN, 10, 20, Verdict::Fail),
            (Equal, PLAIN, 0, 1, Verdict::Fail),
            (Equal, MERGES, 10, 9, Verdict::Pass),
            (Equal, MERGES, 10, 11, Verdict::Fail),
            (Equal, MERGES, 10, 0, Verdict::Fail),
            (Equal, expires, 10, 3, Verdict::Pass),
            (Equal, expires, 10, 0, Verdict::Fail),
            (Equal, hidden, 10, 9, Verdict::Pass),
            (Equal, hidden, 9, 8, Verdict::Fail),
            (Equal, refreshed, 10, 12, Verdict::CannotTell),
            (AtMost, PLAIN, 10, 9, Verdict::Pass),
            (AtMost, PLAIN, 10, 11, Verdict::Fail),
            (AtMost, PLAIN, 10, 0, Verdict::Fail),
            (Ignore, PLAIN, 10, 0, Verdict::Pass),
        ] {
            assert_eq!(verdict(rule, traits, expected, found), wanted, "{rule:?} {traits:?} {expected} {found}");
        }
        assert!(judge_rows(Equal, PLAIN, 10, 20, None).reason.contains("twice"));
        assert_eq!(judge_rows(Equal, MERGES, 10, 9, None).reason, "merged: 9 of 10");
    }

    #[test]
    fn two_live_sides_are_compared_as_merged() {
        assert_eq!(judge_rows(RowsRule::Equal, MERGES, 10, 12, Some((8, 8))).verdict, Verdict::Pass);
        assert_eq!(judge_rows(RowsRule::Equal, MERGES, 10, 9, Some((8, 7))).verdict, Verdict::Fail);
    }

    #[test]
    fn engines_that_merge() {
        for engine in [
            "ReplacingMergeTree",
            "ReplicatedReplacingMergeTree",
            "ReplicatedVersionedCollapsingMergeTree",
            "SharedSummingMergeTree",
        ] {
            assert!(merges_rows(engine), "{engine}");
        }
        for engine in ["MergeTree", "ReplicatedMergeTree", "Log", "Memory"] {
            assert!(!merges_rows(engine), "{engine}");
        }
    }

    #[test]
    fn content() {
        let sum = |rows, sum: &str| ContentSum { rows, sum: sum.to_owned(), xor: "1".to_owned() };
        assert_eq!(judge_content(PLAIN, false, &sum(1, "1"), &sum(1, "1")).verdict, Verdict::Pass);
        assert_eq!(judge_content(PLAIN, false, &sum(1, "1"), &sum(1, "2")).verdict, Verdict::Fail);
        assert_eq!(judge_content(MERGES, true, &sum(1, "1"), &sum(1, "2")).verdict, Verdict::CannotTell);
        assert_eq!(judge_content(PLAIN, true, &sum(1, "1"), &sum(2, "2")).verdict, Verdict::Fail);
    }

    #[test]
    fn the_worse_verdict_stays() {
        let judged =
            Judged::pass().and(Judged::because(Verdict::Fail, "a")).and(Judged::because(Verdict::CannotTell, "b"));
        assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Fail, "a; b"));
    }
}
