//! What a plan asks of people: before an apply, at it, and while it runs.

use super::text::{bytes, count, number};
use crate::engine::guard::{check_budget, consent_text, predicted, time_words};
use crate::model::guards::{ApprovalsGuard, WindowGuard, WriteFreezeGuard};
use crate::plan::plan_file::Plan;

/// One line per thing that is asked, in the order in which it comes.
#[must_use]
pub fn asked(plan: &Plan) -> Vec<String> {
    if !plan.changes_something() {
        return vec!["nothing: the plan only reads, so an apply needs no consent".to_owned()];
    }
    let guards = &plan.guards;
    let mut lines = Vec::new();
    if check_budget(plan).is_err() {
        lines.push(
            "a decision: apply refuses this plan, because it destroys more than the runbook allows. If that loss is \
             meant, raise `guards.loss` in the runbook, have it reviewed, and plan again"
                .to_owned(),
        );
    }
    lines.extend(guards.approvals.as_ref().map(approvals));
    lines.extend(guards.window.as_ref().map(|window| hours(plan, window)));
    lines.extend(guards.write_freeze.as_ref().map(freeze));
    lines.push(consent(plan));
    for step in plan.steps.iter().filter(|step| step.skipped.is_none()) {
        if let Some(question) = &step.confirm {
            lines.push(format!("during the run, before step {}, an answer to: {question}", step.id));
        }
        if step.point_of_no_return {
            lines.push(format!("to know that there is no way back after step {}", step.id));
        }
    }
    lines
}

/// How consent is given to this plan.
fn consent(plan: &Plan) -> String {
    let typed = match (plan.protected, plan.destroys_something()) {
        (true, true) => format!(
            "the name of the environment, {}, which is protected, and the number of rows that are destroyed, {}",
            plan.environment,
            number(plan.loss().rows)
        ),
        (true, false) => format!("the name of the environment, {}, which is protected, and yes", plan.environment),
        (false, true) => format!("the number of rows that are destroyed, {}", number(plan.loss().rows)),
        (false, false) => {
            return format!(
                "consent at apply: yes typed at the terminal, or `--consent {}`; without a terminal none is needed, for \
                 nothing is destroyed",
                consent_text(plan)
            );
        }
    };
    format!("consent at apply: typed at the terminal, {typed}; or given as `--consent {}`", consent_text(plan))
}

fn freeze(guard: &WriteFreezeGuard) -> String {
    let names = |all: Vec<&str>| all.join(", ");
    let on = names(guard.on.iter().map(|role| role.as_str()).collect());
    let databases = names(guard.databases.iter().map(|name| name.as_str()).collect());
    let to = if databases.is_empty() { on } else { format!("{databases} on {on}") };
    format!("that nobody writes to {to}: apply looks for {} before the first operation", guard.r#for.as_str())
}

fn hours(plan: &Plan, guard: &WindowGuard) -> String {
    let days: Vec<&str> = guard.days.iter().map(|day| day.as_str()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    let (steps, time) = predicted(plan, guard);
    let moved = steps.iter().map(|(_, _, bytes)| bytes).sum();
    format!(
        "an apply within the window: {days}, {} to {} {}, with {} left before its end (predicted for {} at {} per host)",
        guard.from.as_str(),
        guard.to.as_str(),
        guard.timezone.as_str(),
        time_words(time),
        bytes(moved),
        guard.rate.as_str()
    )
}

fn approvals(guard: &ApprovalsGuard) -> String {
    format!(
        "signatures of {} named in {}: each of them reads the saved plan and runs `clickferry approve PLAN --key KEY`",
        count(guard.count.into(), "person").replace("persons", "people"),
        guard.signers
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{guards, operation, plan};
    use crate::model::ids::StepId;
    use crate::model::runbook::OnFailure;
    use crate::plan::operation::{Effect, Loss};
    use crate::plan::plan_file::PlannedStep;

    fn step(id: &str, question: &str) -> PlannedStep {
        PlannedStep {
            id: StepId::from(id),
            action: "restore".to_owned(),
            description: None,
            arguments: serde_json::Value::Null,
            skipped: None,
            on_failure: OnFailure::Stop,
            retry: None,
            timeout_ms: None,
            confirm: Some(question.to_owned()),
            point_of_no_return: true,
        }
    }

    #[test]
    fn everything_that_is_asked_is_told_in_its_order() {
        let mut made = plan(vec![operation("restore", "r1", Effect::Write, Some(1 << 30))]);
        assert_eq!(asked(&made).len(), 1);
        assert!(asked(&made)[0].starts_with("consent at apply: yes typed at the terminal"), "{:?}", asked(&made));
        made.protected = true;
        made.guards = guards(
            "{ write_freeze: { on: [source], databases: [d] }, \
             window: { days: [sat], from: '01:00', to: '05:00', timezone: Europe/Berlin }, approvals: { count: 2, signers: who } }",
        );
        made.steps =
            vec![step("restore", "Really?"), PlannedStep { skipped: Some("not wanted".into()), ..step("x", "No?") }];
        let told = asked(&made);
        let words = [
            "2 people named in who",
            "sat, 01:00 to 05:00",
            "d on source: apply looks for 30s",
            "staging",
            "Really?",
            "no way back",
        ];
        assert_eq!(told.len(), words.len(), "{told:#?}");
        for (line, word) in told.iter().zip(words) {
            assert!(line.contains(word), "{line}");
        }
        made.operations[0].effect = Effect::Destroy;
        made.operations[0].loss = Loss { tables: 1, rows: 4_000, ..Loss::default() };
        let told = asked(&made);
        assert!(told[0].starts_with("a decision: apply refuses this plan"), "{told:#?}");
        assert!(told[4].contains("staging") && told[4].contains("4 000"), "{told:#?}");
    }

    #[test]
    fn a_plan_that_only_reads_asks_for_nothing() {
        let made = plan(vec![operation("verify", "r1", Effect::Read, None)]);
        assert_eq!(asked(&made), ["nothing: the plan only reads, so an apply needs no consent"]);
    }
}
