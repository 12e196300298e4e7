//! A reference executor: makes histories that a run may leave behind, together with what is true of the world, and a
//! second reading of a journal that shares nothing with the product's.

use std::collections::{BTreeMap, BTreeSet};

use clickferry::engine::journal::{Entry, JOURNAL_VERSION, JournalError, OutcomeKind, Record};
use clickferry::engine::resume::{OperationState, RunState, statements_digest};
use clickferry::model::ids::{OperationId, RunId};
use clickferry::plan::operation::Operation;
use clickferry::plan::plan_file::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Dice;

/// What is true of an operation, whatever the journal says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Truth {
    attempts: u32,
    /// An attempt has an intent and no outcome that settles it.
    is_open: bool,
    /// Its effect is there.
    took_effect: bool,
    is_settled: bool,
}

/// A history in the making.
pub struct Historian<'p> {
    plan: &'p Plan,
    dice: Dice,
    truth: BTreeMap<OperationId, Truth>,
    confirmed: BTreeSet<String>,
    no_return: BTreeSet<String>,
    is_over: bool,
    /// The records so far.
    pub records: Vec<Record>,
    /// For each record the operations whose effect is there once it is written.
    pub effects: Vec<BTreeSet<OperationId>>,
}

impl<'p> Historian<'p> {
    /// The history of a run that has just begun.
    pub fn new(plan: &'p Plan, run: &str, dice: Dice) -> Self {
        let truth = plan.operations.iter().map(|operation| (operation.id.clone(), Truth::default())).collect();
        let (records, effects) = (Vec::new(), Vec::new());
        let mut new = Self {
            plan,
            dice,
            truth,
            confirmed: BTreeSet::new(),
            no_return: BTreeSet::new(),
            is_over: false,
            records,
            effects,
        };
        new.write(Entry::Started {
            version: JOURNAL_VERSION,
            run: RunId::from(run),
            plan: plan.digest.clone(),
            tool: "0.0.0".to_owned(),
            owner: "me".to_owned(),
            consent: "given".to_owned(),
        });
        new
    }

    /// A history of at most so many records.
    pub fn of(plan: &'p Plan, run: &str, mut dice: Dice, most: usize) -> Self {
        let length = dice.below(most);
        let mut historian = Self::new(plan, run, dice);
        historian.go_on_to(length);
        historian
    }

    /// Goes on until there are so many records, or the run is over.
    pub fn go_on_to(&mut self, length: usize) {
        while self.records.len() < length && !self.is_over {
            self.go_on();
        }
    }

    /// An undo of the run begins, wherever it is.
    pub fn take_back(&mut self) {
        self.is_over = true;
        self.write(Entry::Undone { by: RunId::from("undo") });
    }

    /// The journal as it stands in a file.
    pub fn journal(&self) -> Vec<u8> {
        text_of(&self.records)
    }

    fn write(&mut self, entry: Entry) {
        let (seq, prev) = self.records.last().map_or((1, ""), |record| (record.seq + 1, record.sum.as_str()));
        let at = Timestamp::from_nanosecond(1_800_000_000_000_000_000 + i128::from(self.dice.roll() % 1_000_000_007));
        self.records.push(Record::new(seq, at.unwrap_or(Timestamp::UNIX_EPOCH), entry, prev));
        let there = self.truth.iter().filter(|(_, truth)| truth.took_effect).map(|(id, _)| id.clone());
        self.effects.push(there.collect());
    }

