//! Looks at a run for damage. The one thing that is ever cut off is a torn last record.

use tokio_util::sync::CancellationToken;

use super::journal::read_journal;
use super::locks::{lock_state, this_process};
use super::ports::{Clock, StateError, StateStore};
use super::resume::run_state;
use super::run::{JOURNAL_DOCUMENT, PLAN_DOCUMENT};
use super::state_failure::state_failure;
use crate::diag::{Failure, Refusal};
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

/// What is found in a run.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whole records.
    pub records: usize,
    /// Their bytes.
    pub intact_bytes: u64,
    /// Bytes of a torn last record behind them.
    pub torn_bytes: u64,
    /// The torn bytes, for people.
    pub torn_text: String,
    /// What cannot be repaired.
    pub damage: Vec<Refusal>,
}

impl Health {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.torn_bytes == 0 && self.damage.is_empty()
    }
}

/// Characters of a torn record that are shown.
const SHOWN: usize = 200;

/// Looks at a run. Changes nothing.
///
/// # Errors
/// A state that cannot be read, or no such run.
pub async fn look(state: &dyn StateStore, run: &RunId) -> Result<Health, Failure> {
    let place = format!("{}/runs/{run}", state.describe());
    let mut health = Health::default();
    let bytes = state.get(run, JOURNAL_DOCUMENT).await.map_err(state_failure)?;
    let journal = match read_journal(&bytes, &format!("{place}/{JOURNAL_DOCUMENT}")) {
        Ok(journal) => Some(journal),
        Err(refusal) => {
            health.damage.push(refusal);
            None
        }
    };
    if let Some(journal) = &journal {
        health.records = journal.records.len();
        health.intact_bytes = journal.intact_bytes;
        health.torn_bytes = journal.torn_bytes;
        let torn = usize::try_from(journal.intact_bytes).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        health.torn_text = String::from_utf8_lossy(torn).chars().take(SHOWN).collect();
    }
    let plan = match state.get(run, PLAN_DOCUMENT).await {
        Ok(plan) => plan,
        Err(StateError::Missing { .. }) => {
            health.damage.push(damaged_plan(run, "there is none", &place));
            return Ok(health);
        }
        Err(error) => return Err(state_failure(error)),
    };
    match (serde_json::from_slice::<Plan>(&plan), &journal) {
        (Err(error), _) => health.damage.push(damaged_plan(run, &error.to_string(), &place)),
        // A run without a whole record never began: nothing was done, and there is nothing to repair.
        (Ok(plan), Some(journal)) if !journal.records.is_empty() => {
            health.damage.extend(run_state(&plan, journal).err());
        }
        (Ok(_), _) => {}
    }
    Ok(health)
}

/// Cuts a torn last record off, if it still has the number of bytes that a person agreed to.
///
/// # Errors
/// [`Failure::Refused`] where the run is at work, or looks otherwise than it was agreed to.
pub async fn cut(
    state: &dyn StateStore,
    run: &RunId,
    bytes: u64,
    owner: &str,
    clock: &dyn Clock,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Health, Failure> {
    let holder = this_process(run, owner, clock);
    let guard = lock_state(state, &holder, clock, &CancellationToken::new(), tell).await?;
    let result = cut_locked(state, run, bytes).await;
    guard.release().await;
    result
}

async fn cut_locked(state: &dyn StateStore, run: &RunId, bytes: u64) -> Result<Health, Failure> {
    let health = look(state, run).await?;
    if !health.damage.is_empty() {
        return Err(Failure::Error(health.damage));
    }
    if health.torn_bytes != bytes {
        return Err(Failure::refused(Refusal {
            what: format!("the journal of run {run} is not as it was agreed to"),
            expected: format!("a torn last record of {bytes} bytes"),
            found: format!("{} torn bytes", health.torn_bytes),
            evidence: format!("clickferry state repair {run}"),
            action: "look at it again; nothing was cut".to_owned(),
        }));
    }
    if bytes > 0 {
        state.truncate(run, health.intact_bytes).await.map_err(state_failure)?;
    }
    look(state, run).await
}

fn damaged_plan(run: &RunId, found: &str, place: &str) -> Refusal {
    Refusal {
        what: format!("the plan of run {run} cannot be read"),
        expected: "the plan that the journal was written for".to_owned(),
        found: found.to_owned(),
        evidence: format!("{place}/{PLAN_DOCUMENT}"),
        action: "where the run was being copied, copy it again; else bring back an undamaged copy, or look at the servers and plan anew".to_owned(),
    }
}
