//! The world that may have moved since a plan was saved.

use std::collections::HashMap;

use super::another::differences;
use crate::diag::{Failure, Refusal};
use crate::engine::compile::CompiledRunbook;
use crate::engine::look::Looked;
use crate::engine::planner::attempt;
use crate::model::environment::Environment;
use crate::model::ids::HostName;
use crate::plan::fact::Fact;
use crate::plan::plan_file::Plan;

/// What can be told now of the world that a plan was made for.
pub struct Now {
    /// The facts that are known where there is no plan.
    pub facts: Vec<Fact>,
    /// Whether these are all, so that one which is not among them is gone.
    pub is_whole: bool,
    /// The plan as it is made now, or why none can be made.
    pub plan: Result<Plan, Failure>,
}

impl Now {
    /// The facts that are known.
    #[must_use]
    pub fn known(&self) -> &[Fact] {
        self.plan.as_ref().map_or(&self.facts, |plan| &plan.facts)
    }

    /// Plans again, as far as what was seen allows.
    #[must_use]
    pub fn of(compiled: &CompiledRunbook, environment: &Environment, looked: Looked) -> Self {
        if !looked.problems.is_empty() {
            let facts = looked.facts();
            return Self { facts, is_whole: false, plan: Err(Failure::Error(looked.problems)) };
        }
        let attempt = attempt(compiled, environment, &looked.observations);
        let plan = attempt.result.map(|simulated| simulated.plan);
        Self { facts: attempt.facts, is_whole: attempt.is_whole, plan }
    }
}

/// Compares a saved plan with what is made now from the same runbook, and returns the latter: the same but for
/// estimates.
///
/// # Errors
/// [`Failure::Refused`] with each fact that moved: expected, actual, and the statement that shows it; with what else
/// differs where no fact did; and with why no plan can be made any longer.
pub fn check_unmoved(saved: &Plan, now: Now) -> Result<Plan, Failure> {
    let mut problems = moved_facts(saved, &now);
    match now.plan {
        Ok(plan) if plan.digest == saved.digest => return Ok(plan),
        Ok(plan) if problems.is_empty() => problems = differences(saved, &plan),
        Ok(_) => {}
        Err(Failure::Error(found) | Failure::Refused(found)) => {
            // What could not be seen is told as a fact already.
            let is_told = |refusal: &Refusal| {
                problems.iter().any(|problem| problem.found.ends_with(&format!(": {}", refusal.found)))
            };
            let more: Vec<Refusal> = found.into_iter().filter(|refusal| !is_told(refusal)).map(impossible).collect();
            problems.extend(more);
        }
        Err(other) => return Err(other),
    }
    Err(Failure::Refused(problems))
}

fn moved_facts(saved: &Plan, now: &Now) -> Vec<Refusal> {
    let mut problems = Vec::new();
    let (then, known) = (by_subject(&saved.facts), by_subject(now.known()));
    for fact in &saved.facts {
        match known.get(&(&fact.host, fact.subject.as_str())) {
            Some(current) if current.value == fact.value => {}
            // What is found may take more to be shown than what was expected: an empty table has no partitions.
            Some(current) => problems.push(moved(current, &fact.value, &current.value)),
            None if now.is_whole => problems.push(moved(fact, &fact.value, "it is not there any longer")),
            None => {}
        }
    }
    for fact in now.known() {
        if !then.contains_key(&(&fact.host, fact.subject.as_str())) {
            problems.push(moved(fact, "not there when the plan was made", &fact.value));
        }
    }
    problems
}

/// The first fact on each subject of a host.
fn by_subject(facts: &[Fact]) -> HashMap<(&HostName, &str), &Fact> {
    facts.iter().rev().map(|fact| ((&fact.host, fact.subject.as_str()), fact)).collect()
}

fn moved(fact: &Fact, expected: &str, found: &str) -> Refusal {
    let Fact { host, subject, query, .. } = fact;
    let is_nowhere = host.as_str().is_empty();
    let place = if is_nowhere { String::new() } else { format!(" on {host}") };
    Refusal {
        what: format!("the world has moved since the plan was made: {subject}{place}"),
        expected: expected.to_owned(),
        found: found.to_owned(),
        evidence: if is_nowhere { query.to_string() } else { format!("on {host}: {query}") },
        action: "nothing was changed; plan again, read what differs, and give consent to the new plan".to_owned(),
    }
}

/// Why the plan could not be made again.
fn impossible(refusal: Refusal) -> Refusal {
    Refusal { what: format!("the plan cannot be made any longer: {}", refusal.what), ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(facts: &[(&str, &str)]) -> Plan {
        let mut plan = crate::engine::guard::tests::plan(Vec::new());
        plan.facts = facts.iter().map(|(subject, value)| fact(subject, value)).collect();
        plan.sealed()
    }

    fn fact(subject: &str, value: &str) -> Fact {
        Fact::new(&HostName::from("r1"), subject, value, "SELECT 1")
    }

    fn told(saved: &Plan, now: Now) -> Vec<String> {
        let Err(Failure::Refused(found)) = check_unmoved(saved, now) else { return Vec::new() };
        found
            .into_iter()
            .map(|refusal| format!("{} | {} | {}", refusal.what, refusal.expected, refusal.found))
            .collect()
    }

    fn made(plan: Plan) -> Now {
        Now { facts: Vec::new(), is_whole: true, plan: Ok(plan) }
    }

    #[test]
    fn facts_that_changed_came_and_went_are_each_told() {
        let saved = plan(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let moved = "the world has moved since the plan was made";
        assert_eq!(
            told(&saved, made(plan(&[("a", "1"), ("b", "2"), ("d", "1")]))),
            [
                format!("{moved}: b on r1 | 1 | 2"),
                format!("{moved}: c on r1 | 1 | it is not there any longer"),
                format!("{moved}: d on r1 | not there when the plan was made | 1"),
            ]
        );
        assert!(told(&saved, made(saved.clone())).is_empty());
    }

    #[test]
    fn where_no_plan_can_be_made_what_is_known_is_told_and_what_is_not_known_is_not() {
        let saved = plan(&[("a", "1"), ("b", "1"), ("backup", "1")]);
        let refusal = |what: &str, found: &str| Refusal {
            what: what.to_owned(),
            expected: String::new(),
            found: found.to_owned(),
            evidence: String::new(),
            action: String::new(),
        };
        let now = Now {
            facts: vec![fact("a", "2"), fact("backup", "it cannot be read: nothing is there")],
            is_whole: false,
            plan: Err(Failure::Error(vec![
                refusal("reading the backup", "nothing is there"),
                refusal("step `x`", "y"),
            ])),
        };
        assert_eq!(
            told(&saved, now),
            [
                "the world has moved since the plan was made: a on r1 | 1 | 2",
                "the world has moved since the plan was made: backup on r1 | 1 | it cannot be read: nothing is there",
                "the plan cannot be made any longer: step `x` |  | y",
            ]
        );
    }

    #[test]
    fn input_that_does_not_compile_stays_an_error() {
        let saved = plan(&[]);
        let now = Now { facts: Vec::new(), is_whole: false, plan: Err(Failure::Cancelled("x".to_owned())) };
        assert!(matches!(check_unmoved(&saved, now), Err(Failure::Cancelled(_))));
    }
}
