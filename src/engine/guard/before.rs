//! What an apply asks of the guards, in its order: everything that consent would be wasted on, and, with consent given,
//! what must hold at the very beginning.

use std::path::{Path, PathBuf};

use super::approvals::check_approvals;
use super::budget::check_budget;
use super::freeze::check_freeze;
use super::window::check_window;
use crate::diag::Failure;
use crate::engine::ports::Ports;
use crate::plan::plan_file::Plan;

/// Before consent is asked for: the budget of loss, the maintenance window, the approvals. Returns who approved.
/// Relative names in the guards start at `folder`, the one of the environment file.
///
/// # Errors
/// [`Failure::Refused`] with everything that is refused.
pub async fn check_demands(
    plan: &Plan,
    folder: &Path,
    signatures: &[PathBuf],
    ports: &Ports,
) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    match check_budget(plan) {
        Ok(()) => {}
        Err(Failure::Refused(found)) => problems.extend(found),
        Err(other) => return Err(other),
    }
    let mut approved = Vec::new();
    if plan.changes_something() {
        problems.extend(check_window(plan, ports.clock.now()).err().map(|refusal| *refusal));
        if let Some(guard) = &plan.guards.approvals {
            match check_approvals(plan, guard, folder, signatures, &*ports.commands).await {
                Ok(names) => approved = names,
                Err(found) => problems.extend(found),
            }
        }
    }
    if problems.is_empty() { Ok(approved) } else { Err(Failure::Refused(problems)) }
}

/// Right before the first operation: the window again, for consent may have taken its time, and the write freeze.
/// Returns what could not be looked at.
///
/// # Errors
/// [`Failure::Refused`] with everything that is refused.
pub async fn check_start(plan: &Plan, ports: &Ports) -> Result<Vec<String>, Failure> {
    if !plan.changes_something() {
        return Ok(Vec::new());
    }
    check_window(plan, ports.clock.now()).map_err(|refusal| Failure::refused(*refusal))?;
    let Some(guard) = &plan.guards.write_freeze else { return Ok(Vec::new()) };
    let notes = check_freeze(plan, guard, ports).await.map_err(Failure::Refused)?;
    // Watching takes its time, too.
    check_window(plan, ports.clock.now()).map_err(|refusal| Failure::refused(*refusal))?;
    Ok(notes)
}
