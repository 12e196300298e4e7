//! Reads a saved plan of this format or an older one; what is not understood is refused, not passed over.

use serde::Deserialize;
use serde_json::Value;

use super::plan_file::{PLAN_VERSION, Plan};
use crate::diag::Refusal;

/// Why a text is no plan for this version.
#[derive(Debug)]
pub enum PlanProblem {
    /// A newer clickferry made it.
    Newer(Refusal),
    /// It is no plan.
    Unreadable(String),
}

/// The part that every version can read.
#[derive(Deserialize)]
struct Head {
    format_version: u64,
}

/// Reads a plan. Whether somebody changed it is another question: [`Plan::is_intact`].
///
/// # Errors
/// See [`PlanProblem`].
pub fn parse_plan(text: &[u8], location: &str) -> Result<Plan, PlanProblem> {
    match serde_json::from_slice::<Plan>(text) {
        Ok(plan) if plan.format_version <= PLAN_VERSION => Ok(plan),
        Ok(plan) => Err(PlanProblem::Newer(newer(u64::from(plan.format_version), location))),
        Err(error) => match serde_json::from_slice::<Head>(text) {
            Ok(head) if head.format_version > u64::from(PLAN_VERSION) => {
                Err(PlanProblem::Newer(newer(head.format_version, location)))
            }
            _ => Err(PlanProblem::Unreadable(error.to_string())),
        },
    }
}

/// Why a plan whose digest does not fit its content is refused: a newer version wrote more than this one knows, or
/// somebody changed it.
#[must_use]
pub fn not_intact(plan: &Plan, text: &[u8], location: &str) -> Refusal {
    let known = serde_json::to_value(plan).unwrap_or_default();
    let read: Value = serde_json::from_slice(text).unwrap_or_default();
    if let Some(part) = unknown_part(&read, &known, "") {
        return Refusal {
            what: format!("{location} holds more than this clickferry knows"),
            expected: format!("a plan as clickferry {} makes it", env!("CARGO_PKG_VERSION")),
            found: format!("{part}, in a plan of clickferry {}", plan.tool_version),
            evidence: String::new(),
            action: "use the version that made the plan, or a newer one; or plan again".to_owned(),
        };
    }
    Refusal {
        what: format!("{location} was changed after it was saved"),
        expected: "a plan whose digest fits its content".to_owned(),
        found: "another content".to_owned(),
        evidence: String::new(),
        action: "plan again; plans are not edited by hand, runbooks are".to_owned(),
    }
}

/// The first place that was read and is not among what is known.
fn unknown_part(read: &Value, known: &Value, place: &str) -> Option<String> {
    match (read, known) {
        (Value::Object(read), Value::Object(known)) => read.iter().find_map(|(key, value)| match known.get(key) {
            Some(known) => unknown_part(value, known, &format!("{place}/{key}")),
            // Nothing is the same as a field that is left out.
            None => (!is_nothing(value)).then(|| format!("{place}/{key}")),
        }),
        (Value::Array(read), Value::Array(known)) => read
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(at, (read, known))| unknown_part(read, known, &format!("{place}/{at}"))),
        _ => None,
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn newer(version: u64, location: &str) -> Refusal {
    Refusal {
        what: format!("{location} was written by a newer clickferry"),
        expected: format!("plan format {PLAN_VERSION} or older"),
        found: format!("format {version}"),
        evidence: String::new(),
        action: "use the version that made the plan, or plan again".to_owned(),
    }
}
