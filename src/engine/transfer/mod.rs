//! Copies a run from one state to another: complete, checked, and never over another history.

mod elsewhere;
mod history;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use elsewhere::{ELSEWHERE_DOCUMENT, Elsewhere, Why, check_lives_here, elsewhere};
use history::{Histories, compare};

use super::journal::{Journal, read_journal};
use super::locks::{lock_state, this_process};
use super::ports::{Clock, LockGuard, StateError, StateStore};
use super::run::{FoundRun, JOURNAL_DOCUMENT, PLAN_DOCUMENT, find_run};
use super::state_failure::state_failure;
use crate::diag::{Failure, Refusal};
use crate::model::ids::RunId;

/// Copies runs.
pub struct Transfer<'a> {
    /// Where the run is.
    pub from: &'a dyn StateStore,
    /// Where it goes.
    pub to: &'a dyn StateStore,
    /// Time.
    pub clock: &'a dyn Clock,
    /// User and host of this process.
    pub owner: String,
    /// Is told what takes long.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Records of the run.
    pub records: usize,
    /// Records that were there before.
    pub were_there: usize,
    /// Documents beside the journal.
    pub documents: usize,
    /// Bytes of a torn last record that were left out.
    pub torn_bytes: u64,
    /// The place it was copied to has more of the same history; nothing was written there.
    pub is_ahead: bool,
}

