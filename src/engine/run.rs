//! Begins and resumes runs: locks, journal, proofs asked again, execution.

use std::sync::{Arc, Mutex, OnceLock};

use tokio_util::sync::CancellationToken;

use super::cancel::withdraw;
use super::context::RunInfo;
use super::event::{Observer, Person, RunEvent};
use super::executor::{Execution, TakenOver};
pub use super::found_run::{FoundRun, find_run};
use super::journal::{Entry, HeldLock, JOURNAL_VERSION, Journal, JournalWriter};
use super::locks::{Reservation, release, targets_of};
use super::outcomes::Outcomes;
use super::ports::{Ports, StateError};
use super::reprove::Redo;
use super::resume::RunState;
use super::schema::Catalogue;
pub use super::state_failure::state_failure;
pub(super) use super::state_failure::write_failure;
use super::transfer::check_lives_here;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

/// Name of the plan among a run's documents.
pub const PLAN_DOCUMENT: &str = "plan.json";
/// Name of the journal among a run's documents.
pub const JOURNAL_DOCUMENT: &str = "journal.jsonl";
/// Name of the copy of the environment (references to secrets, never secrets) among a run's documents.
pub const ENVIRONMENT_DOCUMENT: &str = "environment.yaml";
/// Who runs, and with what.
pub struct Runner<'a> {
    /// The actions.
    pub catalogue: &'a Catalogue,
    /// The environment.
    pub environment: &'a Environment,
    /// Its text, kept beside the journal.
    pub environment_text: &'a str,
    /// The outside.
    pub ports: &'a Ports,
    /// Is told what happens.
    pub observer: &'a dyn Observer,
    /// Answers questions.
    pub person: &'a dyn Person,
    /// Cancelled to stop before the next operation.
    pub stop: CancellationToken,
    /// Cancelled to stop waiting.
    pub detach: CancellationToken,
    /// User and host of this process.
    pub owner: String,
}

