//! What was sent to the nodes against what the plan says: one to one, per host, in the plan's order.

use std::collections::BTreeMap;
use std::path::Path;

use clickferry::engine::journal::{Entry, OutcomeKind, Record};
use clickferry::plan::operation::{Effect, Operation};
use clickferry::plan::plan_file::Plan;
use clickferry::plan::statement::Statement;
use clickferry_lab::StatementRecord;
use serde_json::Value;

use super::engine::journal;
use super::lab::NODES;
use super::scene::Scene;

/// A statement with what is sent beside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    pub text: String,
    database: Option<String>,
    settings: Vec<(String, String)>,
}

/// One statement of the plan and when it may be sent.
struct Due {
    sent: Sent,
    /// Step and wave: all statements of a host that stand in one are sent before those of the next.
    place: (usize, u32),
    /// Within a place, the statements of a lane follow each other.
    lane: String,
}

/// The changing statements of a run.
pub struct Run<'r> {
    pub scene: &'r Scene,
    pub plan: &'r Plan,
    pub records: Vec<Record>,
}

impl<'r> Run<'r> {
    pub fn new(scene: &'r Scene, plan: &'r Plan, run: &Path) -> Self {
        Self { scene, plan, records: journal(run).records }
    }

    /// The changing statements since the mark are those of the plan, one to one and in its order; returns how many.
    pub fn changes_as_planned(&self) -> usize {
        let sent = self.scene.changes();
        for node in NODES {
            let mut due = self.due_on(&self.host_of(node));
            let mut found: Vec<Sent> =
                sent.iter().filter(|(on, _)| *on == node).map(|(_, record)| sent_of(record)).collect();
            in_order(node, &due, &found);
            due.sort_by(|one, other| one.sent.cmp(&other.sent));
            found.sort();
            // In order and one to one is the same twice; the lists show at once what differs.
            assert_eq!(found, due.into_iter().map(|due| due.sent).collect::<Vec<_>>(), "{node}");
        }
        self.all_ended_well();
        sent.len()
    }

    /// The name that the environment of the scene gives a node.
    pub fn host_of(&self, node: &str) -> String {
        format!("{}-{}", self.scene.database, node.replace("standalone", "sa").replace("replica", "r"))
    }

    fn all_ended_well(&self) {
        for (node, record) in self.scene.ends().into_iter().filter(|(_, record)| record.kind == "change") {
            assert_eq!(record.code, Some(0), "{node}: {}", record.statement);
        }
    }

    /// The changing statements that the plan has for a host, in the order of the plan.
    fn due_on(&self, host: &str) -> Vec<Due> {
        let step_of = |operation: &Operation| self.plan.steps.iter().position(|step| step.id == operation.step);
        let mut due = Vec::new();
        for operation in self.plan.operations.iter().filter(|operation| operation.effect != Effect::Read) {
            if operation.host.is_none() {
                // What the engine does itself is looked at elsewhere: in Keeper, in the bucket, on this machine.
                assert!(["clear_keeper", "run"].contains(&operation.action.as_str()), "{}", operation.id);
            }
            if operation.host.as_ref().map(|name| name.as_str()) != Some(host) {
                continue;
            }
            let intents = self.intents(operation);
            assert!(!intents.is_empty(), "{} was never begun", operation.id);
            for intent in intents {
                for statement in operation.statements.iter().filter(|one| is_due(operation, one, intent.data)) {
                    assert_eq!((&statement.host, &statement.again), (&None, &None), "{}", operation.id);
                    due.push(Due {
                        sent: self.filled(statement, &intent),
                        place: (step_of(operation).unwrap(), operation.wave),
                        lane: operation.lane.clone(),
                    });
                }
            }
        }
        due
    }

