//! A plan for a pull request: the answers first, each step folded, small enough for a comment.

mod conversions;
mod overview;
pub(super) mod span;
mod steps;

use super::outline::Outline;
use super::text::{count, number};
use crate::plan::plan_file::Plan;
use span::{code, line};

/// Bytes that a page may have. A comment on GitHub may have 65 536 characters.
pub const PAGE_LIMIT: usize = 60_000;

/// How a plan is drawn as markdown.
#[derive(Clone, Debug)]
pub struct PlanMarkdown {
    /// The command that shows the whole plan, told where something is left out.
    pub command: String,
    /// Bytes that the page may have; the largest parts are shortened first.
    pub limit: Option<usize>,
    /// Leave the statements out from the beginning.
    pub summary: bool,
}

/// How much of a part is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Everything.
    Full,
    /// What differs, without statements.
    Differences,
    /// Names by the dozen.
    Brief,
}

impl Detail {
    fn next(self) -> Option<Self> {
        match self {
            Self::Full => Some(Self::Differences),
            Self::Differences => Some(Self::Brief),
            Self::Brief => None,
        }
    }
}

/// A part of the page that can be drawn in less detail.
struct Part<'a> {
    draw: Box<dyn Fn(Detail) -> String + 'a>,
    detail: Detail,
    text: String,
}

impl PlanMarkdown {
    /// The whole plan in a page of limited size.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self { command: command.into(), limit: Some(PAGE_LIMIT), summary: false }
    }

    /// The plan as markdown.
    #[must_use]
    pub fn render(&self, plan: &Plan) -> String {
        let outline = Outline::of(plan);
        let head = overview::head(&outline);
        let foot = foot(&outline);
        let start = if self.summary { Detail::Differences } else { Detail::Full };
        let mut parts: Vec<Part<'_>> = Vec::new();
        // What cannot fit is not drawn first: thousands of tables in full are a hundred times the page.
        let start = |least: usize| {
            if self.limit.is_some_and(|limit| least > limit) { start.max(Detail::Differences) } else { start }
        };
        parts.push(self.part(start(0), |detail| conversions::conversions(plan, detail, &self.command)));
        for (at, step) in outline.steps.iter().enumerate() {
            if at == 0 {
                parts.push(self.part(start(0), |_| "\n### Steps\n\n".to_owned()));
            }
            parts.push(self.part(start(steps::least(step)), |detail| steps::step(step, detail, &self.command)));
        }
        parts.push(self.part(start(0), |detail| notes(plan, detail, &self.command)));
        let least = plan.facts.iter().map(|fact| fact.subject.len() + fact.value.len() + fact.query.len()).sum();
        parts.push(self.part(start(least), |detail| facts(&outline, detail, &self.command)));
        self.shorten(head.len() + foot.len(), &mut parts);
        let rest = foot.len() + parts.iter().map(|part| part.text.len()).sum::<usize>();
        let mut out = self.cut(head, rest);
        out.extend(parts.iter().map(|part| part.text.as_str()));
        out.push_str(&foot);
        out
    }

    fn part<'a>(&self, detail: Detail, draw: impl Fn(Detail) -> String + 'a) -> Part<'a> {
        Part { text: draw(detail), draw: Box::new(draw), detail }
    }

    /// Draws the largest part in less detail until the page fits, or nothing is left to shorten.
    fn shorten(&self, fixed: usize, parts: &mut [Part<'_>]) {
        let Some(limit) = self.limit else { return };
        while fixed + parts.iter().map(|part| part.text.len()).sum::<usize>() > limit {
            let largest =
                parts.iter_mut().filter(|part| part.detail.next().is_some()).max_by_key(|part| part.text.len());
            if let Some((part, detail)) = largest.and_then(|part| part.detail.next().map(|detail| (part, detail))) {
                part.detail = detail;
                part.text = (part.draw)(detail);
                continue;
            }
            // Thousands of names, or hundreds of steps: what is largest is told of by a line.
            let pointer = self.pointer("A part");
            let largest = parts.iter_mut().max_by_key(|part| part.text.len());
            match largest.filter(|part| part.text.len() > pointer.len()) {
                Some(part) => part.text = pointer,
                // Nothing but pointers, hundreds of them: one says as much.
                None => {
                    parts.iter_mut().skip(1).for_each(|part| part.text.clear());
                    return;
                }
            }
        }
    }

    /// What stands in the place of what is left out.
    fn pointer(&self, what: &str) -> String {
        format!("\n*{what} is left out here, for it is too long for this page:* {}\n", code(&self.command))
    }

    /// The head, cut at the end of a line where even it alone does not fit.
    fn cut(&self, mut head: String, rest: usize) -> String {
        let pointer = self.pointer("The rest");
        let Some(room) = self.limit.map(|limit| limit.saturating_sub(rest)).filter(|room| head.len() > *room) else {
            return head;
        };
        let end = head.floor_char_boundary(room.saturating_sub(pointer.len() + 64));
        let end = head.get(..end).and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1);
        head.truncate(end);
        let open = head.matches("<details>").count().saturating_sub(head.matches("</details>").count());
        head + &"\n</details>\n".repeat(open) + &pointer
    }
}

fn notes(plan: &Plan, detail: Detail, command: &str) -> String {
    if plan.notes.is_empty() {
        return String::new();
    }
    let shown = if detail == Detail::Full { plan.notes.len() } else { plan.notes.len().min(20) };
    let mut out = String::new();
    line(&mut out, "\n### Worth knowing\n");
    for note in &plan.notes[..shown] {
        line(&mut out, &format!("- {}", code(note)));
    }
    if shown < plan.notes.len() {
        line(&mut out, &format!("- and {} more: {}", number((plan.notes.len() - shown) as u64), code(command)));
    }
    out
}

fn facts(outline: &Outline<'_>, detail: Detail, command: &str) -> String {
    let facts = &outline.plan.facts;
    let mut out = String::new();
    line(
        &mut out,
        &format!(
            "\n<details><summary>Rests on {} that must still hold at apply</summary>\n",
            count(facts.len() as u64, "fact")
        ),
    );
    line(&mut out, &format!("{}.\n", code(&outline.facts())));
    if detail == Detail::Full && !facts.is_empty() {
        line(&mut out, "| host | fact | value | shown by |\n|---|---|---|---|");
        for fact in facts {
            let cells = [fact.host.as_str(), &fact.subject, &fact.value, &fact.query].map(span::cell);
            line(&mut out, &format!("| {} |", cells.join(" | ")));
        }
    } else if !facts.is_empty() {
        line(&mut out, &format!("Each of them stands in the saved plan: {} `-o plan.json`", code(command)));
    }
    line(&mut out, "\n</details>");
    out
}

fn foot(outline: &Outline<'_>) -> String {
    let plan = outline.plan;
    let mut out = String::new();
    if !outline.late.is_empty() {
        line(&mut out, "\n<details><summary>What stands for what in the statements</summary>\n");
        for late in &outline.late {
            line(&mut out, &format!("- {} is {}", code(&late.token), span::prose(&late.meaning)));
        }
        line(&mut out, "- `<name>` is the name of each object, `<host>` the name of each host");
        line(&mut out, "\n</details>");
    }
    line(
        &mut out,
        &format!(
            "\nDigest {}, made by clickferry {}. Consent is given to this digest.",
            code(&plan.digest),
            plan.tool_version
        ),
    );
    out
}
