//! Beginning an undo: from then on the run that is taken back cannot be carried on with.

use crate::diag::{Failure, Refusal};
use crate::engine::journal::{Entry, HeldLock};
use crate::engine::locks::{Reservation, release};
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
        let Reservation { run, mut locks } = reserved;
        if let Some(id) = &plan.undo_of {
            // The lock of the state is one run's at a time. Those of the targets are held all the while.
            let state = locks.remove(0);
            state.guard.release().await;
            let marked = async {
                self.mark_undone(id, &run, &state.name).await?;
                self.ports.state.lock(&self.holder(&run)).await.map_err(state_failure)
            };
            match marked.await {
                Ok(guard) => locks.insert(0, HeldLock { name: state.name, guard }),
                Err(failure) => {
                    release(&locks).await;
                    return Err(failure);
                }
            }
        }
        self.begin(plan, consent, Reservation { run, locks }).await
    }

    /// Tells the journal of the run that is taken back, before anything is.
    async fn mark_undone(&self, id: &RunId, by: &RunId, name: &str) -> Result<(), Failure> {
        let guard = self.ports.state.lock(&self.holder(id)).await.map_err(state_failure)?;
        let locks = vec![HeldLock { name: name.to_owned(), guard }];
        let found = match self.find_to_write(id).await {
            Ok(found) => found,
            Err(failure) => {
                release(&locks).await;
                return Err(failure);
            }
        };
        let (_, journal) = self.continue_journal(id, &found.journal, locks);
        let told = journal.append(Entry::Undone { by: by.clone() }).await.map_err(write_failure);
        journal.release().await;
        told.map(|_| ())
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