    /// Operations that may be worked on now: the first open one of each lane of the first wave that is not done.
    fn next(&self) -> Option<(&'p clickferry::plan::plan_file::PlannedStep, Vec<&'p Operation>)> {
        let is_settled = |operation: &&Operation| self.truth[&operation.id].is_settled;
        for step in self.plan.steps.iter().filter(|step| step.skipped.is_none()) {
            let left: Vec<&Operation> =
                self.plan.operations_of(&step.id).filter(|operation| !is_settled(operation)).collect();
            let unasked = (step.confirm.is_some() && !self.confirmed.contains(step.id.as_str()))
                || (step.point_of_no_return && !self.no_return.contains(step.id.as_str()));
            let of_step = self.plan.operations_of(&step.id).count();
            if left.is_empty() && (of_step > 0 || !unasked) {
                continue;
            }
            let wave = left.iter().map(|operation| operation.wave).min();
            let mut lanes = BTreeSet::new();
            let heads =
                left.into_iter().filter(|operation| Some(operation.wave) == wave && lanes.insert(&operation.lane));
            return Some((step, heads.collect()));
        }
        None
    }

    /// Anything that may be told: numbers that JSON must not bend, and text that needs care.
    fn data(&mut self) -> Value {
        let roll = self.dice.roll();
        let float = f64::from_bits(roll);
        let text = *self.dice.pick(&["", "ü\n\"\\", "\u{1F40E} \u{0}", "{}", "plain"]);
        json!({ "float": if float.is_finite() { float } else { 0.1 }, "number": roll, "text": text, "list": [null, -0.0] })
    }

    fn error(&mut self) -> Option<JournalError> {
        self.dice.once_in(2).then(|| JournalError {
            what: "it failed".to_owned(),
            expected: String::new(),
            found: "an error".to_owned(),
            evidence: "SELECT 1".to_owned(),
            action: String::new(),
        })
    }

    fn go_on(&mut self) {
        if self.dice.once_in(9) {
            return self.another_process();
        }
        let Some((step, heads)) = self.next() else {
            self.is_over = true;
            return self.write(Entry::Finished { verdict: "done".to_owned() });
        };
        if step.confirm.is_some() && self.confirmed.insert(step.id.0.clone()) {
            return self.write(Entry::Confirmed { step: step.id.clone() });
        }
        if step.point_of_no_return && self.no_return.insert(step.id.0.clone()) {
            return self.write(Entry::NoReturn { step: step.id.clone() });
        }
        let operation = *self.dice.pick(&heads);
        let id = operation.id.clone();
        let truth = self.truth[&id];
        let attempt = truth.attempts;
        if !truth.is_open {
            let data = self.data();
            let took_effect = self.dice.once_in(2);
            let begun = Truth { attempts: attempt + 1, is_open: true, took_effect, is_settled: false };
            self.truth.insert(id.clone(), begun);
            return self.write(Entry::Intent {
                operation: id.clone(),
                attempt: attempt + 1,
                query_id: format!("q-{id}-{}", attempt + 1),
                statements: statements_digest(operation),
                data,
            });
        }
        match self.dice.below(6) {
            // What settles it tells the truth.
            0..=2 => self.settle(&id, truth),
            3 => {
                let (data, error) = (self.data().into(), self.error());
                self.write(Entry::Outcome { operation: id, attempt, kind: OutcomeKind::Failed, data, error });
            }
            4 => {
                let told = if truth.took_effect { "done" } else { "not_done" };
                let answer = (*self.dice.pick(&["running", "unknown", told, told])).to_owned();
                let evidence = self.error();
                self.write(Entry::Probed { operation: id.clone(), attempt, answer: answer.clone(), evidence });
                if answer == told && !self.dice.once_in(3) {
                    self.settle(&id, truth);
                }
            }
            _ => {
                let (done, reason, owner) = (truth.took_effect, "I looked".to_owned(), "me".to_owned());
                self.write(Entry::Resolved { operation: id.clone(), attempt, done, reason, owner });
                if !self.dice.once_in(3) {
                    self.settle(&id, truth);
                }
            }
        }
    }

