//! The model world: what took effect, what still runs, and every law that was broken on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use clickferry::engine::journal::{Entry, OutcomeKind, Record, read_journal};
use clickferry::engine::ports::{Answer, Call, Clock, Sql, SqlError};
use clickferry::engine::resume::OperationState;
use clickferry::model::ids::{HostName, OperationId, RunId};
use clickferry::plan::plan_file::Plan;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Dice;
use super::history::state_told_by;

/// What a statement meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It takes effect and answers.
    Fine,
    /// It never leaves.
    NotSent,
    /// It takes effect, and the answer is lost.
    LostDone,
    /// It is lost on its way.
    LostNot,
    /// Its answer is lost, it runs for some probes, then it takes effect (or not).
    Slow(u8, bool),
    /// As [`Fate::Slow`], and the first probes cannot tell.
    Untold(u8, bool),
    /// Its answer is lost, and the server has not come to it yet: for so many times 400 ms of the process that asks
    /// nothing of it is to be seen, then it takes effect.
    Late(u8),
}

/// One end of a disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    /// The process is gone.
    Kill,
    /// A person asks it to stop.
    Stop,
}

/// The world; processes come and go.
pub struct World {
    pub plan: Plan,
    pub inner: Mutex<Inner>,
    pub killed: Notify,
}

/// What it holds.
#[derive(Default)]
pub struct Inner {
    /// Documents of each run; the journals too.
    pub documents: BTreeMap<(RunId, String), Vec<u8>>,
    pub runs: Vec<RunId>,
    /// Operations in the order in which they took effect.
    pub effects: Vec<OperationId>,
    /// Operations that a probe is owed for: an intent without a known outcome.
    pub owed: BTreeMap<OperationId, bool>,
    /// What broke a law.
    pub violations: Vec<String>,
    /// What the statements of each operation will meet, in order; then they are fine.
    pub fates: BTreeMap<OperationId, Vec<Fate>>,
    running: BTreeMap<OperationId, Fate>,
    sent: Vec<String>,
    pub locked: bool,
    /// Boundaries passed by this process.
    pub passed: u64,
    /// At which of them it is disturbed.
    pub disturbed: Option<(u64, Disturbance)>,
    is_dead: bool,
    pub stop: CancellationToken,
    pub dice: Option<Dice>,
    now: i64,
    /// What ticks tell: only waiting makes them go on, so that nothing rests on how often the time is asked for.
    ticked: Duration,
    /// When this process began, and when the late ones were sent.
    began: Duration,
    late_since: BTreeMap<OperationId, Duration>,
}

