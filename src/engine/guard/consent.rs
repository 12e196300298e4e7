//! Consent: given to one very plan, and for a protected environment with its name.

use crate::diag::{Failure, Refusal};
use crate::plan::plan_file::Plan;

/// The first characters of a digest that are enough for consent.
pub const CONSENT_LENGTH: usize = 12;

/// What stands behind `--consent` for this plan.
#[must_use]
pub fn consent_text(plan: &Plan) -> String {
    let digest = plan.digest.get(..CONSENT_LENGTH).unwrap_or(&plan.digest);
    if plan.protected { format!("{}:{digest}", plan.environment) } else { digest.to_owned() }
}

/// The command that shows this plan again: a way back and a purge have no runbook.
#[must_use]
pub fn shown_again(plan: &Plan) -> String {
    match &plan.undo_of {
        Some(run) => format!("clickferry undo {run} --dry-run -e ENVIRONMENT"),
        None if plan.runbook_text.is_empty() => "clickferry purge --dry-run -e ENVIRONMENT".to_owned(),
        None => "clickferry plan RUNBOOK -e ENVIRONMENT".to_owned(),
    }
}

/// Checks what was given with `--consent`: the plan's digest, behind the name of the environment where it is protected.
///
/// # Errors
/// [`Failure::Refused`] where it is not the one of this plan.
pub fn check_consent(plan: &Plan, given: &str) -> Result<(), Failure> {
    let (name, digest) = given.rsplit_once(':').map_or((None, given), |(name, digest)| (Some(name), digest));
    let is_this_plan = digest.len() >= CONSENT_LENGTH && plan.digest.starts_with(digest.to_ascii_lowercase().as_str());
    let is_named = name.map_or(!plan.protected, |name| name == plan.environment);
    if is_this_plan && is_named {
        return Ok(());
    }
    let expected = format!("--consent {}", consent_text(plan));
    Err(Failure::refused(Refusal {
        what: if is_this_plan {
            format!("the consent does not name the environment `{}`, which is protected", plan.environment)
        } else {
            "the consent was not given to this plan".to_owned()
        },
        expected,
        found: format!("--consent {given}"),
        evidence: shown_again(plan),
        action: "read the plan as it is now, then give what stands at its end".to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::plan;

    #[test]
    fn consent_is_for_one_plan() {
        let plan = plan(Vec::new());
        let digest = &plan.digest[..CONSENT_LENGTH];
        assert!(check_consent(&plan, digest).is_ok());
        assert!(check_consent(&plan, &plan.digest.to_ascii_uppercase()).is_ok());
        assert!(check_consent(&plan, &format!("staging:{digest}")).is_ok());
        for bad in ["", &digest[..11], "000000000000", &format!("production:{digest}"), "staging:", ":"] {
            assert!(check_consent(&plan, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn consent_for_a_protected_environment_names_it() {
        let plan = crate::plan::plan_file::Plan { protected: true, ..plan(Vec::new()) }.sealed();
        let digest = &plan.digest[..CONSENT_LENGTH];
        assert_eq!(consent_text(&plan), format!("staging:{digest}"));
        assert!(check_consent(&plan, &consent_text(&plan)).is_ok());
        for bad in
            [digest.to_owned(), format!(":{digest}"), format!("production:{digest}"), "staging:000000000000".into()]
        {
            assert!(check_consent(&plan, &bad).is_err(), "{bad}");
        }
    }
}