    /// The attempts of an operation that sent something, as the journal has them: one that came to nothing without
    /// a question to its probe could not be sent.
    pub fn intents(&self, operation: &Operation) -> Vec<Intent<'_>> {
        let mut intents: Vec<Intent<'_>> = Vec::new();
        for record in &self.records {
            match &record.entry {
                Entry::Intent { operation: id, attempt, query_id, data, .. } if *id == operation.id => {
                    intents.push(Intent { attempt: *attempt, query_id: query_id.clone(), data, was_probed: false });
                }
                Entry::Probed { operation: id, attempt, .. } if *id == operation.id => {
                    intents.iter_mut().filter(|one| one.attempt == *attempt).for_each(|one| one.was_probed = true);
                }
                Entry::Outcome { operation: id, attempt, kind: OutcomeKind::NotDone, .. } if *id == operation.id => {
                    intents.retain(|one| one.attempt != *attempt || one.was_probed);
                }
                _ => {}
            }
        }
        intents
    }

    /// A statement as the server's log has it: every late value but a secret's comes from the journal.
    pub fn filled(&self, statement: &Statement, intent: &Intent<'_>) -> Sent {
        let text = statement.fill(|token| Some(self.late_value(token, intent))).unwrap();
        // The engine's reads and changes run in `system` where the plan names no other database.
        let database = Some(statement.database.clone().unwrap_or_else(|| "system".to_owned()));
        Sent { text, database, settings: sorted(&statement.settings) }
    }

    fn late_value(&self, token: &str, intent: &Intent<'_>) -> String {
        if token.starts_with("secret ") {
            // With its quotes: the log of the laboratory hides secrets.
            return "'[HIDDEN]'".to_owned();
        }
        if let Some(format) = token.strip_prefix("run.started ") {
            return self.records[0].at.strftime(format).to_string();
        }
        if let Some((step, shard)) = token.strip_prefix("step ").and_then(|rest| rest.split_once(" path ")) {
            let of_shard = |outcome: &Value| (outcome["shard"] == shard).then(|| outcome["path"].clone());
            let found = self.outcomes(step).iter().find_map(of_shard);
            return found.and_then(|path| path.as_str().map(str::to_owned)).unwrap();
        }
        match (token, &self.records[0].entry) {
            ("run.id", Entry::Started { run, .. }) => run.0.clone(),
            ("operation.id", _) => intent.query_id.clone(),
            ("attempt", _) if intent.attempt == 1 => String::new(),
            ("attempt", _) => format!(".{}", intent.attempt),
            (other, _) => panic!("a late value this test does not know: {other}"),
        }
    }

    /// What the operations of a step proved.
    pub fn outcomes(&self, step: &str) -> Vec<Value> {
        let of = |record: &Record| match &record.entry {
            Entry::Outcome { operation, data, kind: OutcomeKind::Done, .. }
                if operation.as_str().split('/').next() == Some(step) =>
            {
                Some(Value::clone(data))
            }
            _ => None,
        };
        self.records.iter().filter_map(of).collect()
    }

    /// A path of the plan, with its late values.
    pub fn path(&self, operation: &Operation, path: &str) -> String {
        let intent = self.intents(operation).pop().unwrap();
        self.filled(&Statement::late(path), &intent).text
    }
}

/// One attempt of an operation.
pub struct Intent<'r> {
    attempt: u32,
    query_id: String,
    /// What the gate saw.
    data: &'r Value,
    was_probed: bool,
}

/// Whether a statement that is sent in a certain case only was to be sent: the gate's answer in the journal tells.
fn is_due(operation: &Operation, statement: &Statement, gate: &Value) -> bool {
    match (statement.only_if.as_deref(), operation.action.as_str()) {
        (None, _) => true,
        (Some("an earlier attempt of this operation left it"), "restore") => gate["clears"] == true,
        (Some(case), "mark_migrations_clean") if case.starts_with("the last row is not version ") => {
            gate["was_clean"] == false
        }
        (Some(case), action) => panic!("a case this test does not know: {action}, only if {case}"),
    }
}

pub fn sent_of(record: &StatementRecord) -> Sent {
    // How answers are written says nothing about what is done.
    let settings = record.settings.iter().filter(|(name, _)| name != "output_format_json_quote_64bit_integers");
    Sent {
        text: record.statement.clone(),
        database: record.database.clone(),
        settings: sorted(&settings.cloned().collect::<Vec<_>>()),
    }
}

fn sorted(settings: &[(String, String)]) -> Vec<(String, String)> {
    let mut settings = settings.to_vec();
    settings.sort();
    settings
}

/// Fails where a statement was sent before one that the plan has before it. Lanes of one wave run side by side.
fn in_order(node: &str, due: &[Due], found: &[Sent]) {
    let mut at = 0;
    let mut places: Vec<(usize, u32)> = due.iter().map(|due| due.place).collect();
    places.sort_unstable();
    places.dedup();
    for place in places {
        let mut lanes: BTreeMap<&str, Vec<&Sent>> = BTreeMap::new();
        for due in due.iter().filter(|due| due.place == place) {
            lanes.entry(&due.lane).or_default().push(&due.sent);
        }
        while lanes.values().any(|lane| !lane.is_empty()) {
            let sent = found.get(at).unwrap_or_else(|| panic!("{node}: never sent: {lanes:#?}"));
            let next = lanes.values_mut().find(|lane| lane.first() == Some(&sent));
            let Some(lane) = next else {
                panic!("{node}: sent out of order or not planned: {}\nnext is one of {lanes:#?}", sent.text)
            };
            lane.remove(0);
            at += 1;
        }
    }
    assert!(at == found.len(), "{node}: sent and not planned: {:#?}", &found[at..]);
}
