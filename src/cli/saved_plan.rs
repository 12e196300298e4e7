//! Plans that were saved with `plan -o`: told from runbooks by what is in the file, and read only where nobody has
//! changed them since.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::session::read_source;
use crate::diag::{Diagnostic, Failure, SourceFile};
use crate::plan::plan_file::{Plan, sha256};
use crate::plan::read::{PlanProblem, not_intact, parse_plan};

/// What tells a plan from a runbook, and the runbook in it; the rest, which may be long, is passed over.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "apiVersion")]
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    format_version: Option<IgnoredAny>,
    runbook_text: Option<String>,
}

/// Whether a file is a saved plan and no runbook. A runbook may be written in JSON, since that is YAML; a plan that was
/// cut off is a plan all the same, so that it is told as what it is.
#[must_use]
pub fn is_plan(path: &Path, text: &str) -> bool {
    match serde_json::from_str::<Head>(text) {
        Ok(Head { api_version: Some(_), .. } | Head { kind: Some(_), .. }) => false,
        Ok(Head { format_version: Some(_), .. }) => true,
        _ => {
            let has_name = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
            has_name || (text.trim_start().starts_with('{') && text.contains("\"format_version\""))
        }
    }
}

/// The runbook that a saved plan holds.
#[must_use]
pub fn runbook_in(plan: &SourceFile) -> Option<Arc<SourceFile>> {
    let head: Head = serde_json::from_str(&plan.text).ok()?;
    Some(SourceFile::new(plan.name.clone(), head.runbook_text?))
}

/// Reads a saved plan that nobody has changed since.
///
/// # Errors
/// A file that is no plan, is of a newer format, or was changed.
pub fn read_plan(path: &Path) -> Result<Plan, Failure> {
    plan_in(&*read_source(path)?)
}

/// The plan in a file that was read.
///
/// # Errors
/// A file that is no plan, is of a newer format, or was changed.
pub fn plan_in(source: &SourceFile) -> Result<Plan, Failure> {
    let name = &source.name;
    let saved = parse_plan(source.text.as_bytes(), name).map_err(|problem| match problem {
        PlanProblem::Newer(refusal) => Failure::refused(refusal),
        PlanProblem::Unreadable(reason) => Failure::Input(
            Diagnostic::new("bad-plan", format!("{name} is not a saved plan: {reason}"))
                .help("save one with `clickferry plan RUNBOOK -e ENV -o FILE`")
                .into(),
        ),
    })?;
    // The plan of an undo has no runbook of its own.
    let fits = saved.undo_of.is_some() || sha256(saved.runbook_text.as_bytes()) == saved.runbook_digest;
    if !saved.is_intact() || !fits {
        return Err(Failure::refused(not_intact(&saved, source.text.as_bytes(), name)));
    }
    Ok(saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_told_from_runbooks_by_what_they_hold() {
        let is = |name: &str, text: &str| is_plan(Path::new(name), text);
        assert!(is("plan.json", "{ \"format_version\": 1 }"));
        assert!(is("plan.txt", "{ \"format_version\": 1 }"));
        assert!(is("plan.txt", "{\n  \"format_version\": 1, \"operations\": ["), "cut off");
        assert!(is("plan.json", ""));
        assert!(!is("move.yaml", "kind: Runbook"));
        assert!(!is("move.json", "{ \"apiVersion\": \"clickferry/v1\", \"kind\": \"Runbook\" }"));
        assert!(!is("move.yaml", "{ kind: Runbook }"));
    }
}