impl Transfer<'_> {
    /// Copies a run to look at: it lives where it lived.
    ///
    /// # Errors
    /// A damaged run, another history at the other place, a copy that does not come out equal.
    pub async fn pull(&self, run: &RunId) -> Result<Copied, Failure> {
        self.check_places()?;
        let to = self.lock(self.to, run).await?;
        let result = self.pull_locked(run).await;
        to.release().await;
        result
    }

    async fn pull_locked(&self, run: &RunId) -> Result<Copied, Failure> {
        let lives = elsewhere(self.from, run).await?.map_or_else(|| self.place(self.from), |mark| mark.lives);
        // What lives there must not become a mere copy of what is here.
        let is_there = self.to.runs().await.map_err(state_failure)?.contains(run);
        if is_there && elsewhere(self.to, run).await?.is_none() {
            return Err(self.lives_there(run));
        }
        let copied = self.copy(run).await?;
        if !copied.is_ahead {
            self.mark(self.to, run, Why::Copied, lives).await?;
        }
        Ok(copied)
    }

    /// Moves a run: it lives where it was copied to, and no longer where it was. `instead_of` names the place where a
    /// copy's run lives, for one that is gone for good.
    ///
    /// # Errors
    /// As [`Self::pull`]; and for a copy whose run lives at a third place.
    pub async fn push(&self, run: &RunId, instead_of: Option<&str>) -> Result<Copied, Failure> {
        self.check_places()?;
        let from = self.lock(self.from, run).await?;
        let result = self.push_locked(run, instead_of).await;
        from.release().await;
        result
    }

    async fn push_locked(&self, run: &RunId, instead_of: Option<&str>) -> Result<Copied, Failure> {
        let mark = elsewhere(self.from, run).await?;
        if let Some(mark) = &mark
            && mark.lives != self.place(self.to)
            && instead_of != Some(mark.lives.as_str())
        {
            return Err(self.lives_at_a_third_place(run, mark));
        }
        let to = self.lock(self.to, run).await?;
        let result = self.push_between(run, mark.is_some()).await;
        to.release().await;
        result
    }

    async fn push_between(&self, run: &RunId, is_copy: bool) -> Result<Copied, Failure> {
        let copied = self.copy(run).await?;
        // Where it has more than the copy, it has gone on there; what its mark says stands.
        if !copied.is_ahead {
            self.mark(self.to, run, Why::Here, self.place(self.to)).await?;
        }
        if !is_copy {
            self.mark(self.from, run, Why::Moved, self.place(self.to)).await?;
        }
        Ok(copied)
    }

    /// Copies under the locks, behind a mark that keeps everybody from carrying on half a run.
    async fn copy(&self, run: &RunId) -> Result<Copied, Failure> {
        let source = find_run(self.from, run).await?;
        let bytes = self.from.get(run, JOURNAL_DOCUMENT).await.map_err(state_failure)?;
        let there = self.look_there(run, &source).await?;
        let were_there = there.as_ref().map_or(0, |journal| journal.records.len());
        let mut copied = Copied {
            records: source.journal.records.len(),
            were_there,
            documents: 0,
            torn_bytes: source.journal.torn_bytes,
            is_ahead: were_there > source.journal.records.len(),
        };
        if copied.is_ahead {
            return Ok(copied);
        }
        if there.is_none() {
            self.to.create_run(run).await.map_err(state_failure)?;
        }
        self.mark(self.to, run, Why::Arriving, self.place(self.from)).await?;
        let intact = usize::try_from(source.journal.intact_bytes).unwrap_or(usize::MAX).min(bytes.len());
        let lines = bytes[..intact].split_inclusive(|&byte| byte == b'\n');
        for (line, number) in lines.zip(1..).skip(were_there) {
            self.to.append(run, number, line).await.map_err(state_failure)?;
        }
        let documents = self.from.documents(run).await.map_err(state_failure)?;
        let names: Vec<&str> = documents
            .iter()
            .map(|document| document.name.as_str())
            .filter(|name| ![JOURNAL_DOCUMENT, PLAN_DOCUMENT, ELSEWHERE_DOCUMENT].contains(name))
            // The plan comes last: without it nobody takes the run for a whole one.
            .chain([PLAN_DOCUMENT])
            .collect();
        copied.documents = names.len();
        for name in names {
            self.copy_document(run, name).await?;
        }
        self.compare_journals(run, &bytes[..intact]).await?;
        Ok(copied)
    }

    async fn copy_document(&self, run: &RunId, name: &str) -> Result<(), Failure> {
        let content = self.from.get(run, name).await.map_err(state_failure)?;
        if self.to.get(run, name).await.is_ok_and(|there| there == content) {
            return Ok(());
        }
        self.to.put(run, name, &content).await.map_err(state_failure)?;
        let there = self.to.get(run, name).await.map_err(state_failure)?;
        if there == content { Ok(()) } else { Err(self.unequal(run, name)) }
    }

    async fn compare_journals(&self, run: &RunId, bytes: &[u8]) -> Result<(), Failure> {
        let there = self.to.get(run, JOURNAL_DOCUMENT).await.map_err(state_failure)?;
        if there != bytes {
            return Err(self.unequal(run, JOURNAL_DOCUMENT));
        }
        find_run(self.to, run).await.map(|_| ())
    }

    /// What the other place has of this run: a beginning of it, or more of it, or nothing.
    async fn look_there(&self, run: &RunId, source: &FoundRun) -> Result<Option<Journal>, Failure> {
        let place = format!("{}/runs/{run}", self.to.describe());
        let bytes = match self.to.get(run, JOURNAL_DOCUMENT).await {
            Ok(bytes) => bytes,
            Err(StateError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(state_failure(error)),
        };
        let journal = read_journal(&bytes, &format!("{place}/{JOURNAL_DOCUMENT}")).map_err(Failure::error)?;
        match self.to.get(run, PLAN_DOCUMENT).await {
            Ok(plan) => {
                let digest = serde_json::from_slice::<Value>(&plan).ok();
                let digest = digest.as_ref().and_then(|plan| plan.get("digest")).and_then(Value::as_str);
                if digest != Some(source.plan.digest.as_str()) {
                    return Err(self.parted(run, "another plan"));
                }
            }
            Err(StateError::Missing { .. }) => {}
            Err(error) => return Err(state_failure(error)),
        }
        if journal.torn_bytes > 0 {
            self.cut_torn_copy(run, &journal).await?;
        }
        match compare(&journal.records, &source.journal.records) {
            Histories::Parted(number) => Err(self.parted(run, &format!("another record {number}"))),
            Histories::Same | Histories::Behind(_) | Histories::Ahead => Ok(Some(journal)),
        }
    }

    /// A torn last record of a mere copy is cut off; of a run that lives there, a person cuts it off.
    async fn cut_torn_copy(&self, run: &RunId, journal: &Journal) -> Result<(), Failure> {
        if elsewhere(self.to, run).await?.is_some() {
            return self.to.truncate(run, journal.intact_bytes).await.map_err(state_failure);
        }
        Err(Failure::refused(Refusal {
            what: format!("the journal of run {run} in {} is torn", self.to.describe()),
            expected: "whole records at the place that is written to".to_owned(),
            found: format!("{} bytes of a torn last record", journal.torn_bytes),
            evidence: format!("clickferry state repair {run}"),
            action: "repair it there first; nothing was copied".to_owned(),
        }))
    }

    async fn mark(&self, state: &dyn StateStore, run: &RunId, why: Why, lives: String) -> Result<(), Failure> {
        let mark = Elsewhere { version: 1, why, lives, at: self.clock.now(), by: self.owner.clone() };
        // Plain data with text keys always becomes JSON.
        let text = serde_json::to_vec_pretty(&mark).unwrap_or_default();
        state.put(run, ELSEWHERE_DOCUMENT, &text).await.map_err(state_failure)
    }

    async fn lock(&self, state: &dyn StateStore, run: &RunId) -> Result<Box<dyn LockGuard>, Failure> {
        let holder = this_process(run, &self.owner, self.clock);
        lock_state(state, &holder, self.clock, &CancellationToken::new(), self.tell).await
    }

    /// A state as other machines have to understand it.
    fn place(&self, state: &dyn StateStore) -> String {
        let place = state.describe();
        let host = self.owner.rsplit('@').next().unwrap_or_default();
        if place.contains("://") { place } else { format!("{host}:{place}") }
    }

    fn check_places(&self) -> Result<(), Failure> {
        if self.from.describe() != self.to.describe() {
            return Ok(());
        }
        Err(Failure::simple(
            format!("{} is both the place to copy from and the place to copy to", self.from.describe()),
            "name the other place with `-e` or `--state`",
        ))
    }

    fn lives_there(&self, run: &RunId) -> Failure {
        Failure::refused(Refusal {
            what: format!("run {run} lives in {}", self.to.describe()),
            expected: "a place that has no such run, or an earlier copy of it".to_owned(),
            found: "the run itself, without a mark that it is a copy".to_owned(),
            evidence: "clickferry state ls, at both places".to_owned(),
            action: "to bring records there, move them: `clickferry state push`".to_owned(),
        })
    }

    fn parted(&self, run: &RunId, found: &str) -> Failure {
        Failure::refused(Refusal {
            what: format!("run {run} in {} has another history", self.to.describe()),
            expected: format!("the beginning of the run in {}, or nothing", self.from.describe()),
            found: format!("{found} under the same run id"),
            evidence: format!("clickferry status {run}, at both places"),
            action: "find out which of them went on with the servers; no history is written over another".to_owned(),
        })
    }

    fn lives_at_a_third_place(&self, run: &RunId, mark: &Elsewhere) -> Failure {
        Failure::refused(Refusal {
            what: format!("run {run} in {} is not the one to move", self.from.describe()),
            expected: format!("a run that lives there, or in {}", self.to.describe()),
            found: mark.words(),
            evidence: format!("clickferry state ls, with the state {}", mark.lives),
            action: format!(
                "push it from {0}; where that place is gone for good, add `--instead-of {0}`: then nobody may ever carry on with it there",
                mark.lives
            ),
        })
    }

    fn unequal(&self, run: &RunId, name: &str) -> Failure {
        Failure::error(Refusal {
            what: format!("the copy of {name} of run {run} in {} is not equal", self.to.describe()),
            expected: format!("what is in {}", self.from.describe()),
            found: "another content".to_owned(),
            evidence: String::new(),
            action: "copy it again; until then the run is marked as incomplete there".to_owned(),
        })
    }
}
