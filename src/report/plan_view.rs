//! A plan for people: what is there, what is destroyed, every operation with its statement, how it is checked.

use std::fmt::Write;

use super::text::{Style, bytes, count, number, pad, wrap};
use crate::engine::guard::CONSENT_LENGTH;
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::plan_file::{Plan, PlannedStep};

/// How a plan is drawn.
#[derive(Clone, Copy, Debug)]
pub struct PlanView {
    /// Columns of the terminal.
    pub width: usize,
    /// Colours.
    pub style: Style,
    /// Leave the statements out.
    pub summary: bool,
}

impl PlanView {
    /// The whole plan as text.
    #[must_use]
    pub fn render(&self, plan: &Plan) -> String {
        let mut out = String::new();
        self.head(plan, &mut out);
        self.destroyed(plan, &mut out);
        for (at, step) in plan.steps.iter().enumerate() {
            self.step(plan, step, at + 1, &mut out);
        }
        self.notes(plan, &mut out);
        self.end(plan, &mut out);
        out
    }

    fn head(&self, plan: &Plan, out: &mut String) {
        let style = self.style;
        line(out, &style.heading(&format!("Plan of {} on {}", plan.runbook, plan.environment)));
        if !plan.summary.is_empty() {
            out.push_str(&wrap(&plan.summary, self.width, "  "));
        }
        out.push('\n');
        let width = plan.hosts.iter().map(|host| host.name.0.chars().count()).max().unwrap_or(0);
        let role_width = plan.hosts.iter().map(|host| host.target.chars().count()).max().unwrap_or(0);
        for host in &plan.hosts {
            let shard = if host.shard == "-" { String::new() } else { format!("  shard {}", host.shard) };
            line(
                out,
                &format!(
                    "  {}  {}  {}  {}{shard}",
                    pad(&host.target, role_width),
                    pad(&host.name.0, width),
                    host.url,
                    host.version
                ),
            );
        }
        if !plan.parameters.is_empty() {
            let values: Vec<String> = plan
                .parameters
                .iter()
                .map(|(name, value)| {
                    format!("{name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                })
                .collect();
            out.push_str(&wrap(&format!("with {}", values.join(", ")), self.width, "  "));
        }
        out.push('\n');
    }

    fn destroyed(&self, plan: &Plan, out: &mut String) {
        let style = self.style;
        let destroying: Vec<&Operation> =
            plan.operations.iter().filter(|operation| operation.effect == Effect::Destroy).collect();
        if destroying.is_empty() {
            let text = if plan.changes_something() {
                "Nothing is destroyed."
            } else {
                "Nothing is changed: this plan only reads."
            };
            line(out, &style.good(text));
            out.push('\n');
            return;
        }
        line(out, &style.bad(&format!("Destroyed, over all hosts: {}", loss_words(plan.loss()))));
        for operation in destroying {
            let place = operation.host.as_ref().map_or_else(|| operation.lane.clone(), |host| host.0.clone());
            let text = format!("- {} on {place}: {}  ({})", operation.object, loss_words(operation.loss), operation.id);
            out.push_str(&hanging(&text, self.width, "  ", "    "));
        }
        let budget = &plan.guards.loss;
        let mut limit = format!("{}, {}", count(budget.tables, "table"), count(budget.rows, "row"));
        if let Some(most) = budget.bytes {
            let _ = write!(limit, ", {}", bytes(most));
        }
        line(out, &style.dim(&format!("  the runbook allows at most {limit}")));
        out.push('\n');
    }

    fn step(&self, plan: &Plan, step: &PlannedStep, number_of_step: usize, out: &mut String) {
        let style = self.style;
        let operations: Vec<&Operation> = plan.operations_of(&step.id).collect();
        let title = format!("{number_of_step}. {}  ({})", step.id, step.action);
        line(out, &style.heading(&title));
        if let Some(text) = &step.description {
            out.push_str(&wrap(text, self.width, "   "));
        }
        if step.point_of_no_return {
            line(out, &style.bad("   no way back after this step"));
        }
        if let Some(question) = &step.confirm {
            out.push_str(&hanging(&format!("asks before it starts: {question}"), self.width, "   ", "     "));
        }
        if let Some(why) = &step.skipped {
            line(out, &style.dim(&format!("   left out: {why}")));
        } else if operations.is_empty() {
            line(out, &style.dim("   nothing to do"));
        }
        for group in groups(&operations) {
            self.group(&group, out);
        }
        out.push('\n');
    }

    /// Operations that do the same on several hosts are told once.
    fn group(&self, group: &[&Operation], out: &mut String) {
        let style = self.style;
        let first = group[0];
        let hosts: Vec<&str> =
            group.iter().filter_map(|operation| operation.host.as_ref().map(|host| host.as_str())).collect();
        let place = if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) };
        let ids = match group {
            [one] => one.id.0.clone(),
            [one, .., last] => format!("{} to {}", one.id, last.id.0.rsplit('/').next().unwrap_or_default()),
            [] => String::new(),
        };
        let (sign, word) = match first.effect {
            Effect::Read => ("·", style.dim("read")),
            Effect::Write => ("+", style.good("write")),
            Effect::Destroy => ("-", style.bad("destroy")),
        };
        let text = format!("{sign} {}{place}", deed(first));
        out.push_str(&hanging(&text, self.width, "   ", "     "));
        let mut facts = format!("{word} {}", style.dim(&ids));
        let loss = group.iter().fold(Loss::default(), |sum, operation| sum.plus(operation.loss));
        if !loss.is_nothing() {
            let _ = write!(facts, "  {}", style.bad(&format!("takes {}", loss_words(loss))));
        }
        if let Some(rows) = first.estimate_rows {
            let size = first.estimate_bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default();
            let _ = write!(facts, "  {}", style.dim(&format!("about {} rows{size}", number(rows))));
        }
        line(out, &format!("     {facts}"));
        if self.summary {
            return;
        }
        for statement in &first.statements {
            let text = wrap(&statement.text, self.width, "       ");
            out.push_str(&text);
            for (name, value) in &statement.settings {
                line(out, &style.dim(&format!("       with setting {name} = {value}")));
            }
        }
        self.told(group, "before", |operation| &operation.before, out);
        self.told(group, "after", |operation| &operation.after, out);
        self.told(group, "check", |operation| &operation.check, out);
    }

    /// A text of all members where it is the same for all, else each host's own.
    fn told<'o>(
        &self,
        group: &[&'o Operation],
        label: &str,
        text: impl Fn(&'o Operation) -> &'o str,
        out: &mut String,
    ) {
        let first = text(group[0]);
        if group.iter().all(|operation| text(operation) == first) {
            if !first.is_empty() {
                out.push_str(&hanging(&format!("{label}: {first}"), self.width, "     ", "       "));
            }
            return;
        }
        for operation in group {
            let host = operation.host.as_ref().map_or("-", |host| host.as_str());
            out.push_str(&hanging(&format!("{label} on {host}: {}", text(operation)), self.width, "     ", "       "));
        }
    }

    fn notes(&self, plan: &Plan, out: &mut String) {
        if plan.notes.is_empty() {
            return;
        }
        line(out, &self.style.heading("Worth knowing"));
        for note in &plan.notes {
            out.push_str(&hanging(&format!("- {note}"), self.width, "  ", "    "));
        }
        out.push('\n');
    }

    fn end(&self, plan: &Plan, out: &mut String) {
        let by = |effect: Effect| plan.operations.iter().filter(|operation| operation.effect == effect).count() as u64;
        line(
            out,
            &format!(
                "{}: {} destroy, {} write, {} read. It rests on {} that must still hold at apply.",
                count(plan.operations.len() as u64, "operation"),
                number(by(Effect::Destroy)),
                number(by(Effect::Write)),
                number(by(Effect::Read)),
                count(plan.facts.len() as u64, "fact"),
            ),
        );
        line(out, &format!("Digest {}", self.style.heading(plan.digest.get(..CONSENT_LENGTH).unwrap_or_default())));
    }
}

/// `26 tables, 4 000 000 rows, 210.3 MiB`.
#[must_use]
pub fn loss_words(loss: Loss) -> String {
    let mut words = Vec::new();
    if loss.tables > 0 || loss.rows > 0 || loss.bytes > 0 || loss.keeper_nodes == 0 {
        words.push(count(loss.tables, "table"));
        words.push(count(loss.rows, "row"));
        words.push(bytes(loss.bytes));
    }
    if loss.keeper_nodes > 0 {
        words.push(count(loss.keeper_nodes, "Keeper node"));
    }
    words.join(", ")
}

/// What is done, without saying a word twice: `create table default.runs`.
#[must_use]
pub fn deed(operation: &Operation) -> String {
    let kind = operation.kind.replace('_', " ");
    let mut object = operation.object.as_str();
    for word in ["materialized view ", "table ", "database ", "view ", "dictionary "] {
        if kind.ends_with(word.trim_end()) {
            object = object.strip_prefix(word).unwrap_or(object);
        }
    }
    format!("{kind} {object}")
}

/// Neighbours of one kind, object and statement, in the order of their first member.
fn groups<'a>(operations: &[&'a Operation]) -> Vec<Vec<&'a Operation>> {
    let mut groups: Vec<Vec<&Operation>> = Vec::new();
    for operation in operations {
        let same = groups.iter_mut().find(|group| {
            let first = group[0];
            operation.host.is_some()
                && first.kind == operation.kind
                && first.object == operation.object
                && first.statements == operation.statements
                && first.effect == operation.effect
        });
        match same {
            Some(group) => group.push(operation),
            None => groups.push(vec![operation]),
        }
    }
    groups
}

/// Wraps with another indent from the second line on.
fn hanging(text: &str, width: usize, first: &str, rest: &str) -> String {
    let wrapped = wrap(text, width, rest);
    wrapped.strip_prefix(rest).map_or_else(|| wrapped.clone(), |tail| format!("{first}{tail}"))
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}
