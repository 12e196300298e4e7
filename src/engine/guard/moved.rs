//! The world that may have moved since a plan was saved.

use crate::diag::{Failure, Refusal};
use crate::model::words::count_of;
use crate::plan::operation::Operation;
use crate::plan::plan_file::Plan;
use crate::plan::statement::Statement;

/// Compares a saved plan with one made now from the same runbook.
///
/// # Errors
/// [`Failure::Refused`] with each fact that moved: expected, actual, and the statement that shows it.
pub fn check_unmoved(saved: &Plan, now: &Plan) -> Result<(), Failure> {
    if saved.digest == now.digest {
        return Ok(());
    }
    let mut problems = Vec::new();
    for fact in &saved.facts {
        let current = now.facts.iter().find(|other| other.host == fact.host && other.subject == fact.subject);
        if current.is_none_or(|current| current.value != fact.value) {
            problems.push(moved(
                &fact.host.0,
                &fact.subject,
                &fact.value,
                current.map_or("it is not there any longer", |current| &current.value),
                &fact.query,
            ));
        }
    }
    for fact in &now.facts {
        if !saved.facts.iter().any(|other| other.host == fact.host && other.subject == fact.subject) {
            problems.push(moved(
                &fact.host.0,
                &fact.subject,
                "not there when the plan was made",
                &fact.value,
                &fact.query,
            ));
        }
    }
    if problems.is_empty() {
        problems.push(operations_differ(saved, now));
    }
    Err(Failure::Refused(problems))
}

fn moved(host: &str, subject: &str, expected: &str, found: &str, query: &str) -> Refusal {
    let place = if host.is_empty() { String::new() } else { format!(" on {host}") };
    Refusal {
        what: format!("the world has moved since the plan was made: {subject}{place}"),
        expected: expected.to_owned(),
        found: found.to_owned(),
        evidence: if host.is_empty() { query.to_owned() } else { format!("on {host}: {query}") },
        action: "nothing was changed; plan again, read what differs, and give consent to the new plan".to_owned(),
    }
}

fn operations_differ(saved: &Plan, now: &Plan) -> Refusal {
    let differing = saved.operations.iter().zip(&now.operations).find(|(before, after)| {
        before.statements != after.statements || before.loss != after.loss || before.object != after.object
    });
    let (expected, found) = match differing {
        Some((before, after)) => (
            format!("{} {}: {}", before.id, before.object, differing_statement(before, after)),
            format!("{} {}: {}", after.id, after.object, differing_statement(after, before)),
        ),
        None => (
            format!(
                "{}, runbook {}, clickferry {}",
                count_of(saved.operations.len(), "operation"),
                &saved.runbook_digest[..12],
                saved.tool_version
            ),
            format!(
                "{}, runbook {}, clickferry {}",
                count_of(now.operations.len(), "operation"),
                &now.runbook_digest[..12],
                now.tool_version
            ),
        ),
    };
    Refusal {
        what: "the plan made now is another one than the saved plan".to_owned(),
        expected,
        found,
        evidence: "clickferry plan RUNBOOK -e ENVIRONMENT".to_owned(),
        action: "nothing was changed; plan again and give consent to the new plan".to_owned(),
    }
}

/// The first statement that the other operation does not have at its place; the first one where all are the same.
fn differing_statement<'o>(operation: &'o Operation, other: &Operation) -> &'o str {
    let differs = |(at, statement): &(usize, &'o Statement)| other.statements.get(*at) != Some(*statement);
    let found = operation.statements.iter().enumerate().find(differs).map(|(_, statement)| statement);
    found.or(operation.statements.first()).map_or("-", |statement| statement.text.as_str())
}
