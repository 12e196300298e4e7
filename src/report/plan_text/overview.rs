//! The answers first: what is destroyed, what is created, what data moves, how it is checked.

use super::page::{Page, sign};
use crate::plan::operation::Loss;
use crate::report::asked::asked;
use crate::report::outline::{Family, Item, Outline, Role, Told, becomes, deed, destroyed_words, ranges, told_words};
use crate::report::text::{Style, bytes, count, number, pad};

/// Columns of a number.
const NUMBER: usize = 13;

impl Page {
    /// What the signs mean, and what stands at the right.
    pub fn signs(&mut self, outline: &Outline<'_>) {
        let late = if outline.late.is_empty() { "" } else { " ${...} is filled in by the run: see the end." };
        self.wrapped(
            &format!(
                "Signs: - destroys, + creates, > moves data, ~ changes otherwise, ? only reads. At the right stand the \
                 operations, as step/number.{late}"
            ),
            "  ",
            "  ",
            Style::dim,
        );
        self.gap();
    }

    /// What is destroyed, host by host, with so many names of a kind, and the sum against the limit.
    pub fn destroyed(&mut self, outline: &Outline<'_>, most: usize) {
        let plan = outline.plan;
        let loss = plan.totals.loss;
        let families: Vec<&Family<'_>> = outline.families(Role::Destroys).collect();
        if families.is_empty() {
            let text = if plan.totals.write > 0 {
                "Nothing."
            } else {
                "Nothing. This plan changes nothing at all: it only reads."
            };
            let heading = self.style.heading("DESTROYED");
            self.line(&format!("{heading}  {}", self.style.good(text)));
            self.gap();
            return;
        }
        let heading = self.style.heading("DESTROYED");
        let total = self.style.bad(&destroyed_words(loss));
        self.line(&format!("{heading}  {total}"));
        let room = self.width.saturating_sub(3 * NUMBER).max(20);
        let head: String = ["tables", "rows", "bytes"].map(|word| left_pad(word, NUMBER)).concat();
        self.line(&self.style.dim(&format!("{}{head}", pad("", room))));
        for family in families {
            for item in family.items.iter().take(most) {
                self.destroyed_item(item, room, most);
            }
            if family.items.len() > most {
                let rest = &family.items[most..];
                let sum = rest.iter().fold(Loss::default(), |sum, item| sum.plus(item.loss()));
                self.amounts(&format!("  - and {} more of the kind", rest.len()), sum, room);
            }
        }
        if outline.destroys_more_than(most) {
            self.wrapped("names left out here: --format html and json tell all of them", "  ", "  ", Style::dim);
        }
        self.amounts("  total, every replica's copy counted", loss, room);
        let limit = &plan.guards.loss;
        let most = limit.bytes.map_or_else(|| "no limit".to_owned(), bytes);
        let cells =
            [number(limit.tables), number(limit.rows), most].map(|cell| left_pad(&format!(" {cell}"), NUMBER)).concat();
        self.line(&format!("{}{cells}", pad("  the runbook allows at most", room)));
        if let Some(most) = limit.replicas {
            self.line(&format!("{}{}", pad("", room), left_pad(&format!("on {}", count(most, "host")), 3 * NUMBER)));
        }
        if outline.is_within_limit() {
            let text = self.style.good("  within what the runbook allows");
            self.line(&text);
        } else {
            let text = self.style.bad("  BEYOND what the runbook allows: apply refuses this plan");
            self.line(&text);
        }
        self.gap();
    }

    fn destroyed_item(&mut self, item: &Item<'_>, room: usize, most: usize) {
        self.with_side("- ", &deed(item.first()), &ranges(item.operations.iter().copied()), 2, Style::bad);
        // Replicas mostly hold the same: told once then.
        let held = item.held(most);
        let is_same = held.len() > 1 && held.iter().all(|words| *words == held[0]);
        for (operation, held) in item.operations.iter().zip(&held) {
            let place =
                operation.host.as_ref().map_or_else(|| format!("in {}", operation.lane), |host| format!("on {host}"));
            self.amounts(&format!("      {place}"), operation.loss, room);
            if !is_same {
                self.holdings("holds", held);
            }
        }
        if is_same {
            self.holdings("each holds", &held[0]);
        }
    }

