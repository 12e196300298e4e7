//! A run as the state holds it: its plan, its journal, and how far it is.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use serde_json::Value;

use super::journal::{Entry, Journal, read_journal};
use super::ports::StateStore;
use super::resume::{RunState, run_state};
use super::run::{JOURNAL_DOCUMENT, PLAN_DOCUMENT};
use super::state_failure::state_failure;
use crate::diag::{Failure, Refusal};
use crate::model::ids::{OperationId, RunId};
use crate::plan::plan_file::Plan;
use crate::plan::read::{PlanProblem, not_intact, parse_plan};

/// A run as it was found.
pub struct FoundRun {
    /// Its plan.
    pub plan: Plan,
    /// Its journal.
    pub journal: Journal,
    /// How far it is.
    pub state: RunState,
    /// What all of that was read from.
    documents: Documents,
}

impl FoundRun {
    /// The run as it is now. Where nothing was written since, what was understood once is not worked out again; but
    /// whether an undo has begun stands in another journal.
    pub(super) async fn again(self, store: &dyn StateStore, id: &RunId) -> Result<Self, Failure> {
        let now = Documents::read(store, id).await?;
        let names_undo = self.journal.records.iter().any(|record| matches!(record.entry, Entry::Undone { .. }));
        if now == self.documents && !names_undo { Ok(self) } else { read_from(now, store, id).await }
    }

    /// What the `verify` operations found last, also where they did not hold; in the order of the plan.
    #[must_use]
    pub fn verify_outcomes(&self) -> Vec<Value> {
        let mut latest: BTreeMap<&OperationId, &Value> = BTreeMap::new();
        for record in &self.journal.records {
            if let Entry::Outcome { operation, data, .. } = &record.entry {
                latest.insert(operation, data);
            }
        }
        self.plan
            .operations
            .iter()
            .filter(|operation| operation.action == "verify")
            .filter_map(|operation| latest.get(&operation.id).map(|data| (*data).clone()))
            .collect()
    }
}

/// Reads a run without changing it.
///
/// # Errors
/// Where it does not exist, is damaged, or does not fit its plan.
pub async fn find_run(store: &dyn StateStore, id: &RunId) -> Result<FoundRun, Failure> {
    read_from(Documents::read(store, id).await?, store, id).await
}

async fn read_from(documents: Documents, store: &dyn StateStore, id: &RunId) -> Result<FoundRun, Failure> {
    let mut found = understand(documents, id)?;
    super::undo::forget_void_undo(store, &mut found).await?;
    Ok(found)
}

/// What a run's state holds, not yet read.
#[derive(PartialEq, Eq)]
struct Documents {
    location: String,
    plan: Vec<u8>,
    journal: Vec<u8>,
}

impl Documents {
    async fn read(store: &dyn StateStore, id: &RunId) -> Result<Self, Failure> {
        let location = format!("{}/runs/{id}", store.describe());
        let plan = store.get(id, PLAN_DOCUMENT).await.map_err(state_failure)?;
        let journal = store.get(id, JOURNAL_DOCUMENT).await.map_err(state_failure)?;
        Ok(Self { location, plan, journal })
    }
}

/// Reads how far a run is from its documents.
fn understand(documents: Documents, id: &RunId) -> Result<FoundRun, Failure> {
    let Documents { location, plan: text, journal } = &documents;
    let place = format!("{location}/{PLAN_DOCUMENT}");
    let log = format!("{location}/{JOURNAL_DOCUMENT}");
    let (plan, journal) = thread::scope(|scope| {
        let beside = thread::Builder::new().spawn_scoped(scope, || read_journal(journal, &log));
        let plan = parse_plan(text, &place);
        // A machine may refuse another thread.
        let journal = match beside {
            Ok(reader) => reader.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => read_journal(journal, &log),
        };
        (plan, journal)
    });
    let plan = plan.map_err(|problem| match problem {
        PlanProblem::Newer(refusal) => Failure::error(refusal),
        PlanProblem::Unreadable(error) => {
            Failure::simple(format!("the plan of run {id} cannot be read: {error}"), format!("look at {place}"))
        }
    })?;
    let journal = journal.map_err(Failure::error)?;
    if let Some(other) = journal.run().filter(|run| *run != id) {
        return Err(Failure::error(Refusal {
            what: "the journal is not of this run".to_owned(),
            expected: format!("the journal of run {id}"),
            found: format!("that of run {other} in {location}/{JOURNAL_DOCUMENT}"),
            evidence: format!("head -n 1 {location}/{JOURNAL_DOCUMENT}"),
            action: "bring back the run's own journal; nothing is carried on with another one".to_owned(),
        }));
    }
    let state = run_state(&plan, &journal)
        .map_err(|refusal| Failure::error(if plan.is_intact() { refusal } else { not_intact(&plan, text, &place) }))?;
    Ok(FoundRun { plan, journal, state, documents })
}