impl Runner<'_> {
    /// Begins a run of a plan and brings it to its end.
    ///
    /// # Errors
    /// Why it stopped. The run's id comes through [`RunEvent::Started`].
    pub async fn begin(&self, plan: &Plan, consent: &str, reserved: Reservation) -> Result<RunId, Failure> {
        if let Err(failure) = self.same_hosts(plan).await {
            reserved.cancel().await;
            return Err(failure);
        }
        if let Err(error) = self.write_documents(&reserved.run, plan).await {
            reserved.cancel().await;
            return Err(state_failure(error));
        }
        self.begin_written(plan, consent, reserved).await
    }

    /// As [`Self::begin`], where the documents are written.
    pub(super) async fn begin_written(
        &self,
        plan: &Plan,
        consent: &str,
        reserved: Reservation,
    ) -> Result<RunId, Failure> {
        let Reservation { run: id, locks } = reserved;
        let run = RunInfo { id: id.clone(), started: self.ports.clock.now() };
        let journal = JournalWriter::new(
            Arc::clone(&self.ports.state),
            Arc::clone(&self.ports.clock),
            id.clone(),
            locks,
            0,
            String::new(),
        );
        let first = Entry::Started {
            version: JOURNAL_VERSION,
            run: id.clone(),
            plan: plan.digest.clone(),
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            owner: self.owner.clone(),
            consent: consent.to_owned(),
        };
        let record = match journal.append(first).await {
            Ok(record) => record,
            Err(error) => {
                journal.release().await;
                return Err(write_failure(error));
            }
        };
        let run = RunInfo { started: record.at, ..run };
        self.observer.event(&RunEvent::Started { run: &id, plan, resumed: false });
        let state = RunState::default();
        let execution = self.execution(plan, run, &journal, Outcomes::default());
        let result = execution.run_watched(&state).await;
        journal.release().await;
        self.ended(plan, &id, result, execution.take_back.get()).await.map(|()| id)
    }

    pub(super) async fn write_documents(&self, id: &RunId, plan: &Plan) -> Result<(), StateError> {
        let state = &self.ports.state;
        state.create_run(id).await?;
        state.put(id, ENVIRONMENT_DOCUMENT, self.environment_text.as_bytes()).await?;
        // Plain data with text keys always becomes JSON.
        let text = serde_json::to_vec_pretty(plan).unwrap_or_default();
        state.put(id, PLAN_DOCUMENT, &text).await
    }

    /// Carries on with a run. What it promised and no longer holds is done again only where `redo` says so.
    ///
    /// # Errors
    /// Why it stopped, or why it cannot be resumed.
    pub async fn resume(&self, id: &RunId, redo: Redo) -> Result<(), Failure> {
        self.resume_found(id, self.find(id).await?, redo).await
    }

    /// As [`Self::resume`], of a run that was read already; it is read a second time only where it has grown since.
    ///
    /// # Errors
    /// As [`Self::resume`].
    pub async fn resume_found(&self, id: &RunId, found: FoundRun, redo: Redo) -> Result<(), Failure> {
        let (FoundRun { plan, journal: found, mut state, .. }, locks) = self.take_up_found(id, found).await?;
        if let Some(by) = &state.undone {
            release(&locks).await;
            return Err(super::undo::taken_back(id, by));
        }
        if let Some(verdict) = state.finished.as_deref() {
            release(&locks).await;
            return if verdict == "done" { Ok(()) } else { Err(already_over(id)) };
        }
        if let Err(error) = withdraw(&*self.ports.state, id).await {
            release(&locks).await;
            return Err(state_failure(error));
        }
        let (run, journal) = self.continue_journal(id, &found, locks);
        let first = Entry::Resumed { tool: env!("CARGO_PKG_VERSION").to_owned(), owner: self.owner.clone() };
        if let Err(error) = journal.append(first).await {
            journal.release().await;
            return Err(write_failure(error));
        }
        self.observer.event(&RunEvent::Started { run: id, plan: &plan, resumed: true });
        let execution = self.execution(&plan, run, &journal, state.outcomes());
        let work = async {
            self.reprove(&execution, &mut state, &found, redo).await?;
            execution.run(&state).await
        };
        let result = execution.watched(work).await;
        journal.release().await;
        self.ended(&plan, id, result, execution.take_back.get()).await
    }

    /// A writer behind the last record of a run, under its locks.
    pub(super) fn continue_journal(
        &self,
        id: &RunId,
        found: &Journal,
        locks: Vec<HeldLock>,
    ) -> (RunInfo, JournalWriter) {
        let (seq, prev) = found.records.last().map(|record| (record.seq, record.sum.clone())).unwrap_or_default();
        let started = found.started().unwrap_or_else(|| self.ports.clock.now());
        let (state, clock) = (Arc::clone(&self.ports.state), Arc::clone(&self.ports.clock));
        let journal = JournalWriter::new(state, clock, id.clone(), locks, seq, prev);
        (RunInfo { id: id.clone(), started }, journal)
    }

    /// Locks a run that is about to be written to, and reads it: it lives here, and a torn last record, which would run
    /// together with the next one, is removed.
    pub(super) async fn take_up(&self, id: &RunId) -> Result<(FoundRun, Vec<HeldLock>), Failure> {
        self.take_up_found(id, self.find(id).await?).await
    }

    async fn take_up_found(&self, id: &RunId, before: FoundRun) -> Result<(FoundRun, Vec<HeldLock>), Failure> {
        let locks = self.locks(&targets_of(&before.plan), id).await?;
        // Looked at again under the locks: another process may have carried on meanwhile.
        let found = async {
            let found = self.ready_to_write(id, before.again(&*self.ports.state, id).await?).await?;
            if found.state.finished.is_none() {
                self.same_hosts(&found.plan).await?;
            }
            Ok(found)
        };
        match found.await {
            Ok(found) => Ok((found, locks)),
            Err(failure) => {
                release(&locks).await;
                Err(failure)
            }
        }
    }

    pub(super) async fn find_to_write(&self, id: &RunId) -> Result<FoundRun, Failure> {
        self.ready_to_write(id, self.find(id).await?).await
    }

    async fn ready_to_write(&self, id: &RunId, found: FoundRun) -> Result<FoundRun, Failure> {
        check_lives_here(&*self.ports.state, id, &found.journal).await?;
        let torn = found.journal.torn_bytes;
        if torn > 0 {
            self.ports.state.truncate(id, found.journal.intact_bytes).await.map_err(state_failure)?;
            let text = format!("the last record of the journal was torn ({torn} bytes) and is cut off");
            self.observer.event(&RunEvent::Notice { text: &text });
        }
        Ok(found)
    }

    /// Reads a run without changing it.
    ///
    /// # Errors
    /// Where it does not exist, is damaged, or does not fit its plan.
    pub async fn find(&self, id: &RunId) -> Result<FoundRun, Failure> {
        find_run(&*self.ports.state, id).await
    }

    pub(super) fn execution<'e>(
        &'e self,
        plan: &'e Plan,
        run: RunInfo,
        journal: &'e JournalWriter,
        outcomes: Outcomes,
    ) -> Execution<'e> {
        Execution {
            plan,
            run,
            catalogue: self.catalogue,
            environment: self.environment,
            ports: self.ports,
            journal,
            observer: self.observer,
            person: self.person,
            stop: self.stop.clone(),
            detach: self.detach.clone(),
            kill: CancellationToken::new(),
            running: Mutex::default(),
            outcomes,
            take_back: OnceLock::new(),
            taken_over: TakenOver::now(&*self.ports.clock),
        }
    }
}

/// An id that sorts by the time of the start: `20261120-223700-4f2a`. The last four digits are the fraction of the second
/// in 65,536ths, so that of two runs of one second, too, the later one is the latest.
pub(super) fn new_run_id(started: jiff::Timestamp) -> RunId {
    let started = started.to_zoned(jiff::tz::TimeZone::UTC);
    let time = started.strftime("%Y%m%d-%H%M%S");
    let fraction = i64::from(started.subsec_nanosecond()) * 65_536 / 1_000_000_000;
    RunId(format!("{time}-{fraction:04x}"))
}

fn already_over(id: &RunId) -> Failure {
    Failure::Differs(vec![Refusal {
        what: format!("run {id} is over: a check did not hold"),
        expected: String::new(),
        found: String::new(),
        evidence: format!("clickferry status {id}"),
        action: "plan and apply anew, or `clickferry verify`".to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use super::new_run_id;

    #[test]
    fn ids_sort_by_the_time_of_the_start_also_within_a_second() {
        let starts = ["22:36:59.999999", "22:37:00", "22:37:00.000016", "22:37:00.5", "22:37:00.999999", "22:37:01"];
        let ids = starts.map(|start| new_run_id(format!("2026-11-20T{start}Z").parse().unwrap()).0);
        assert_eq!(ids[1], "20261120-223700-0000");
        assert_eq!(ids[3], "20261120-223700-8000");
        assert!(ids.is_sorted_by(|earlier, later| earlier < later), "{ids:?}");
    }
}
