//! The gates before an apply: the budget of loss, the consent for this very plan, and the world that may have moved.

use crate::diag::{Failure, Refusal};
use crate::plan::operation::Loss;
use crate::plan::plan_file::Plan;

/// Refuses a plan that destroys more than its runbook allows.
///
/// # Errors
/// [`Failure::Refused`] naming every limit that is passed.
pub fn check_budget(plan: &Plan) -> Result<(), Failure> {
    let loss = plan.loss();
    let budget = &plan.guards.loss;
    let mut problems = Vec::new();
    let mut compare = |name: &str, limit: u64, found: u64| {
        if found > limit {
            problems.push(Refusal {
                what: format!("the plan destroys more {name} than the runbook allows"),
                expected: format!("at most {limit} {name} (`guards.loss.{name}`), over all replicas"),
                found: format!("{found} {name}: {}", largest(plan, name)),
                evidence: "clickferry plan shows each operation that destroys, with its host".to_owned(),
                action: format!(
                    "if this loss is meant, raise `guards.loss.{name}` in the runbook, have it reviewed, and plan again"
                ),
            });
        }
    };
    compare("tables", budget.tables, loss.tables);
    compare("rows", budget.rows, loss.rows);
    if let Some(limit) = budget.bytes {
        compare("bytes", limit, loss.bytes);
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::Refused(problems)) }
}

fn largest(plan: &Plan, name: &str) -> String {
    let amount = |loss: &Loss| match name {
        "tables" => loss.tables,
        "rows" => loss.rows,
        _ => loss.bytes,
    };
    let mut destroying: Vec<_> = plan.operations.iter().filter(|operation| amount(&operation.loss) > 0).collect();
    destroying.sort_by_key(|operation| std::cmp::Reverse(amount(&operation.loss)));
    let words: Vec<String> = destroying
        .iter()
        .take(3)
        .map(|operation| {
            format!(
                "{} {} on {}",
                amount(&operation.loss),
                operation.object,
                operation.host.as_ref().map_or("-", |host| host.as_str())
            )
        })
        .collect();
    words.join("; ")
}

/// The first characters of a digest that are enough for consent.
pub const CONSENT_LENGTH: usize = 12;

/// Checks a digest given with `--consent`.
///
/// # Errors
/// [`Failure::Refused`] where it is not the one of this plan.
pub fn check_consent(plan: &Plan, given: &str) -> Result<(), Failure> {
    if given.len() >= CONSENT_LENGTH && plan.digest.starts_with(&given.to_ascii_lowercase()) {
        return Ok(());
    }
    Err(Failure::refused(Refusal {
        what: "the consent was not given to this plan".to_owned(),
        expected: format!("--consent {}", &plan.digest[..CONSENT_LENGTH.min(plan.digest.len())]),
        found: format!("--consent {given}"),
        evidence: "clickferry plan RUNBOOK -e ENVIRONMENT".to_owned(),
        action: "read the plan as it is now, then give the digest at its end".to_owned(),
    }))
}

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
            format!("{} {}: {}", before.id, before.object, first_statement(before)),
            format!("{} {}: {}", after.id, after.object, first_statement(after)),
        ),
        None => (
            format!(
                "{} operations, runbook {}, clickferry {}",
                saved.operations.len(),
                &saved.runbook_digest[..12],
                saved.tool_version
            ),
            format!(
                "{} operations, runbook {}, clickferry {}",
                now.operations.len(),
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

fn first_statement(operation: &crate::plan::operation::Operation) -> &str {
    operation.statements.first().map_or("-", |statement| statement.text.as_str())
}
