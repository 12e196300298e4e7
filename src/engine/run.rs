//! Begins and resumes runs: locks, journal, proofs asked again, execution.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::cancel::withdraw;
use super::context::RunInfo;
use super::event::{Observer, Person, RunEvent};
use super::executor::Execution;
use super::journal::{Entry, HeldLock, JOURNAL_VERSION, Journal, JournalWriter, read_journal};
use super::locks::{Reservation, release, targets_of};
use super::outcomes::Outcomes;
use super::ports::{Ports, StateError, StateStore};
use super::reprove::Redo;
use super::resume::{RunState, run_state};
use super::schema::Catalogue;
pub use super::state_failure::state_failure;
pub(super) use super::state_failure::write_failure;
use super::transfer::check_lives_here;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::{OperationId, RunId};
use crate::plan::plan_file::Plan;
use crate::plan::read::{PlanProblem, not_intact, parse_plan};

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

/// A run as it was found.
pub struct FoundRun {
    /// Its plan.
    pub plan: Plan,
    /// Its journal.
    pub journal: Journal,
    /// How far it is.
    pub state: RunState,
}

impl FoundRun {
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

impl Runner<'_> {
    /// Begins a run of a plan and brings it to its end.
    ///
    /// # Errors
    /// Why it stopped. The run's id comes through [`RunEvent::Started`].
    pub async fn begin(&self, plan: &Plan, consent: &str, reserved: Reservation) -> Result<RunId, Failure> {
        let Reservation { run: id, locks } = reserved;
        if let Err(failure) = self.same_hosts(plan).await {
            release(&locks).await;
            return Err(failure);
        }
        let run = RunInfo { id: id.clone(), started: self.ports.clock.now() };
        if let Err(error) = self.write_documents(&id, plan).await {
            release(&locks).await;
            return Err(state_failure(error));
        }
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
        let result = self.execution(plan, run, &journal, Outcomes::default()).run_watched(&state).await;
        journal.release().await;
        result.map(|()| id)
    }

    async fn write_documents(&self, id: &RunId, plan: &Plan) -> Result<(), StateError> {
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
        let (FoundRun { plan, journal: found, mut state }, locks) = self.take_up(id).await?;
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
        result
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
        let before = self.find(id).await?;
        let locks = self.locks(&targets_of(&before.plan), id).await?;
        // Read again under the locks: another process may have carried on meanwhile.
        let found = async {
            let found = self.find_to_write(id).await?;
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
        let found = self.find(id).await?;
        check_lives_here(&*self.ports.state, id, &found.journal).await?;
        let torn = found.journal.torn_bytes;
        if torn > 0 && found.state.finished.is_none() {
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
        }
    }
}

/// Reads a run without changing it.
///
/// # Errors
/// Where it does not exist, is damaged, or does not fit its plan.
pub async fn find_run(store: &dyn StateStore, id: &RunId) -> Result<FoundRun, Failure> {
    understand(&Documents::read(store, id).await?, id)
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
fn understand(documents: &Documents, id: &RunId) -> Result<FoundRun, Failure> {
    let Documents { location, plan: text, journal } = documents;
    let place = format!("{location}/{PLAN_DOCUMENT}");
    let plan = parse_plan(text, &place).map_err(|problem| match problem {
        PlanProblem::Newer(refusal) => Failure::error(refusal),
        PlanProblem::Unreadable(error) => {
            Failure::simple(format!("the plan of run {id} cannot be read: {error}"), format!("look at {place}"))
        }
    })?;
    let journal = read_journal(journal, &format!("{location}/{JOURNAL_DOCUMENT}")).map_err(Failure::error)?;
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
    Ok(FoundRun { plan, journal, state })
}

/// An id that sorts by the time of the start: `20261120-223700-4f2a`.
pub(super) fn new_run_id(started: jiff::Timestamp) -> RunId {
    let time = started.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string();
    let random = uuid::Uuid::now_v7().simple().to_string();
    RunId(format!("{time}-{}", &random[random.len() - 4..]))
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
