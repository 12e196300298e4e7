//! Beginning an undo: from then on the run that is taken back cannot be carried on with.

use std::sync::Arc;

use crate::diag::{Failure, Refusal};
use crate::engine::journal::{Entry, JournalWriter};
use crate::engine::locks::Reservation;
use crate::engine::run::{Runner, write_failure};
use crate::engine::state_failure;
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

impl Runner<'_> {
    /// Begins the run of an undo and brings it to its end.
    ///
    /// # Errors
    /// Why it stopped; `resume` carries on with it as with every run.
    pub async fn begin_undo(&self, plan: &Plan, consent: &str, reserved: Reservation) -> Result<RunId, Failure> {
        if let Some(id) = &plan.undo_of
            && let Err(failure) = self.mark_undone(id, &reserved.run).await
        {
            reserved.cancel().await;
            return Err(failure);
        }
        self.begin(plan, consent, reserved).await
    }

    /// Tells the journal of the run that is taken back, before anything is. Called while the reservation's locks are
    /// held.
    async fn mark_undone(&self, id: &RunId, by: &RunId) -> Result<(), Failure> {
        let found = self.find(id).await?;
        if found.journal.torn_bytes > 0 {
            self.ports.state.truncate(id, found.journal.intact_bytes).await.map_err(state_failure)?;
        }
        let (seq, prev) =
            found.journal.records.last().map(|record| (record.seq, record.sum.clone())).unwrap_or_default();
        let state = Arc::clone(&self.ports.state);
        let journal = JournalWriter::new(state, Arc::clone(&self.ports.clock), id.clone(), Vec::new(), seq, prev);
        journal.append(Entry::Undone { by: by.clone() }).await.map_err(write_failure).map(|_| ())
    }
}

/// A run that was taken back is over, whatever its own journal lacks.
pub(in crate::engine) fn taken_back(id: &RunId, by: &RunId) -> Failure {
    Failure::refused(Refusal {
        what: format!("run {id} was taken back by run {by}"),
        expected: "a run that nobody takes back".to_owned(),
        found: format!("the undo {by}"),
        evidence: format!("clickferry status {by}"),
        action: format!(
            "`clickferry resume {by}` ends an undo that was stopped; to do the work again, apply the runbook anew"
        ),
    })
}
