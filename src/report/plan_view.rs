//! A plan for people at a terminal: first what is destroyed, created, moved and checked, then every step.

use super::outline::{A_DOZEN, A_HUNDRED, Outline, conversion_groups};
pub use super::outline::{deed, loss_words};
use super::plan_text::Page;
use super::text::{Style, count, number, pad};
use crate::engine::guard::CONSENT_LENGTH;
use crate::plan::plan_file::Plan;

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
        let (outline, converted) = rayon::join(|| Outline::of(plan), || conversion_groups(plan));
        let mut page = Page::new(self.width, self.style);
        self.head(plan, &mut page);
        page.signs(&outline);
        page.destroyed(&outline, if self.summary { A_DOZEN } else { A_HUNDRED });
        page.made(&outline);
        page.conversions(&converted, self.summary);
        page.checked(&outline);
        page.asked(&outline);
        for step in &outline.steps {
            page.step(step, self.summary);
        }
        page.legend(&outline);
        if !self.summary {
            page.facts(plan);
        }
        self.notes(plan, &mut page);
        self.end(&outline, &mut page);
        page.out
    }

    fn head(&self, plan: &Plan, page: &mut Page) {
        let protected = if plan.protected { " (protected)" } else { "" };
        let title = format!("Plan of {} on {}{protected}", plan.runbook, plan.environment);
        page.line(&self.style.heading(&title));
        if !plan.summary.is_empty() {
            page.wrapped(&plan.summary, "  ", "  ", Style::plain);
        }
        page.wrapped("Nothing has been done yet: this is what an apply would do.", "  ", "  ", Style::dim);
        page.gap();
        let width = plan.hosts.iter().map(|host| host.name.0.chars().count()).max().unwrap_or(0);
        let role_width = plan.hosts.iter().map(|host| host.target.chars().count()).max().unwrap_or(0);
        for host in &plan.hosts {
            let shard = if host.shard == "-" { String::new() } else { format!("  shard {}", host.shard) };
            let text = format!(
                "{}  {}  {}  ClickHouse {}{shard}",
                pad(&host.target, role_width),
                pad(&host.name.0, width),
                host.url,
                host.version
            );
            if text.chars().count() + 2 <= self.width {
                page.line(&format!("  {text}"));
            } else {
                page.wrapped(&text, "  ", "    ", Style::plain);
            }
        }
        for guard in super::guards::lines(plan) {
            page.wrapped(&guard, "  ", "    ", Style::plain);
        }
        if !plan.parameters.is_empty() {
            let values: Vec<String> = plan
                .parameters
                .iter()
                .map(|(name, value)| {
                    format!("{name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                })
                .collect();
            page.wrapped(&format!("Parameters: {}", values.join(", ")), "  ", "    ", Style::plain);
        }
        page.gap();
    }

    fn notes(&self, plan: &Plan, page: &mut Page) {
        if plan.notes.is_empty() {
            return;
        }
        page.line(&self.style.heading("WORTH KNOWING"));
        let shown = if self.summary { 20 } else { plan.notes.len() };
        for note in plan.notes.iter().take(shown) {
            page.wrapped(note, "  - ", "    ", Style::plain);
        }
        if plan.notes.len() > shown {
            page.line(&format!("  and {} more without --summary", plan.notes.len() - shown));
        }
        page.gap();
    }

    fn end(&self, outline: &Outline<'_>, page: &mut Page) {
        let plan = outline.plan;
        let totals = plan.totals;
        let text = format!(
            "{}: {} destroy, {} write, {} read. The plan rests on {}; apply reads them again and refuses where one has moved: {}.",
            count(totals.operations, "operation"),
            number(totals.destroy),
            number(totals.write),
            number(totals.read),
            count(plan.facts.len() as u64, "fact"),
            outline.facts(),
        );
        page.wrapped(&text, "", "", Style::plain);
        let digest = plan.digest.get(..CONSENT_LENGTH).unwrap_or_default();
        page.line(&format!("Digest {}, the name of exactly this plan", self.style.heading(digest)));
    }
}
