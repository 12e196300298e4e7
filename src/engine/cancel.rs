//! Cancels a run from elsewhere: asks the engine that works on it, or ends what a dead engine left running.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::action::Probe;
use super::context::RunInfo;
use super::event::RunEvent;
use super::executor::{LostBy, lost_context};
use super::journal::{Entry, JournalWriter, OutcomeKind};
use super::locks::is_dead_here;
use super::ports::{StateError, StateStore};
use super::resume::OperationState;
use super::run::{FoundRun, Runner, state_failure, write_failure};
use crate::diag::{Failure, Refusal};
use crate::model::ids::RunId;

/// Name of the request among a run's documents; empty once it was withdrawn.
const REQUEST_DOCUMENT: &str = "requests/cancel.json";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// User and host that asked.
    pub owner: String,
    /// When.
    pub at: Timestamp,
    /// Whether running BACKUPs and RESTOREs are stopped, instead of waited for.
    pub kill: bool,
    /// Why, as the person said.
    #[serde(default)]
    pub reason: String,
}

impl CancelRequest {
    /// The reason, to stand behind a name.
    #[must_use]
    pub fn why(&self) -> String {
        if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// An engine works on the run and has been asked; it stops at its next safe point.
    Asked,
    /// No engine works on it; this was found or done, one line each.
    Ended(Vec<String>),
}

/// The request that stands, if any.
///
/// # Errors
/// Where the state cannot be read.
pub async fn requested(state: &dyn StateStore, run: &RunId) -> Result<Option<CancelRequest>, StateError> {
    match state.get(run, REQUEST_DOCUMENT).await {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(StateError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes a request back, so that the run can be carried on.
///
/// # Errors
/// Where the state cannot be written.
pub async fn withdraw(state: &dyn StateStore, run: &RunId) -> Result<(), StateError> {
    match requested(state, run).await? {
        Some(_) => state.put(run, REQUEST_DOCUMENT, b"").await,
        None => Ok(()),
    }
}

impl Runner<'_> {
    /// Cancels a run, wherever its engine is.
    ///
    /// # Errors
    /// A run that is over, or a state or server that does not answer. [`Failure::Unknown`] where what a dead engine
    /// left cannot be told.
    pub async fn cancel(&self, id: &RunId, kill: bool, reason: &str) -> Result<Cancelled, Failure> {
        let found = self.find(id).await?;
        if found.state.finished.is_some() {
            return Err(Failure::refused(Refusal {
                what: format!("run {id} is over"),
                expected: "a run that can still be cancelled".to_owned(),
                found: "its last operation has ended".to_owned(),
                evidence: format!("clickferry status {id}"),
                action: "nothing: there is nothing to stop any more".to_owned(),
            }));
        }
        let request =
            CancelRequest { owner: self.owner.clone(), at: self.ports.clock.now(), kill, reason: reason.to_owned() };
        match self.ports.state.lock(&self.holder(id)).await {
            Ok(guard) => guard.release().await,
            Err(StateError::Locked { holder, .. })
                if holder.run == id.0 && !is_dead_here(&holder, &self.holder(id).machine) =>
            {
                // Plain data with text keys always becomes JSON.
                let text = serde_json::to_vec_pretty(&request).unwrap_or_default();
                self.ports.state.leave(id, REQUEST_DOCUMENT, &text).await.map_err(state_failure)?;
                return Ok(Cancelled::Asked);
            }
            // Nobody was seen to live: watched on while the locks are taken.
            Err(StateError::Locked { is_alive: false, .. }) => {}
            Err(error) => return Err(state_failure(error)),
        }
        let (found, locks) = self.take_up(id).await?;
        let (run, journal) = self.continue_journal(id, &found.journal, locks);
        let ended = self.end_of_dead(&journal, run, &found, &request).await;
        journal.release().await;
        ended
    }

    /// Finds out, and writes down, what the engine that died left; with `kill` it is stopped first.
    async fn end_of_dead(
        &self,
        journal: &JournalWriter,
        run: RunInfo,
        found: &FoundRun,
        request: &CancelRequest,
    ) -> Result<Cancelled, Failure> {
        let FoundRun { plan, state, .. } = found;
        let execution = self.execution(plan, run, journal, state.outcomes());
        let mut notes = Vec::new();
        let mut unknown = Vec::new();
        for operation in &plan.operations {
            let Some(OperationState::Lost { attempt, intent, at }) = state.operations.get(&operation.id) else {
                continue;
            };
            let action = execution.action_of(operation)?;
            let Some(context) = lost_context(&execution, operation, *attempt, intent, *at) else { continue };
            self.observer.event(&RunEvent::Probing { operation, why: "the engine that began it is gone" });
            if request.kill {
                match action.kill(&context).await {
                    Ok(leftovers) => notes.extend(leftovers),
                    Err(error) => unknown.push(error.refusal),
                }
            }
            let mut settling = execution.settling(&context, LostBy::Process);
            let probe = execution.settled_probe(action, &context, &mut settling).await;
            let (word, note) = match &probe {
                Probe::Done => ("done", "took effect; `clickferry resume` proves it and carries on behind it"),
                Probe::NotDone => ("not_done", "took no effect"),
                Probe::Running => ("running", "still runs on the server; `clickferry cancel RUN --kill` stops it"),
                Probe::Unknown(_) => ("unknown", "cannot be told"),
            };
            self.observer.event(&RunEvent::Probed { operation, answer: &word.replace('_', " ") });
            notes.push(format!("{} {note}", operation.id));
            let evidence = if let Probe::Unknown(refusal) = &probe { Some((&**refusal).into()) } else { None };
            let (operation, attempt) = (operation.id.clone(), *attempt);
            let probed = Entry::Probed { operation: operation.clone(), attempt, answer: word.to_owned(), evidence };
            journal.append(probed).await.map_err(write_failure)?;
            if matches!(probe, Probe::NotDone) {
                let (kind, data) = (OutcomeKind::NotDone, action.leaves(&context).await.into());
                let outcome = Entry::Outcome { operation, attempt, kind, data, error: None };
                journal.append(outcome).await.map_err(write_failure)?;
            } else if let Probe::Unknown(refusal) = probe {
                unknown.push(*refusal);
            }
        }
        let reason = format!("cancelled by {}{}", request.owner, request.why());
        journal.append(Entry::Stopped { reason }).await.map_err(write_failure)?;
        if unknown.is_empty() { Ok(Cancelled::Ended(notes)) } else { Err(Failure::Unknown(unknown)) }
    }
}
