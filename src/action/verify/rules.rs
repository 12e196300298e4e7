//! The verdicts. Pure: what is expected and what was found go in, a verdict with its reason comes out.

use serde::{Deserialize, Serialize};

use super::arguments::RowsRule;

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
        let reasons: Vec<&str> = [self.reason.as_str(), other.reason.as_str()].into_iter().filter(|reason| !reason.is_empty()).collect();
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
        return Judged::because(Verdict::Fail, format!("expected {expected} rows, the table is empty"));
    }
    if let Some((wanted, here)) = finals {
        return if wanted == here {
            Judged::because(Verdict::Pass, format!("{here} rows with FINAL on both sides"))
        } else {
            Judged::because(Verdict::Fail, format!("expected {expected} rows ({wanted} with FINAL), found {found} ({here} with FINAL)"))
        };
    }
    if traits.refreshed {
        return Judged::because(Verdict::CannotTell, format!("a schedule fills it: expected {expected} rows, found {found}"));
    }
    if found > expected {
        let twice = if found == expected.saturating_mul(2) { ", exactly twice as many: restored twice?" } else { "" };
        return Judged::because(Verdict::Fail, format!("expected {expected} rows, found {found}{twice}"));
    }
    if rule == RowsRule::AtMost {
        return Judged::because(Verdict::Pass, format!("{found} of {expected}"));
    }
    if traits.merges {
        return Judged::because(Verdict::Pass, format!("merged: {found} of {expected}"));
    }
    if traits.expires {
        return Judged::because(Verdict::Pass, format!("expired by TTL: {found} of {expected}"));
    }
    match traits.hidden_from {
        Some(held) if held <= expected => Judged::because(Verdict::Pass, format!("hidden by a lightweight DELETE: {found} of {expected}")),
        _ => Judged::because(Verdict::Fail, format!("expected {expected} rows, found {found}")),
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
        return Judged::because(Verdict::CannotTell, "the content hash differs, and states of aggregate functions need not be written alike");
    }
    if traits.expires || traits.refreshed {
        return Judged::because(Verdict::CannotTell, "the content hash differs, and the table changes by itself (TTL or schedule)");
    }
    let rows = if expected.rows == found.rows { String::new() } else { format!(" over {} rows instead of {}", found.rows, expected.rows) };
    Judged::because(Verdict::Fail, format!("the content hash differs{rows}"))
}

/// The state of a replicated table on one host, from `system.replicas`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Read-only: lost Keeper, or its metadata is gone.
    pub is_readonly: bool,
    /// The session with Keeper ran out.
    pub is_session_expired: bool,
    /// Parts to come.
    pub future_parts: u64,
    /// Parts in doubt.
    pub parts_to_check: u64,
    /// Entries of the queue that bring data.
    pub inserts_in_queue: u64,
    /// Last entry of the shared log.
    pub log_max_index: u64,
    /// Next entry this replica takes.
    pub log_pointer: u64,
    /// Replicas known to Keeper.
    pub total_replicas: u64,
    /// Replicas with a live session.
    pub active_replicas: u64,
    /// Keeper path.
    pub zookeeper_path: String,
    /// Name of the replica.
    pub replica_name: String,
    /// What Keeper answered when these columns were read.
    pub zookeeper_exception: String,
    /// What went wrong when the queue was updated last; it stays after things are well again (seen on 26.7).
    pub last_queue_update_exception: String,
    /// What is wrong with an entry of the queue.
    pub queue_exception: String,
}

impl Replica {
    /// Whether it still waits for something, so that asking again may tell more.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.inserts_in_queue > 0
            || self.parts_to_check > 0
            || (self.log_max_index > 0 && self.log_pointer <= self.log_max_index)
    }

    /// Whether waiting may heal it.
    #[must_use]
    pub fn may_settle(&self) -> bool {
        self.is_behind() || self.future_parts > 0 || self.is_readonly || self.is_session_expired || self.active_replicas < self.total_replicas
    }

    /// Everything that is not healthy. `replicas` is the number the environment has for this shard; `peer` the
    /// Keeper path of the same table on the first replica.
    #[must_use]
    pub fn problems(&self, replicas: u64, peer: Option<&str>) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |problem: bool, text: String| {
            if problem {
                found.push(text);
            }
        };
        add(self.is_readonly, "read-only".to_owned());
        add(self.is_session_expired, "its session with Keeper has expired".to_owned());
        add(!self.zookeeper_exception.is_empty(), format!("Keeper: {}", short(&self.zookeeper_exception)));
        add(self.inserts_in_queue > 0, format!("{} entries that bring data are in its queue", self.inserts_in_queue));
        add(self.parts_to_check > 0, format!("{} parts are in doubt", self.parts_to_check));
        let lags = self.log_max_index > 0 && self.log_pointer <= self.log_max_index;
        add(lags, format!("it is at entry {} of the log, which has {}", self.log_pointer, self.log_max_index));
        add(self.total_replicas != replicas, format!("Keeper knows {} replicas, the environment has {replicas}", self.total_replicas));
        add(self.active_replicas != self.total_replicas, format!("{} of {} replicas are active", self.active_replicas, self.total_replicas));
        if let Some(path) = peer {
            add(path != self.zookeeper_path, format!("its Keeper path is {}, on the first replica {path}: they do not replicate each other", self.zookeeper_path));
        }
        add(!self.queue_exception.is_empty(), format!("an entry of its queue fails: {}", short(&self.queue_exception)));
        let stuck = !self.last_queue_update_exception.is_empty() && (self.is_behind() || self.is_readonly);
        add(stuck, format!("its queue cannot be updated: {}", short(&self.last_queue_update_exception)));
        found
    }
}

fn short(text: &str) -> String {
    text.chars().take(160).collect()
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
        for engine in ["ReplacingMergeTree", "ReplicatedReplacingMergeTree", "ReplicatedVersionedCollapsingMergeTree", "SharedSummingMergeTree"] {
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
    fn replicas() {
        let healthy = Replica { log_max_index: 3, log_pointer: 4, total_replicas: 2, active_replicas: 2, zookeeper_path: "/t".to_owned(), ..Replica::default() };
        assert_eq!(healthy.problems(2, Some("/t")), Vec::<String>::new());
        let stale = Replica { last_queue_update_exception: "Session expired".to_owned(), ..healthy.clone() };
        assert_eq!(stale.problems(2, None), Vec::<String>::new());
        let empty_log = Replica { log_max_index: 0, log_pointer: 0, ..healthy.clone() };
        assert!(!empty_log.is_behind());
        assert_eq!(healthy.problems(3, Some("/u")).len(), 2);
        let behind = Replica { log_pointer: 3, is_readonly: true, inserts_in_queue: 1, active_replicas: 1, ..healthy };
        assert_eq!(behind.problems(2, None).len(), 4);
        assert!(behind.may_settle());
    }

    #[test]
    fn the_worse_verdict_stays() {
        let judged = Judged::pass().and(Judged::because(Verdict::Fail, "a")).and(Judged::because(Verdict::CannotTell, "b"));
        assert_eq!((judged.verdict, judged.reason.as_str()), (Verdict::Fail, "a; b"));
    }
}