    fn holdings(&mut self, verb: &str, words: &str) {
        if !words.is_empty() {
            self.wrapped(&format!("{verb} {words}"), "        ", "        ", Style::plain);
        }
    }

    fn amounts(&mut self, text: &str, loss: Loss, room: usize) {
        let cells = if loss.is_nothing() {
            left_pad("holds nothing", 3 * NUMBER)
        } else if loss.tables == 0 && loss.rows == 0 && loss.bytes == 0 {
            left_pad(&count(loss.keeper_nodes, "Keeper node"), 3 * NUMBER)
        } else {
            [number(loss.tables), number(loss.rows), bytes(loss.bytes)].map(|cell| left_pad(&cell, NUMBER)).concat()
        };
        if text.chars().count() > room {
            self.line(text);
            self.line(&format!("{}{cells}", pad("", room)));
        } else {
            self.line(&format!("{}{cells}", pad(text, room)));
        }
        if loss.keeper_nodes > 0 && (loss.tables > 0 || loss.rows > 0 || loss.bytes > 0) {
            self.line(&format!(
                "{}{}",
                pad("", room),
                left_pad(&format!("and {}", count(loss.keeper_nodes, "Keeper node")), 3 * NUMBER)
            ));
        }
    }

    /// What comes, moves, changes.
    pub fn made(&mut self, outline: &Outline<'_>) {
        for (role, heading, meaning) in [
            (Role::Creates, "CREATED", "objects that were not there, or are there again and empty"),
            (Role::Moves, "DATA THAT MOVES", "rows that are read in one place and written to another"),
            (Role::Changes, "CHANGED OTHERWISE", ""),
        ] {
            let families: Vec<&Family<'_>> = outline.families(role).collect();
            if families.is_empty() {
                continue;
            }
            self.heading(heading, meaning);
            for family in families {
                let (sign, paint) = sign(role);
                self.with_side(sign, &format!("{}{}", family.deed(), family.place()), &ranges(family.all()), 2, paint);
                if let Some(size) = family.size_words() {
                    self.wrapped(&size, "    ", "    ", Style::plain);
                }
                self.names(family, "    ");
                if let Some(words) = becomes(family) {
                    self.wrapped(&words, "    ", "      ", Style::dim);
                }
            }
            self.gap();
        }
    }

    /// What is proved, when and how: step by step.
    pub fn checked(&mut self, outline: &Outline<'_>) {
        self.heading("HOW IT IS CHECKED", "each result is read again; a check that does not hold fails the run");
        for step in outline.steps.iter().filter(|step| !step.families.is_empty()) {
            self.line(&self.style.dim(&format!("  after step {}. {}", step.number, step.step.id)));
            for family in &step.families {
                let words = |told: &[Told]| -> Vec<String> {
                    told.iter().take(3).map(|told| told_words(family, told)).collect()
                };
                // What is only looked at has a result of its own; of all else it stands above.
                let mut checks = words(&family.check);
                if family.role == Role::Checks {
                    checks.splice(0..0, words(&family.after));
                }
                if checks.is_empty() {
                    continue;
                }
                let place = if family.role == Role::Checks { family.place() } else { String::new() };
                let text = format!("{}{place}: {}", family.deed(), checks.join("; "));
                self.wrapped(&text, "    ", "      ", Style::plain);
            }
        }
        self.gap();
    }

    /// What people have to do.
    pub fn asked(&mut self, outline: &Outline<'_>) {
        self.heading("ASKED OF YOU", "");
        for (at, line) in asked(outline.plan).iter().enumerate() {
            self.wrapped(line, &format!("  {}. ", at + 1), "     ", Style::plain);
        }
        self.gap();
    }

    /// A heading, and behind it or below what it means.
    fn heading(&mut self, heading: &str, meaning: &str) {
        let bold = self.style.heading(heading);
        if meaning.is_empty() {
            self.line(&bold);
        } else if heading.chars().count() + 2 + meaning.chars().count() <= self.width {
            self.line(&format!("{bold}  {}", self.style.dim(meaning)));
        } else {
            self.line(&bold);
            self.wrapped(meaning, "  ", "  ", Style::dim);
        }
    }
}

fn left_pad(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}
