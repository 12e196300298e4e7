//! A state for people and programs: its lock and its runs.

use std::fmt::Write;

use serde_json::{Value, json};

use super::text::{Style, bytes, count, pad};
use crate::engine::ports::{Held, Life};
use crate::engine::transfer::Elsewhere;
use crate::model::ids::RunId;

/// One run of a state.
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// How far it is, in one word.
    pub word: &'static str,
    /// Records of its journal; unknown where it cannot be read.
    pub records: Option<usize>,
    /// Bytes of all its documents.
    pub bytes: u64,
    /// Number of its documents, the journal among them.
    pub documents: usize,
    /// Runbook and environment.
    pub what: Option<(String, String)>,
    /// The mark of a run that does not live here.
    pub elsewhere: Option<Elsewhere>,
}

/// A state.
pub struct StateView {
    /// Where it is.
    pub place: String,
    /// Its lock.
    pub held: Option<Held>,
    /// Its runs, oldest first.
    pub runs: Vec<RunRow>,
}

impl StateView {
    /// For people.
    #[must_use]
    pub fn text(&self, style: Style) -> String {
        let mut out = format!("{}\n", style.heading(&format!("State {}", self.place)));
        let lock = match &self.held {
            None => "nobody holds the lock".to_owned(),
            Some(Held { holder, life }) => {
                let renewed = match life {
                    Life::Renewed { at: Some(at), .. } => format!(", renewed {}", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
                    _ => String::new(),
                };
                style.notice(&format!(
                    "locked by run {} of {} (pid {}) since {}{renewed}",
                    holder.run, holder.owner, holder.pid, holder.since
                ))
            }
        };
        let _ = writeln!(out, "  {lock}");
        if self.runs.is_empty() {
            out.push_str("  no runs\n");
            return out;
        }
        out.push('\n');
        let width = |text: &dyn Fn(&RunRow) -> String| self.runs.iter().map(|run| text(run).chars().count()).max();
        let records = |run: &RunRow| run.records.map_or("-".to_owned(), |records| count(records as u64, "record"));
        let sizes = |run: &RunRow| format!("{} in {}", bytes(run.bytes), count(run.documents as u64, "document"));
        let (wide_records, wide_sizes) = (width(&records).unwrap_or(0), width(&sizes).unwrap_or(0));
        for run in &self.runs {
            let what = run.what.as_ref().map(|(runbook, environment)| format!("{runbook} on {environment}"));
            let line = format!(
                "  {}  {}  {}  {}  {}",
                run.id,
                pad(run.word, 10),
                pad(&records(run), wide_records),
                pad(&sizes(run), wide_sizes),
                what.unwrap_or_default()
            );
            let _ = writeln!(out, "{}", line.trim_end());
            if let Some(mark) = &run.elsewhere {
                let _ = writeln!(out, "    {}", style.notice(&mark.words()));
            }
        }
        out
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|run| {
                json!({
                    "run": run.id, "state": run.word, "records": run.records, "bytes": run.bytes,
                    "documents": run.documents,
                    "runbook": run.what.as_ref().map(|(runbook, _)| runbook),
                    "environment": run.what.as_ref().map(|(_, environment)| environment),
                    "elsewhere": run.elsewhere,
                })
            })
            .collect();
        let lock = self.held.as_ref().map(|held| {
            let renewed = match &held.life {
                Life::Renewed { at, .. } => *at,
                Life::Process => None,
            };
            json!({ "holder": held.holder, "renewed": renewed })
        });
        json!({ "version": 1, "place": self.place, "lock": lock, "runs": runs })
    }
}