    fn settle(&mut self, id: &OperationId, truth: Truth) {
        let (kind, data) =
            if truth.took_effect { (OutcomeKind::Done, self.data()) } else { (OutcomeKind::NotDone, Value::Null) };
        let settled = Truth { is_open: false, is_settled: truth.took_effect, ..truth };
        self.truth.insert(id.clone(), settled);
        let (data, error) = (data.into(), self.error());
        self.write(Entry::Outcome { operation: id.clone(), attempt: truth.attempts, kind, data, error });
    }

    fn another_process(&mut self) {
        if self.dice.once_in(2) {
            self.write(Entry::Stopped { reason: "asked".to_owned() });
        }
        self.write(Entry::Resumed { tool: "0.0.1".to_owned(), owner: "you".to_owned() });
        let settled = self.truth.iter().filter(|(_, truth)| truth.is_settled).map(|(id, _)| id.clone());
        let settled: Vec<OperationId> = settled.collect();
        if !settled.is_empty() && self.dice.once_in(3) {
            let operation = self.dice.pick(&settled).clone();
            let answer = (*self.dice.pick(&["no", "cannot_tell"])).to_owned();
            self.write(Entry::Reproved { operation: operation.clone(), answer: answer.clone() });
            // Its effect was taken away by somebody, and a person wants it again.
            if answer == "no" && self.dice.once_in(2) {
                let attempts = self.truth[&operation].attempts;
                self.truth.insert(operation.clone(), Truth { attempts, ..Truth::default() });
                self.write(Entry::Redone { operation, attempts });
            }
        }
    }
}

/// Records as they stand in a file.
pub fn text_of(records: &[Record]) -> Vec<u8> {
    let line = |record: &Record| format!("{}\n", serde_json::to_string(record).unwrap_or_default());
    records.iter().map(line).collect::<String>().into_bytes()
}

/// How far a run is, read in another way than the product's: for each operation alone, from its last records.
pub fn state_told_by(plan: &Plan, records: &[Record]) -> RunState {
    let of = |operation: &OperationId| {
        let last = |fits: &dyn Fn(&Entry) -> bool| records.iter().rposition(|record| fits(&record.entry));
        let intent = last(&|entry| matches!(entry, Entry::Intent { operation: of, .. } if of == operation));
        let Some(intent) = intent else { return OperationState::Outstanding { attempts: 0 } };
        let again = records[intent..].iter().find_map(|record| match &record.entry {
            Entry::Redone { operation: of, attempts } if of == operation => Some(*attempts),
            _ => None,
        });
        if let Some(attempts) = again {
            return OperationState::Outstanding { attempts };
        }
        let settled = records[intent..].iter().find_map(|record| match &record.entry {
            Entry::Outcome { operation: of, kind: OutcomeKind::Done, data, .. } if of == operation => {
                Some(OperationState::Done(data.clone()))
            }
            Entry::Outcome { operation: of, kind: OutcomeKind::NotDone, attempt, .. } if of == operation => {
                Some(OperationState::Outstanding { attempts: *attempt })
            }
            _ => None,
        });
        let Entry::Intent { attempt, data, .. } = &records[intent].entry else {
            return OperationState::Outstanding { attempts: 0 };
        };
        settled.unwrap_or(OperationState::Lost { attempt: *attempt, intent: data.clone(), at: records[intent].at })
    };
    RunState {
        operations: plan.operations.iter().map(|operation| (operation.id.clone(), of(&operation.id))).collect(),
        confirmed: records
            .iter()
            .filter_map(|record| match &record.entry {
                Entry::Confirmed { step } => Some(step.clone()),
                _ => None,
            })
            .collect(),
        finished: records.iter().find_map(|record| match &record.entry {
            Entry::Finished { verdict } => Some(verdict.clone()),
            _ => None,
        }),
        no_return: records
            .iter()
            .filter_map(|record| match &record.entry {
                Entry::NoReturn { step } => Some(step.clone()),
                _ => None,
            })
            .collect(),
        undone: records.iter().find_map(|record| match &record.entry {
            Entry::Undone { by } => Some(by.clone()),
            _ => None,
        }),
    }
}
