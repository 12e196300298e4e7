//! What a run did, when, on whose word, and what proves it: for a ticket or an audit, as markdown or HTML. It is made of
//! the plan and the journal alone.

mod html;
mod markdown;
mod steps;
mod tables;
mod timeline;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

pub use html::render_html;
pub use markdown::render_markdown;

use super::matrix::{Matrix, matrix};
use super::outline::destroyed_words;
use super::run_view::run_word;
use super::text::{count, duration};
use crate::engine::found_run::FoundRun;
use crate::engine::journal::{Entry, Journal};
use crate::model::ids::RunId;
use crate::plan::operation::{Effect, Loss};
use crate::plan::plan_file::{Plan, PlannedHost};
use steps::{OperationLine, StepLine};
use timeline::Event;

/// Version of the report as JSON.
pub const REPORT_VERSION: u32 = 1;

/// A run as a report.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunReport {
    /// Version of this format.
    pub version: u32,
    /// Run.
    pub run: RunId,
    /// Name of the runbook.
    pub runbook: String,
    /// Name of the environment.
    pub environment: String,
    /// `done`, `differs`, `stopped`, `open` or `undone`.
    pub state: &'static str,
    /// The state in a sentence.
    pub verdict: String,
    /// What is known about the run as a whole, each with its name.
    pub about: Vec<(&'static str, String)>,
    /// The servers.
    pub hosts: Vec<PlannedHost>,
    /// What the finished operations took away.
    pub destroyed: String,
    /// Every step of the plan.
    pub steps: Vec<StepLine>,
    /// What the checks found, by table and server.
    pub checks: Option<Matrix>,
    /// What happened, but for operations that simply succeeded.
    pub timeline: Vec<Event>,
    /// Every operation of the plan.
    pub operations: Vec<OperationLine>,
}

/// Schema of [`RunReport`].
#[must_use]
pub fn report_schema() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RunReport>().to_value();
    schema["properties"]["version"] =
        json!({ "const": REPORT_VERSION, "type": "integer", "description": "Version of this format." });
    schema
}

impl RunReport {
    /// Of a run as it stands in its state.
    #[must_use]
    pub fn of(id: &RunId, found: &FoundRun) -> Self {
        let outcomes = found.verify_outcomes();
        let outcomes: Vec<&Value> = outcomes.iter().collect();
        let (plan, journal) = (&found.plan, &found.journal);
        let state = run_word(&found.state, journal);
        let operations = steps::operations(plan, journal, &found.state);
        Self {
            version: REPORT_VERSION,
            run: id.clone(),
            runbook: plan.runbook.clone(),
            environment: plan.environment.clone(),
            state,
            verdict: verdict(state, journal, found.state.undone.as_ref()),
            about: about(plan, journal),
            hosts: plan.hosts.clone(),
            destroyed: destroyed(plan, &operations),
            steps: steps::steps(plan, &operations),
            checks: matrix(&outcomes),
            timeline: timeline::timeline(plan, journal),
            operations,
        }
    }

    fn title(&self) -> String {
        format!("Run {}: {} on {}", self.run, self.runbook, self.environment)
    }
}

fn verdict(state: &str, journal: &Journal, undone: Option<&RunId>) -> String {
    match (state, journal.records.last().map(|record| &record.entry), undone) {
        ("done", ..) => "Every step is done, and what it promises was proved.".to_owned(),
        ("differs", ..) => "It is over, and a check did not hold.".to_owned(),
        ("undone", _, Some(by)) => format!("Run {by} takes it back, or has taken it back."),
        (_, Some(Entry::Stopped { reason }), _) => format!("It stopped and can be carried on with: {reason}"),
        _ => "It has no last word: its process works, or was killed. `clickferry unlock` shows whether it lives."
            .to_owned(),
    }
}

fn about(plan: &Plan, journal: &Journal) -> Vec<(&'static str, String)> {
    let mut about = Vec::new();
    if !plan.summary.is_empty() {
        about.push(("what it is for", plan.summary.clone()));
    }
    if let (Some(first), Some(last)) = (journal.records.first(), journal.records.last()) {
        about.push(("began", moment(first.at)));
        about.push(("last record", format!("{}, {} after the first", moment(last.at), took(first.at, last.at))));
    }
    for record in &journal.records {
        if let Entry::Started { owner, tool, consent, .. } = &record.entry {
            about.push(("consent", consent.clone()));
            about.push(("begun by", format!("{owner} with clickferry {tool}")));
        }
        if let Entry::Resumed { owner, tool } = &record.entry {
            about.push(("carried on by", format!("{owner} with clickferry {tool}, {}", moment(record.at))));
        }
    }
    about.push(("plan", format!("digest {}, {}", plan.digest, count(plan.operations.len() as u64, "operation"))));
    about.push(("runbook", format!("{}, SHA-256 {}", plan.runbook_file, plan.runbook_digest)));
    if !plan.parameters.is_empty() {
        let parameters: Vec<String> = plan.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        about.push(("parameters", parameters.join(", ")));
    }
    about.push(("journal", count(journal.records.len() as u64, "record")));
    if journal.torn_bytes > 0 {
        about.push(("torn", format!("{} of a last record that is not whole", count(journal.torn_bytes, "byte"))));
    }
    about
}

/// What is gone, as far as the journal proves it; the plan tells how much that was.
fn destroyed(plan: &Plan, operations: &[OperationLine]) -> String {
    let gone = plan.operations.iter().zip(operations);
    let done = gone.filter(|(operation, line)| operation.effect == Effect::Destroy && line.result == "done");
    let loss = done.clone().fold(Loss::default(), |sum, (operation, _)| sum.plus(operation.loss));
    match done.count() {
        0 => "Nothing.".to_owned(),
        number => format!("{} by {}, as the plan said.", destroyed_words(loss), count(number as u64, "operation")),
    }
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Time between two records; none where a clock was set back.
fn took(from: Timestamp, to: Timestamp) -> String {
    duration(to.duration_since(from).max(SignedDuration::ZERO).unsigned_abs())
}