impl World {
    pub fn new(plan: Plan) -> Arc<Self> {
        Arc::new(Self { plan, inner: Mutex::default(), killed: Notify::new() })
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A new process: counted from the start, disturbed where asked.
    pub fn wake(&self, disturbed: Option<(u64, Disturbance)>) {
        let mut inner = self.inner();
        (inner.passed, inner.disturbed, inner.is_dead, inner.locked) = (0, disturbed, false, false);
        inner.stop = CancellationToken::new();
        // It comes an hour later, or its clock is an hour ahead: nothing follows from the age of what it finds.
        inner.now += 3_600_000_000;
        inner.ticked += Duration::from_secs(3600);
        inner.began = inner.ticked;
    }

    /// Between any two things that a process does to the outside. Here it may die, and others may go first.
    pub async fn pass(&self) {
        let (turns, is_dead) = {
            let mut inner = self.inner();
            inner.passed += 1;
            match inner.disturbed {
                Some((at, Disturbance::Kill)) if at == inner.passed => {
                    inner.is_dead = true;
                    self.killed.notify_one();
                }
                Some((at, Disturbance::Stop)) if at == inner.passed => inner.stop.cancel(),
                _ => {}
            }
            (inner.dice.as_mut().map_or(0, |dice| dice.below(3)), inner.is_dead)
        };
        if is_dead {
            std::future::pending::<()>().await;
        }
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        if self.inner().is_dead {
            std::future::pending::<()>().await;
        }
    }

    /// The journal of the latest run, as far as it is whole.
    pub fn records(&self) -> Vec<Record> {
        let inner = self.inner();
        let Some(run) = inner.runs.last() else { return Vec::new() };
        let key = (run.clone(), "journal.jsonl".to_owned());
        let bytes = inner.documents.get(&key).map_or(&[][..], Vec::as_slice);
        read_journal(bytes, "model").map(|journal| journal.records).unwrap_or_default()
    }

    /// Told of every record that became durable.
    pub fn written(&self, entry: &Entry) {
        let mut inner = self.inner();
        match entry {
            Entry::Intent { operation, .. } => {
                let was_owed = inner.owed.insert(operation.clone(), true);
                if was_owed == Some(true) {
                    inner.violations.push(format!("{operation} begins again and was not probed"));
                }
            }
            // Only what never left may end without a probe; the world knows which did.
            Entry::Outcome { operation, kind: OutcomeKind::NotDone, .. } => {
                let took_effect = inner.effects.contains(operation) || inner.running.contains_key(operation);
                if took_effect {
                    inner.violations.push(format!("{operation} is said to be not done"));
                }
                inner.owed.insert(operation.clone(), false);
            }
            Entry::Outcome { operation, kind: OutcomeKind::Done, .. } if !inner.effects.contains(operation) => {
                inner.violations.push(format!("{operation} is said to be done"));
            }
            _ => {}
        }
    }

    fn received(&self, operation: &OperationId, query_id: &str) -> Fate {
        let told = state_told_by(&self.plan, &self.records());
        let mut inner = self.inner();
        let planned = self.plan.operations.iter();
        let step =
            |id: &OperationId| self.plan.steps.iter().position(|step| id.0.starts_with(&format!("{}/", step.id.0)));
        let this = planned.clone().find(|planned| planned.id == *operation);
        for before in planned.take_while(|planned| planned.id != *operation) {
            let same_lane = this.is_some_and(|this| this.lane == before.lane && this.wave == before.wave);
            let earlier_wave = this.is_some_and(|this| before.wave < this.wave);
            let must_be_done = step(&before.id) < step(operation) || earlier_wave || same_lane;
            if must_be_done && !matches!(told.operations.get(&before.id), Some(OperationState::Done(_))) {
                inner.violations.push(format!("{operation} is sent before {} is known to be done", before.id));
            }
        }
        if !matches!(told.operations.get(operation), Some(OperationState::Lost { .. })) {
            inner.violations.push(format!("{operation} is sent without an intent"));
        }
        if inner.effects.contains(operation) || inner.running.contains_key(operation) {
            inner.violations.push(format!("{operation} is sent twice"));
        }
        if inner.sent.iter().any(|sent| sent == query_id) {
            inner.violations.push(format!("{query_id} is used twice"));
        }
        let fates = inner.fates.entry(operation.clone()).or_default();
        let fate = if fates.is_empty() { Fate::Fine } else { fates.remove(0) };
        match fate {
            Fate::Fine | Fate::LostDone => inner.effects.push(operation.clone()),
            Fate::Slow(..) | Fate::Untold(..) | Fate::Late(..) => {
                inner.running.insert(operation.clone(), fate);
                let now = inner.ticked;
                inner.late_since.insert(operation.clone(), now);
            }
            Fate::NotSent | Fate::LostNot => {}
        }
        if fate != Fate::NotSent {
            inner.sent.push(query_id.to_owned());
        }
        fate
    }

    fn probed(&self, operation: &OperationId) -> &'static str {
        let mut inner = self.inner();
        let (word, next) = match inner.running.remove(operation) {
            Some(Fate::Slow(0, lands) | Fate::Untold(0, lands)) => {
                if lands {
                    inner.effects.push(operation.clone());
                }
                (None, None)
            }
            Some(Fate::Slow(left, lands)) => (Some("running"), Some(Fate::Slow(left - 1, lands))),
            Some(Fate::Untold(left, lands)) => (Some("unknown"), Some(Fate::Untold(left - 1, lands))),
            Some(Fate::Late(times)) => {
                let since = inner.late_since.get(operation).copied().unwrap_or_default().max(inner.began);
                if inner.ticked >= since + Duration::from_millis(400) * u32::from(times) {
                    inner.effects.push(operation.clone());
                    (None, None)
                } else {
                    (Some("not_done"), Some(Fate::Late(times)))
                }
            }
            _ => (None, None),
        };
        if let Some(next) = next {
            inner.running.insert(operation.clone(), next);
        }
        if let Some(word) = word {
            return word;
        }
        inner.owed.insert(operation.clone(), false);
        if inner.effects.contains(operation) { "done" } else { "not_done" }
    }
}

#[async_trait]
impl Sql for World {
    async fn call(&self, host: &HostName, call: Call) -> Result<Answer, SqlError> {
        self.pass().await;
        let text = call.text.expose_secret().to_owned();
        let (word, operation) = text.split_once(' ').unwrap_or_default();
        let operation = OperationId::from(operation);
        let is_there = |yes, no| if self.inner().effects.contains(&operation) { yes } else { no };
        let answer = match word {
            "DO" => match self.received(&operation, &call.query_id.unwrap_or_default()) {
                Fate::Fine => "",
                Fate::NotSent => {
                    let reason = "the model says so".to_owned();
                    return Err(SqlError::NotSent { host: host.clone(), url: String::new(), reason });
                }
                _ => {
                    self.pass().await;
                    return Err(SqlError::Lost { host: host.clone(), reason: "the model says so".to_owned() });
                }
            },
            "GATE" => is_there("closed", "open"),
            "PROBE" => self.probed(&operation),
            _ => is_there("there", "gone"),
        };
        self.pass().await;
        Ok(Answer { columns: vec!["answer".to_owned()], rows: vec![vec![json!(answer)]], display_name: None })
    }
}

#[async_trait]
impl Clock for World {
    fn now(&self) -> Timestamp {
        let mut inner = self.inner();
        inner.now += 1_234_567;
        Timestamp::from_microsecond(1_800_000_000_000_000 + inner.now).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn ticks(&self) -> Duration {
        self.inner().ticked
    }

    async fn sleep(&self, duration: Duration) {
        self.pass().await;
        let mut inner = self.inner();
        inner.now += i64::try_from(duration.as_micros()).unwrap_or(0);
        inner.ticked += duration;
    }
}
