//! What the guards of a plan limit, and what they will demand at apply.

use super::text::{bytes, count};
use crate::engine::guard::{consent_text, predicted, time_words};
use crate::model::guards::{ApprovalsGuard, WindowGuard, WriteFreezeGuard};
use crate::plan::plan_file::Plan;

/// One line per guard that is set; the budget of tables, rows and bytes stands where the loss is told.
#[must_use]
pub fn lines(plan: &Plan) -> Vec<String> {
    let guards = &plan.guards;
    let mut lines = Vec::new();
    if let Some(most) = guards.loss.replicas {
        lines.push(format!("loss on at most {}", count(most, "host")));
    }
    if let Some(versions) = &guards.versions {
        let mut words = Vec::new();
        words.extend(
            versions
                .max_distance
                .map(|most| format!("backup and target at most {} apart", count(most.into(), "release"))),
        );
        words.push(format!("an older target is {}", if versions.allow_older { "allowed" } else { "refused" }));
        lines.push(words.join("; "));
    }
    if let Some(disk) = &guards.disk {
        lines.push(format!("free space for what is restored and {} percent more on every host", disk.headroom));
    }
    if plan.changes_something() {
        lines.extend(guards.write_freeze.as_ref().map(freeze));
        lines.extend(guards.window.as_ref().map(|window| hours(plan, window)));
        lines.extend(guards.approvals.as_ref().map(approvals));
        if plan.protected {
            let consent = consent_text(plan);
            lines.push(format!("at apply, {} is protected: consent names it, `--consent {consent}`", plan.environment));
        }
    }
    lines.into_iter().map(|line| format!("Guards: {line}")).collect()
}

fn freeze(guard: &WriteFreezeGuard) -> String {
    let names = |all: Vec<&str>| all.join(", ");
    let on = names(guard.on.iter().map(|role| role.as_str()).collect());
    let databases = names(guard.databases.iter().map(|name| name.as_str()).collect());
    let to = if databases.is_empty() { on } else { format!("{databases} on {on}") };
    format!("at apply, before the first operation, nobody may write to {to} for {}", guard.r#for.as_str())
}

fn hours(plan: &Plan, guard: &WindowGuard) -> String {
    let days: Vec<&str> = guard.days.iter().map(|day| day.as_str()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    let (steps, time) = predicted(plan, guard);
    let moved = steps.iter().map(|(_, _, bytes)| bytes).sum();
    format!(
        "at apply, it is {days} {} to {} {}, with {} left before its end (predicted for {} at {} per host)",
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
        "at apply, {} of those in {} approved this plan with `clickferry approve`, besides consent",
        guard.count, guard.signers
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{guards, operation, plan};
    use crate::plan::operation::Effect;

    #[test]
    fn every_guard_that_is_set_is_told_and_no_other() {
        let made = plan(vec![operation("restore", "r1", Effect::Write, Some(1 << 30))]);
        assert!(lines(&made).is_empty());
        let mut guarded = made;
        guarded.protected = true;
        guarded.guards = guards(
            "{ loss: { replicas: 1 }, versions: { max_distance: 4 }, disk: { headroom: 20 }, \
             write_freeze: { on: [source], databases: [d] }, \
             window: { days: [sat], from: '01:00', to: '05:00', timezone: Europe/Berlin }, approvals: { count: 2, signers: who } }",
        );
        let told = lines(&guarded);
        assert_eq!(told.len(), 7, "{told:#?}");
        for (line, word) in told.iter().zip([
            "1 host",
            "4 releases apart",
            "20 percent",
            "d on source for 30s",
            "sat 01:00 to 05:00",
            "2 of those in who",
            "staging:",
        ]) {
            assert!(line.starts_with("Guards: ") && line.contains(word), "{line}");
        }
    }
}
