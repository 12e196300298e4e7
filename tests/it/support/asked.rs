//! What reading steps asked the nodes against what the plan says: every read, and nothing that the plan does not tell.

use std::collections::BTreeMap;

use clickferry::engine::journal::{Entry, Record};
use clickferry::plan::operation::Operation;
use clickferry::plan::statement::Statement;
use clickferry_lab::StatementRecord;

use super::lab::NODES;
use super::sent::{Run, Sent, sent_of};

impl Run<'_> {
    /// Everything that is asked on the nodes by the operations of a reading step stands in the plan, and what always
    /// is to be asked was asked; returns how many reads there were. No other step runs meanwhile.
    pub fn reads_as_planned(&self, step: &str) -> usize {
        self.reads(step, |_| true, true).len()
    }

    /// As [`Self::reads_as_planned`], for the operations of one kind, which make a wave of their own.
    pub fn reads_of_kind_as_planned(&self, step: &str, kind: &str) -> usize {
        self.reads(step, |operation| operation.kind == kind, true).len()
    }

    /// As [`Self::reads_as_planned`], for a world in which some of it could not be asked; returns what was asked.
    pub fn reads_are_declared(&self, step: &str) -> Vec<String> {
        self.reads(step, |_| true, false)
    }

    fn reads(&self, step: &str, is_meant: impl Fn(&Operation) -> bool, all: bool) -> Vec<String> {
        let of_step = self.plan.operations.iter().filter(|operation| operation.step.as_str() == step);
        let operations: Vec<&Operation> = of_step.filter(|operation| is_meant(operation)).collect();
        let (from, to) = self.time_of(&operations);
        let during = |record: &StatementRecord| record.time >= from && record.time <= to;
        let reads: Vec<(&str, StatementRecord)> =
            self.scene.starts().into_iter().filter(|(_, record)| record.kind == "read" && during(record)).collect();
        assert!(!reads.is_empty(), "no read of step {step} was seen");
        for node in NODES {
            let mut found: BTreeMap<Sent, usize> = BTreeMap::new();
            for (_, record) in reads.iter().filter(|(on, _)| *on == node) {
                *found.entry(sent_of(record)).or_default() += 1;
            }
            self.reads_on(node, &operations, found, all);
        }
        reads.into_iter().map(|(_, record)| record.statement).collect()
    }

    fn reads_on(&self, node: &str, operations: &[&Operation], mut found: BTreeMap<Sent, usize>, all: bool) {
        let host = self.host_of(node);
        let mut wanted: BTreeMap<Sent, (usize, bool)> = BTreeMap::new();
        let mut forms: Vec<&Statement> = Vec::new();
        for operation in operations {
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

    /// From the first intent of operations to the last outcome, as the log of the nodes writes times.
    fn time_of(&self, operations: &[&Operation]) -> (String, String) {
        let is_meant = |record: &&Record| match &record.entry {
            Entry::Intent { operation, .. } | Entry::Outcome { operation, .. } => {
                operations.iter().any(|one| one.id == *operation)
            }
            _ => false,
        };
        let times: Vec<String> = self
            .records
            .iter()
            .filter(is_meant)
            .map(|record| record.at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
            .collect();
        (times.first().unwrap().clone(), times.last().unwrap().clone())
    }
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
        if let (Some(before), Some(after)) = (out.strip_suffix("(SELECT * FROM "), rest.strip_prefix(" LIMIT 0)")) {
            out = before.to_owned();
            rest = after;
        }
        out.push_str("${table}");
    }
    out.push_str(rest);
    (out, tables)
}
