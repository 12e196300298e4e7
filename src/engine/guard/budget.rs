//! The budget of loss: how much a plan of a runbook may destroy, over all replicas.

use std::collections::BTreeSet;

use crate::diag::{Failure, Refusal, grouped};
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
            let noun = if limit == 1 { name.trim_end_matches('s') } else { name };
            problems.push(Refusal {
                what: format!("the plan destroys more {name} than the runbook allows"),
                expected: format!("at most {} {noun} (`guards.loss.{name}`), over all replicas", grouped(limit)),
                found: format!("{} {name}: {}", grouped(found), largest(plan, name)),
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
    problems.extend(budget.replicas.and_then(|limit| too_many_hosts(plan, limit)));
    if problems.is_empty() { Ok(()) } else { Err(Failure::Refused(problems)) }
}

fn too_many_hosts(plan: &Plan, limit: u64) -> Option<Refusal> {
    let hosts: BTreeSet<&str> = plan
        .operations
        .iter()
        .filter(|operation| !operation.loss.is_nothing())
        .filter_map(|operation| operation.host.as_ref().map(|host| host.as_str()))
        .collect();
    (hosts.len() as u64 > limit).then(|| Refusal {
        what: "the plan destroys something on more hosts than the runbook allows".to_owned(),
        expected: format!("on at most {limit} host{} (`guards.loss.replicas`)", if limit == 1 { "" } else { "s" }),
        found: format!("on {}: {}", hosts.len(), hosts.into_iter().collect::<Vec<_>>().join(", ")),
        evidence: "clickferry plan shows each operation that destroys, with its host".to_owned(),
        action:
            "if this loss is meant, raise `guards.loss.replicas` in the runbook, have it reviewed, and plan again; \
             or empty one replica at a time"
                .to_owned(),
    })
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
                "{} of {} on {}",
                grouped(amount(&operation.loss)),
                operation.object,
                operation.host.as_ref().map_or("-", |host| host.as_str())
            )
        })
        .collect();
    let rest = destroying.len().saturating_sub(words.len());
    let more = if rest > 0 { format!("; and {rest} more operations") } else { String::new() };
    format!("{}{more}", words.join("; "))
}
