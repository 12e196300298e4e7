//! Who holds the locks, and what is known of them: for people and programs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::text::Style;
use crate::engine::unlock::{Finding, Process, Running, Verdict};

/// What was found about the locks of an environment.
pub struct UnlockView<'a> {
    /// Locks that nobody holds.
    pub free: &'a [String],
    /// Locks that somebody holds.
    pub findings: &'a [Finding],
    /// What the servers still do, by run.
    pub running: &'a [(String, Running)],
}

impl UnlockView<'_> {
    /// For people.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut out = String::new();
        for name in self.free {
            let _ = writeln!(out, "Nobody holds the lock on {name}.");
        }
        for found in self.findings {
            let holder = &found.holder;
            let _ = writeln!(out, "{}", style.heading(&format!("The lock on {}", found.lock)));
            let process = match &found.process {
                Process::Here { pid, state } => format!("{pid} on this machine, {state}"),
                Process::Gone { pid } => format!("{pid} on this machine, gone"),
                Process::Elsewhere => format!("{} on another machine, or before a restart of this one", holder.pid),
            };
            let verdict = match &found.verdict {
                Verdict::Alive(why) => style.good(&format!("alive: {why}")),
                Verdict::Gone(why) => style.bad(&format!("gone: {why}")),
            };
            for (label, text) in [
                ("run", &holder.run),
                ("owner", &holder.owner),
                ("since", &holder.since),
                ("process", &process),
                ("last sign", &found.last_sign),
                ("holder", &verdict),
            ] {
                let _ = writeln!(out, "  {label:<10} {text}");
            }
        }
        for (run, running) in self.running {
            for statement in &running.statements {
                let _ = writeln!(
                    out,
                    "{}",
                    style.notice(&format!(
                        "Still at work for run {run} on {}: {} ({})",
                        statement.host, statement.id, statement.what
                    ))
                );
            }
            if running.statements.is_empty() && running.silent.is_empty() {
                let _ = writeln!(out, "No server works for run {run}.");
            }
            for (host, reason) in &running.silent {
                let _ = writeln!(out, "{host} could not be asked whether it works for run {run}: {reason}");
            }
        }
        out
    }

    /// For programs; `removed` names the locks that were removed.
    #[must_use]
    pub fn json(&self, removed: &[String]) -> Value {
        let locks: Vec<Value> = self
            .findings
            .iter()
            .map(|found| {
                let (verdict, why) = match &found.verdict {
                    Verdict::Alive(why) => ("alive", why),
                    Verdict::Gone(why) => ("gone", why),
                };
                let process = match &found.process {
                    Process::Here { .. } => "here",
                    Process::Gone { .. } => "gone",
                    Process::Elsewhere => "elsewhere",
                };
                json!({
                    "lock": found.lock, "holder": found.holder, "process": process, "last_sign": found.last_sign,
                    "verdict": verdict, "why": why,
                })
            })
            .collect();
        let running: Vec<Value> = self
            .running
            .iter()
            .map(|(run, running)| {
                let statements: Vec<Value> = running
                    .statements
                    .iter()
                    .map(|statement| json!({ "host": statement.host, "id": statement.id, "what": statement.what }))
                    .collect();
                let silent: Vec<Value> =
                    running.silent.iter().map(|(host, why)| json!({ "host": host, "why": why })).collect();
                json!({ "run": run, "statements": statements, "silent": silent })
            })
            .collect();
        json!({ "version": 1, "free": self.free, "locks": locks, "running": running, "removed": removed })
    }
}
