//! Damages to a journal, and what may come of them: a refusal, or a state that the run really was in.

use clickferry::engine::journal::read_journal;
use clickferry::engine::resume::{RunState, run_state};
use clickferry::plan::plan_file::{Plan, sha256};
use serde_json::{Value, json};

use super::Dice;
use super::history::{Historian, state_told_by};

/// A journal, its plan, and everything that may be read from it.
pub struct Original {
    pub plan: Plan,
    pub journal: Vec<u8>,
    /// What stands around: the journal of another run of the same plan, and one of another plan.
    pub others: Vec<Vec<u8>>,
    pub other_plan: Plan,
    /// The state after each record.
    pub states: Vec<RunState>,
}

impl Original {
    /// The journal of a run with this many records or more, where its plan allows.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut shapes = dice.shapes();
        shapes.push(super::StepShape { operations: vec![(0, 0), (0, 1), (1, 0)], ..Default::default() });
        let (plan, other_plan) = (super::plan_of("one", &shapes), super::plan_of("two", &shapes));
        let mut historian = Historian::new(&plan, "run", dice.clone());
        historian.go_on_to(15);
        if seed.is_multiple_of(4) {
            historian.take_back();
        }
        let others = vec![
            Historian::of(&plan, "other", Dice(seed ^ 1), 20).journal(),
            Historian::of(&other_plan, "run", Dice(seed ^ 2), 20).journal(),
        ];
        let journal = historian.journal();
        let after = |count| state_told_by(&plan, &historian.records[..count]);
        let states = (1..=historian.records.len()).map(after).collect();
        Self { plan, journal, others, other_plan, states }
    }

    /// What the product makes of a journal: its state, or nothing where it refuses.
    pub fn resumed(&self, plan: &Plan, journal: &[u8]) -> Option<RunState> {
        let read = read_journal(journal, "damaged").ok()?;
        // As `find_run` does: the journal of another run is not this run's.
        if read.run().is_some_and(|run| run.0 != "run") {
            return None;
        }
        run_state(plan, &read).ok()
    }

    /// Panics where something is read that never was.
    pub fn check(&self, plan: &Plan, journal: &[u8], how: &dyn Fn() -> String) -> bool {
        let Some(state) = self.resumed(plan, journal) else { return false };
        assert!(
            self.states.contains(&state),
            "an invented state: {state:#?}\n{}\n{}",
            how(),
            String::from_utf8_lossy(journal)
        );
        true
    }
}

/// One damage; names it.
pub fn damage(original: &Original, journal: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    if journal.is_empty() {
        return "nothing left";
    }
    let at = dice.below(journal.len());
    match dice.below(11) {
        0 => {
            journal[at] ^= 1 << dice.below(8);
            "a bit flipped"
        }
        1 => {
            journal[at] = dice.roll().to_le_bytes()[0];
            "a byte changed"
        }
        2 => {
            journal.truncate(at);
            "cut"
        }
        3 => {
            let end = (at + dice.below(40)).min(journal.len());
            journal.drain(at..end);
            "bytes removed"
        }
        4 => {
            let end = (at + dice.below(40)).min(journal.len());
            let piece = journal[at..end].to_vec();
            let to = dice.below(journal.len());
            journal.splice(to..to, piece);
            "bytes copied"
        }
        5 => {
            let end = (at + dice.below(600)).min(journal.len());
            journal[at..end].fill(0);
            "zeros"
        }
        6 => on_lines(journal, |lines| {
            let line = dice.pick(lines).clone();
            lines.insert(dice.below(lines.len() + 1), line);
            "a line copied"
        }),
        7 => on_lines(journal, |lines| {
            lines.remove(dice.below(lines.len()));
            "a line removed"
        }),
        8 => on_lines(journal, |lines| {
            let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
            lines.swap(one, other);
            "two lines swapped"
        }),
        9 => {
            let other = dice.pick(&original.others).clone();
            on_lines(journal, |lines| {
                let mut others: Vec<Vec<u8>> = split(&other);
                others.drain(..dice.below(others.len()));
                lines.truncate(dice.below(lines.len() + 1));
                lines.append(&mut others);
                "the end of another journal"
            })
        }
        _ => {
            journal.extend_from_slice(dice.pick::<&[u8]>(&[b"\n", b"{}\n", b"\0\0\0\n", b"{\"seq\":", b"\xff\n"]));
            "something behind the end"
        }
    }
}

/// A field edited, and the record's own sum made to fit. Never in the last record: nothing stands behind that would give
/// it away. Who may write the folder can do that; the chain is no signature.
pub fn edited_record(journal: &mut Vec<u8>, dice: &mut Dice) -> &'static str {
    on_lines(journal, |lines| {
        let last = lines.len() - 1;
        if last > 0 {
            let at = dice.below(last);
            if let Some(edited) = edited(&lines[at], dice) {
                lines[at] = edited;
            }
        }
        "a field edited and its sum made to fit"
    })
}

fn split(journal: &[u8]) -> Vec<Vec<u8>> {
    journal.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn on_lines(journal: &mut Vec<u8>, change: impl FnOnce(&mut Vec<Vec<u8>>) -> &'static str) -> &'static str {
    let mut lines = split(journal);
    if lines.is_empty() {
        return "nothing left";
    }
    let name = change(&mut lines);
    *journal = lines.concat();
    name
}

/// A record with one leaf changed to something of the same or another type.
fn edited(line: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(line).ok()?;
    let before = json.clone();
    let mut leaves = Vec::new();
    places(&json, String::new(), &mut leaves);
    let leaf = dice.pick(&leaves).clone();
    let words = ["done", "not_done", "failed", "run", "step0/1", "step1/1", "step0"];
    *json.pointer_mut(&leaf)? = match dice.below(4) {
        0 => json!(dice.below(4)),
        1 => Value::Null,
        _ => json!(*dice.pick(&words)),
    };
    if json == before {
        return None;
    }
    let part = |key: &str| serde_json::to_string(&json[key]).unwrap_or_default();
    let sum = sha256(format!("[{},{},{},{}]", part("seq"), part("at"), part("entry"), part("prev")).as_bytes());
    json["sum"] = json!(sum);
    let mut text = serde_json::to_vec(&json).ok()?;
    text.push(b'\n');
    Some(text)
}

fn places(json: &Value, place: String, out: &mut Vec<String>) {
    match json {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| places(value, format!("{place}/{key}"), out));
        }
        Value::Array(list) if !list.is_empty() => {
            list.iter().enumerate().for_each(|(at, value)| places(value, format!("{place}/{at}"), out));
        }
        _ => out.push(place),
    }
}
