//! The answers first: what is destroyed, what is created, what data moves, how it is checked.

use super::page::{Page, sign};
use crate::plan::operation::{Loss, Operation};
use crate::report::outline::{A_DOZEN, Family, Item, Outline, Role, a_dozen, becomes, loss_words, ranges, told_words};
use crate::report::text::{Style, bytes, count, number, pad};

/// Columns of a number.
const NUMBER: usize = 13;

impl Page {
    /// What is destroyed: every object, host by host, and the sum against the limit.
    pub fn destroyed(&mut self, outline: &Outline<'_>) {
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
        let total = self.style.bad(&loss_words(loss));
        self.line(&format!("{heading}  {total}"));
        let room = self.width.saturating_sub(3 * NUMBER).max(20);
        let head: String = ["tables", "rows", "bytes"].map(|word| left_pad(word, NUMBER)).concat();
        self.line(&self.style.dim(&format!("{}{head}", pad("", room))));
        for family in families {
            for item in family.items.iter().take(A_DOZEN) {
                self.destroyed_item(item, room);
            }
            if family.items.len() > A_DOZEN {
                let rest = &family.items[A_DOZEN..];
                let sum = rest.iter().fold(Loss::default(), |sum, item| sum.plus(item.loss()));
                self.amounts(&format!("  - and {} more of the kind", rest.len()), sum, room);
            }
        }
        self.amounts("  total, every replica's copy counted", loss, room);
        let limit = &plan.guards.loss;
        let most = limit.bytes.map_or_else(|| "no limit".to_owned(), bytes);
        let cells = [number(limit.tables), number(limit.rows), most].map(|cell| left_pad(&cell, NUMBER)).concat();
        self.line(&format!("{}{cells}", pad("  the runbook allows at most", room)));
        if outline.is_within_limit() {
            let text = self.style.good("  within what the runbook allows");
            self.line(&text);
        } else {
            let text = self.style.bad("  BEYOND what the runbook allows: apply refuses this plan");
            self.line(&text);
        }
        self.gap();
    }

    fn destroyed_item(&mut self, item: &Item<'_>, room: usize) {
        let object = &item.first().object;
        self.with_side("- ", object, &ranges(item.operations.iter().copied()), 2, Style::bad);
        for operation in &item.operations {
            let place =
                operation.host.as_ref().map_or_else(|| format!("in {}", operation.lane), |host| format!("on {host}"));
            self.amounts(&format!("      {place}"), operation.loss, room);
            self.holdings(operation);
        }
    }

    fn holdings(&mut self, operation: &Operation) {
        let found = Family::holdings(operation);
        if found.is_empty() {
            return;
        }
        let words: Vec<String> = found
            .iter()
            .map(|table| {
                table
                    .rows
                    .map_or_else(|| table.name.to_owned(), |rows| format!("{} ({})", table.name, count(rows, "row")))
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.wrapped(&format!("holds {}", a_dozen(&words)), "        ", "        ", Style::dim);
    }

    fn amounts(&mut self, text: &str, loss: Loss, room: usize) {
        let cells = if loss.is_nothing() {
            left_pad("nothing that holds rows", 3 * NUMBER)
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
        for (role, heading) in
            [(Role::Creates, "CREATED"), (Role::Moves, "DATA THAT MOVES"), (Role::Changes, "CHANGED OTHERWISE")]
        {
            let families: Vec<&Family<'_>> = outline.families(role).collect();
            if families.is_empty() {
                continue;
            }
            let heading = self.style.heading(heading);
            self.line(&heading);
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

    /// What is proved, when and how.
    pub fn checked(&mut self, outline: &Outline<'_>) {
        let heading = self.style.heading("HOW IT IS CHECKED");
        self.line(&heading);
        for step in &outline.steps {
            for family in &step.families {
                let (sign, paint) = sign(family.role);
                let when = if family.role == Role::Checks {
                    family.first().id.0.clone()
                } else {
                    format!("after {}", step.step.id)
                };
                let side = if family.role == Role::Checks { ranges(family.all()) } else { when };
                let text = format!(
                    "{}{}",
                    family.deed(),
                    if family.role == Role::Checks { family.place() } else { String::new() }
                );
                self.with_side(sign, &text, &side, 2, paint);
                if family.role == Role::Checks {
                    for told in family.after.iter().take(3) {
                        self.wrapped(&told_words(family, told), "    must be: ", "      ", Style::plain);
                    }
                }
                for told in family.check.iter().take(3) {
                    self.wrapped(&told_words(family, told), "    ", "    ", Style::plain);
                }
            }
        }
        self.gap();
    }
}

fn left_pad(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text.chars().count())))
}
