//! A run for people: how far it is, what failed, what to do next.

use std::fmt::Write;

use jiff::Timestamp;

use super::text::{Style, count};
use crate::engine::executor::sent;
use crate::engine::journal::{Entry, Journal, JournalError};
use crate::engine::resume::{OperationState, RunState};
use crate::model::ids::RunId;
use crate::plan::operation::{Effect, Operation};
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
        let (mut done, mut lost, mut failed, mut total) = (0, 0, 0, 0);
        for operation in by_step.get(&step.id).into_iter().flatten() {
            total += 1;
            match state.operations.get(&operation.id) {
                Some(OperationState::Done(_)) => done += 1,
                // A check that was cut off by the end of its process is made again, and nobody has to ask about it.
                Some(OperationState::Lost { .. }) if operation.effect == Effect::Read => {
                    failed += u64::from(last_error(journal, operation).is_some());
                }
                Some(OperationState::Lost { .. }) => lost += 1,
                _ => {}
            }
        }
        if step.skipped.is_some() {
            words.push("left out".to_owned());
        } else {
            words.push(format!("{done} of {total} done"));
        }
        if failed > 0 {
            words.push(format!("{} did not hold", count(failed, "check")));
        }
        let mark = if lost > 0 {
            words.push(format!("{lost} with an unknown outcome"));
            style.notice("?")
        } else if failed > 0 {
            style.bad("✗")
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
            out.push_str(&render_lost(operation, *attempt, *at, journal, style));
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

/// An operation that did not come to its end: a check that did not hold, or one of which it is not known how it ended, with
/// what was sent, what went wrong, what was asked afterwards and what came back.
fn render_lost(operation: &Operation, attempt: u32, at: Timestamp, journal: &Journal, style: Style) -> String {
    let mut out = String::new();
    let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let error = last_error(journal, operation);
    if operation.effect == Effect::Read {
        let Some(error) = error else { return out };
        let place = operation.host.as_ref().map_or("-", |host| host.as_str());
        let mark = style.bad("✗");
        let _ = writeln!(out, "\n  {mark} {} {} on {place}: checked {at}", operation.id, operation.object);
        let _ = writeln!(out, "    {}: {}", error.what, indented(&error.found));
        return out;
    }
    let query_id = journal.records.iter().rev().find_map(|record| match &record.entry {
        Entry::Intent { operation: of, query_id, .. } if *of == operation.id => Some(query_id.as_str()),
        _ => None,
    });
    let sent = sent(operation, query_id.unwrap_or_default());
    let mark = style.notice("?");
    let _ = writeln!(out, "\n  {mark} {} {}: how it ended is not known", operation.id, operation.object);
    let _ = writeln!(out, "    attempt {attempt} began {at} {}", indented(&sent));
    if let Some(error) = error {
        let _ = writeln!(out, "    error: {}: {}", error.what, indented(&error.found));
    }
    let asked = journal.records.iter().rev().find_map(|record| match &record.entry {
        Entry::Probed { operation: of, attempt: of_attempt, answer, evidence }
            if *of == operation.id && *of_attempt == attempt =>
        {
            Some((record.at, answer, evidence))
        }
        _ => None,
    });
    if let Some((at, answer, evidence)) = asked {
        let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
        let _ = writeln!(out, "    asked {at}: {}", answer.replace('_', " "));
        if let Some(told) = evidence {
            let _ = writeln!(out, "    {}: {}", told.what, indented(&told.found));
            if !told.evidence.is_empty() {
                let _ = writeln!(out, "    see it    {}", indented(&told.evidence));
            }
            if !told.action.is_empty() {
                let _ = writeln!(out, "    do this   {}", indented(&told.action));
            }
        }
    }
    out
}

/// Why the last attempt of an operation failed, if it did.
fn last_error<'j>(journal: &'j Journal, operation: &Operation) -> Option<&'j JournalError> {
    journal.records.iter().rev().find_map(|record| match &record.entry {
        Entry::Intent { operation: of, .. } if *of == operation.id => Some(None),
        Entry::Outcome { operation: of, error, .. } if *of == operation.id => Some(error.as_ref()),
        _ => None,
    })?
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n      ")
}
