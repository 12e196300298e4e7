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
    text: String,
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
    scene: &'r Scene,
    plan: &'r Plan,
    records: Vec<Record>,
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
    fn host_of(&self, node: &str) -> String {
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

    /// The attempts of an operation that may have sent something, as the journal has them.
    fn intents(&self, operation: &Operation) -> Vec<Intent<'_>> {
        let of = |record: &'_ Record| match &record.entry {
            Entry::Intent { operation: id, attempt, query_id, .. } if *id == operation.id => {
                Some((*attempt, query_id.clone()))
            }
            _ => None,
        };
        let data = |attempt: u32| {
            self.records.iter().find_map(|record| match &record.entry {
                Entry::Intent { operation: id, attempt: number, data, .. }
                    if *id == operation.id && *number == attempt =>
                {
                    Some(data)
                }
                _ => None,
            })
        };
        self.records
            .iter()
            .filter_map(of)
            .map(|(attempt, query_id)| Intent { attempt, query_id, data: data(attempt).unwrap() })
            .collect()
    }

    /// A statement as the server's log has it: every late value but a secret's comes from the journal.
    fn filled(&self, statement: &Statement, intent: &Intent<'_>) -> Sent {
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
                Some(data.clone())
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

    /// Everything that is asked on the nodes by the operations of a reading step stands in the plan, and what always
    /// is to be asked was asked; returns how many reads there were. No other step runs meanwhile.
    pub fn reads_as_planned(&self, step: &str) -> usize {
        self.reads(step, true).len()
    }

    /// As [`Self::reads_as_planned`], for a world in which some of it could not be asked; returns what was asked.
    pub fn reads_are_declared(&self, step: &str) -> Vec<String> {
        self.reads(step, false)
    }

    fn reads(&self, step: &str, all: bool) -> Vec<String> {
        let (from, to) = self.time_of(step);
        let during = |record: &StatementRecord| record.time >= from && record.time <= to;
        let reads: Vec<(&str, StatementRecord)> =
            self.scene.starts().into_iter().filter(|(_, record)| record.kind == "read" && during(record)).collect();
        assert!(!reads.is_empty(), "no read of step {step} was seen");
        for node in NODES {
            let mut found: BTreeMap<Sent, usize> = BTreeMap::new();
            for (_, record) in reads.iter().filter(|(on, _)| *on == node) {
                *found.entry(sent_of(record)).or_default() += 1;
            }
            self.reads_on(node, step, found, all);
        }
        reads.into_iter().map(|(_, record)| record.statement).collect()
    }

    fn reads_on(&self, node: &str, step: &str, mut found: BTreeMap<Sent, usize>, all: bool) {
        let host = self.host_of(node);
        let mut wanted: BTreeMap<Sent, (usize, bool)> = BTreeMap::new();
        let mut forms: Vec<&Statement> = Vec::new();
        for operation in self.plan.operations.iter().filter(|operation| operation.step.as_str() == step) {
            let intent = self.intents(operation).pop().unwrap();
            for statement in &operation.statements {
                let on = statement.host.as_ref().or(operation.host.as_ref()).map(|name| name.as_str());
                if on != Some(host.as_str()) {
                    continue;
                }
                if statement.only_if.is_some() {
                    forms.push(statement);
                    continue;
                }
                let entry = wanted.entry(self.filled(statement, &intent)).or_default();
                entry.0 += 1;
                entry.1 |= statement.again.is_some();
            }
        }
        for (sent, (times, again)) in wanted {
            let asked = found.remove(&sent).unwrap_or(0);
            let fits = !all || asked == times || (again && asked > times);
            assert!(fits, "{node}: planned {times} times, asked {asked} times: {}", sent.text);
        }
        // What is left was asked in a certain case only, and the plan says in which.
        for (sent, times) in found {
            assert!(
                forms.iter().any(|form| has_form(&form.text, &sent.text)),
                "{node}: asked {times} times and not in the plan: {}",
                sent.text
            );
        }
    }

    /// From the first intent of a step to its last outcome, as the log of the nodes writes times.
    fn time_of(&self, step: &str) -> (String, String) {
        let of_step = |record: &&Record| match &record.entry {
            Entry::Intent { operation, .. } | Entry::Outcome { operation, .. } => {
                operation.as_str().split('/').next() == Some(step)
            }
            _ => false,
        };
        let times: Vec<String> = self
            .records
            .iter()
            .filter(of_step)
            .map(|record| record.at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
            .collect();
        (times.first().unwrap().clone(), times.last().unwrap().clone())
    }
}

/// One attempt of an operation.
struct Intent<'r> {
    attempt: u32,
    query_id: String,
    /// What the gate saw.
    data: &'r Value,
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

fn sent_of(record: &StatementRecord) -> Sent {
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

/// Whether a statement has a form of the plan, where a token stands for what only the run knows.
fn has_form(form: &str, text: &str) -> bool {
    let several = "SELECT 0 AS number, count() AS counted FROM ${table} UNION ALL ...";
    let (text, tables) = without_tables(text);
    if !form.contains(several) {
        return text == form;
    }
    let counts: Vec<String> =
        (0..tables).map(|at| format!("SELECT {at} AS number, count() AS counted FROM ${{table}}")).collect();
    text == form.replace(several, &counts.join(" UNION ALL "))
}

/// A statement with the token for each quoted table, be it asked itself or as a view, and how many there were.
fn without_tables(text: &str) -> (String, usize) {
    let (mut out, mut tables, mut rest) = (String::new(), 0, text);
    while let Some(at) = rest.find("FROM `") {
        out.push_str(&rest[..at + 5]);
        rest = &rest[at + 5..];
        // Names of these tests hold no quotes.
        let end = rest.match_indices('`').nth(3).unwrap().0 + 1;
        rest = &rest[end..];
        tables += 1;
        match (out.strip_suffix("(SELECT * FROM "), rest.strip_prefix(" LIMIT 0)")) {
            (Some(before), Some(after)) => {
                out = before.to_owned();
                rest = after;
            }
            _ => {}
        }
        out.push_str("${table}");
    }
    out.push_str(rest);
    (out, tables)
}
