//! Beginning an undo: from then on the run that is taken back cannot be carried on with.

use crate::diag::{Failure, Refusal};
use crate::engine::journal::{Entry, HeldLock, read_journal};
use crate::engine::locks::{Reservation, release};
use crate::engine::ports::{StateError, StateStore};
use crate::engine::run::{FoundRun, JOURNAL_DOCUMENT, Runner, write_failure};
use crate::engine::state_failure;
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

impl Runner<'_> {
    /// Begins the run of an undo and brings it to its end.
    ///
    /// # Errors
    /// Why it stopped; `resume` carries on with it as with every run.
    pub async fn begin_undo(&self, plan: &Plan, consent: &str, reserved: Reservation) -> Result<RunId, Failure> {
        if let Err(failure) = self.same_hosts(plan).await {
            reserved.cancel().await;
            return Err(failure);
        }
        let Reservation { run, mut locks } = reserved;
        // Written first: a record that names this run must not outlive a process that never made it.
        if let Err(error) = self.write_documents(&run, plan).await {
            release(&locks).await;
            return Err(state_failure(error));
        }
        if let Some(id) = &plan.undo_of {
            // The lock of the state is one run's at a time. Those of the targets are held all the while.
            let state = locks.remove(0);
            state.guard.release().await;
            let marked = async {
                self.mark_undone(id, &run, &state.name).await?;
                let guard = self.ports.state.lock(&self.holder(&run)).await.map_err(state_failure)?;
                // Between the two locks another process may have carried on with it, as this undo has not begun yet.
                let found = self.find(id).await;
                let is_last = |found: &FoundRun| matches!(found.journal.records.last().map(|record| &record.entry), Some(Entry::Undone { by }) if *by == run);
                match found {
                    Ok(found) if is_last(&found) => Ok(guard),
                    other => {
                        guard.release().await;
                        Err(other.err().unwrap_or_else(|| carried_on(id)))
                    }
                }
            };
            match marked.await {
                Ok(guard) => locks.insert(0, HeldLock { name: state.name, guard }),
                Err(failure) => {
                    release(&locks).await;
                    return Err(failure);
                }
            }
        }
        self.begin_written(plan, consent, Reservation { run, locks }).await
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

/// A process that dies behind the record `undone` and before its undo has begun has taken nothing back: the undo's
/// documents are there and its journal holds no record. Such a record says nothing.
///
/// # Errors
/// A state that does not answer.
pub(in crate::engine) async fn forget_void_undo(store: &dyn StateStore, found: &mut FoundRun) -> Result<(), Failure> {
    let Some(by) = &found.state.undone else { return Ok(()) };
    let journal = match store.get(by, JOURNAL_DOCUMENT).await {
        Ok(journal) => journal,
        // The undo is kept elsewhere, or was deleted: it may have taken everything back.
        Err(StateError::Missing { .. }) => return Ok(()),
        Err(error) => return Err(state_failure(error)),
    };
    if read_journal(&journal, "").is_ok_and(|journal| journal.records.is_empty()) {
        found.state.undone = None;
    }
    Ok(())
}

fn carried_on(id: &RunId) -> Failure {
    Failure::refused(Refusal {
        what: format!("run {id} was carried on with while its undo began"),
        expected: "nobody else works on it".to_owned(),
        found: "another process wrote to its journal".to_owned(),
        evidence: format!("clickferry status {id}"),
        action: format!("nothing was taken back; `clickferry undo {id}` looks at it anew"),
    })
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
