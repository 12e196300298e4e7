//! A run for people: how far it is, what failed, what to do next.

use std::fmt::Write;

use super::text::{Style, count};
use crate::engine::journal::{Entry, Journal};
use crate::engine::resume::{OperationState, RunState};
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

/// The state of a run in one word.
#[must_use]
pub fn run_word(state: &RunState, journal: &Journal) -> &'static str {
    if state.undone.is_some() {
        return "undone";
    }
    if let Some(verdict) = &state.finished {
        return if verdict == "done" { "done" } else { "differs" };
    }
    match journal.records.last().map(|record| &record.entry) {
        Some(Entry::Stopped { .. }) => "stopped",
        // Without a last word the process either works now or was killed; the lock tells which.
        _ => "open",
    }
}

/// One line for the list of runs.
#[must_use]
pub fn run_line(id: &RunId, plan: &Plan, journal: &Journal, state: &RunState) -> String {
    let done = state.operations.values().filter(|state| matches!(state, OperationState::Done(_))).count();
    format!(
        "{id}  {:<8} {done}/{} operations  {} on {}",
        run_word(state, journal),
        plan.operations.len(),
        plan.runbook,
        plan.environment
    )
}

/// The whole run; `options` are the flags with which a next command finds it.
#[must_use]
pub fn render_run(id: &RunId, plan: &Plan, journal: &Journal, state: &RunState, options: &str, style: Style) -> String {
    let mut out = String::new();
    let word = run_word(state, journal);
    let _ =
        writeln!(out, "{} of {} on {}: {word}", style.heading(&format!("Run {id}")), plan.runbook, plan.environment);
    if let Some(first) = journal.records.first() {
        let _ = writeln!(
            out,
            "  began {}, {} in its journal",
            first.at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            count(journal.records.len() as u64, "record")
        );
    }
    if journal.torn_bytes > 0 {
        let _ = writeln!(
            out,
            "  {}",
            style.notice(&format!("the last record is torn ({} bytes); resume cuts it off", journal.torn_bytes))
        );
    }
    out.push('\n');
    let by_step = plan.operations_by_step();
    for step in &plan.steps {
        let mut words = Vec::new();
        let (mut done, mut lost, mut total) = (0, 0, 0);
        for operation in by_step.get(&step.id).into_iter().flatten() {
            total += 1;
            match state.operations.get(&operation.id) {
                Some(OperationState::Done(_)) => done += 1,
                Some(OperationState::Lost { .. }) => lost += 1,
                _ => {}
            }
        }
        if step.skipped.is_some() {
            words.push("left out".to_owned());
        } else {
            words.push(format!("{done} of {total} done"));
        }
        let mark = if lost > 0 {
            words.push(format!("{lost} with an unknown outcome"));
            style.notice("?")
        } else if done == total {
            style.good("✓")
        } else if done > 0 {
            style.notice("…")
        } else {
            " ".to_owned()
        };
        let _ = writeln!(out, "  {mark} {:<24} {:<22} {}", step.id.0, step.action, words.join(", "));
    }
    for operation in &plan.operations {
        if let Some(OperationState::Lost { attempt, at, .. }) = state.operations.get(&operation.id) {
            let place = operation.host.as_ref().map_or("-", |host| host.as_str());
            let _ = write!(
                out,
                "\n  {} {} {} on {place}: attempt {attempt} began {}",
                style.notice("?"),
                operation.id,
                operation.object,
                at.strftime("%Y-%m-%d %H:%M:%S UTC")
            );
            if let Some(text) = last_error(journal, &operation.id) {
                let _ = write!(out, "\n    {text}");
            }
            out.push('\n');
        }
    }
    if let Some(Entry::Stopped { reason }) = journal.records.last().map(|record| &record.entry) {
        let _ = writeln!(out, "\n  stopped: {reason}");
    }
    if let Some(by) = &state.undone {
        let _ = writeln!(out, "\n  Taken back by run {by}: clickferry status {by}{options}");
    } else if state.finished.is_none() {
        let _ = writeln!(out, "\n  Next: clickferry resume {id}{options}");
    }
    out
}

fn last_error(journal: &Journal, operation: &crate::model::ids::OperationId) -> Option<String> {
    journal.records.iter().rev().find_map(|record| match &record.entry {
        Entry::Outcome { operation: of, error: Some(error), .. } if of == operation => {
            Some(format!("{}: {}", error.what, error.found))
        }
        _ => None,
    })
}
