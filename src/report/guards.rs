//! What the guards of a plan limit. What they ask of people stands in [`super::asked`].

use super::text::count;
use crate::plan::plan_file::Plan;

/// One line per limit that is set; the budget of loss stands where the loss is told.
#[must_use]
pub fn lines(plan: &Plan) -> Vec<String> {
    let guards = &plan.guards;
    let mut lines = Vec::new();
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
    lines.into_iter().map(|line| format!("Guards: {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{guards, operation, plan};
    use crate::plan::operation::Effect;

    #[test]
    fn every_limit_that_is_set_is_told_and_no_other() {
        let made = plan(vec![operation("restore", "r1", Effect::Write, Some(1 << 30))]);
        assert!(lines(&made).is_empty());
        let mut guarded = made;
        guarded.guards = guards("{ versions: { max_distance: 4 }, disk: { headroom: 20 } }");
        let told = lines(&guarded);
        assert_eq!(told.len(), 2, "{told:#?}");
        for (line, word) in told.iter().zip(["4 releases apart", "20 percent"]) {
            assert!(line.starts_with("Guards: ") && line.contains(word), "{line}");
        }
    }
}
