//! The steps: state before and after, statements, what differs.

use super::page::{Page, sign};
use crate::plan::operation::Operation;
use crate::report::outline::{
    Family, HOST, Item, Mark, NAME, Outline, StepOutline, Told, UNDONE, fold, folded_lines, is_common, loss_words,
    others, ranges, which,
};
use crate::report::text::{Style, pad};

impl Page {
    /// A step; without statements in a summary.
    pub fn step(&mut self, step: &StepOutline<'_>, summary: bool) {
        let style = self.style;
        let title = format!("{}. {}", step.number, step.step.id);
        self.line(&format!("{}  {}", style.heading(&title), style.dim(&format!("({})", step.step.action))));
        if let Some(text) = &step.step.description {
            self.wrapped(text, "   ", "   ", Style::plain);
        }
        if step.step.point_of_no_return {
            self.line(&style.bad("   no way back after this step"));
        }
        if let Some(why) = step.no_way_back {
            self.wrapped(&format!("no way back: {why}"), "   ", "     ", Style::bad);
        }
        if step.is_undone_on_failure() {
            self.wrapped(UNDONE, "   ", "     ", Style::notice);
        }
        if let Some(question) = &step.step.confirm {
            self.wrapped(&format!("asks before it starts: {question}"), "   ", "     ", Style::notice);
        }
        if let Some(why) = &step.step.skipped {
            self.wrapped(&format!("left out: {why}"), "   ", "     ", Style::dim);
        } else if step.families.is_empty() {
            self.line(&style.dim("   nothing to do"));
        }
        for family in &step.families {
            self.family(family, summary);
        }
        self.gap();
    }

    fn family(&mut self, family: &Family<'_>, summary: bool) {
        let (mark, paint) = sign(family.role);
        let effect = family.first().effect;
        self.with_side(
            mark,
            &format!("{}{}", family.deed(), family.place()),
            &format!("{effect} {}", ranges(family.all())),
            3,
            paint,
        );
        if !family.loss.is_nothing() {
            self.wrapped(&format!("takes {}", loss_words(family.loss)), "     ", "     ", Style::bad);
        }
        if let Some(size) = family.size_words() {
            self.wrapped(&size, "     ", "     ", Style::dim);
        }
        if summary {
            self.names(family, "     ");
        }
        for (label, told) in [("before", &family.before), ("after", &family.after), ("check", &family.check)] {
            // The overview above a summary tells the checks already.
            let is_told_here = if summary { label != "check" } else { is_common(told, family.items.len()) };
            if is_told_here && !told.is_empty() {
                self.told(family, label, told, "     ");
            }
        }
        if summary {
            self.changes(family);
            return;
        }
        for item in &family.items {
            self.item(family, item);
        }
    }

    /// What differs from the source's definitions, each kind once.
    fn changes(&mut self, family: &Family<'_>) {
        let changes = family.changes();
        for (changes, items) in changes.iter().filter(|(changes, _)| !changes.is_empty()).take(6) {
            let of = which(family, items);
            self.wrapped(&format!("differs from the source{of}"), "     ", "     ", Style::dim);
            for change in changes {
                for line in change.before.lines() {
                    self.wrapped(line, "     - ", "       ", Style::bad);
                }
                for line in change.after.lines() {
                    self.wrapped(line, "     + ", "       ", Style::good);
                }
            }
        }
        let more = changes.iter().filter(|(changes, _)| !changes.is_empty()).count().saturating_sub(6);
        if more > 0 {
            self.line(&self.style.dim(&format!("     {} that differ in another way", others(more))));
        }
    }

    fn item(&mut self, family: &Family<'_>, item: &Item<'_>) {
        let first = item.first();
        if family.items.len() > 1 {
            self.with_side("", item.object(), &ranges(item.operations.iter().copied()), 5, |style, text| {
                style.heading(text)
            });
            for (label, told, text) in [
                ("before", &family.before, (|operation| &operation.before) as fn(&Operation) -> &str),
                ("after", &family.after, |operation| &operation.after),
                ("check", &family.check, |operation| &operation.check),
            ] {
                self.own(family, item, (label, told), text);
            }
        }
        if let Some(diff) = &first.diff {
            let words = if diff.changes.is_empty() { "the same as" } else { "differs in the marked lines from" };
            self.wrapped(&format!("{words} {}", diff.against), "       ", "       ", Style::dim);
        }
        let (statements, more) = fold(item.statements());
        for sent in &statements {
            if let Some(words) = &sent.sending {
                self.wrapped(&format!("{words}:"), "       ", "       ", Style::dim);
            }
            self.statement(&folded_lines(sent.operation, sent.at), statements.len() > 1);
            for (name, value) in &sent.statement.settings {
                self.line(&self.style.dim(&format!("         with setting {name} = {value}")));
            }
        }
        if let Some(more) = more {
            self.wrapped(&more, "       ", "       ", Style::dim);
        }
    }

    /// Texts that differ from item to item stand with their item.
    fn own(
        &mut self,
        family: &Family<'_>,
        item: &Item<'_>,
        (label, told): (&str, &[Told]),
        text: fn(&Operation) -> &str,
    ) {
        if is_common(told, family.items.len()) {
            return;
        }
        let first = text(item.first());
        if item.operations.iter().all(|operation| text(operation) == first) {
            self.wrapped(first, &format!("       {}", pad(label, 8)), "               ", Style::plain);
            return;
        }
        for operation in &item.operations {
            let host = operation.host.as_ref().map_or("-", |host| host.as_str());
            let words = format!("on {host}: {}", text(operation));
            self.wrapped(&words, &format!("       {}", pad(label, 8)), "               ", Style::plain);
        }
    }

    /// The columns of a definition stand in one paragraph: that they are the source's is told by the marks. Of several
    /// statements each begins further to the left than its other lines.
    fn statement(&mut self, lines: &[(Mark, String)], several: bool) {
        let mut at = 0;
        while let Some((mark, line)) = lines.get(at) {
            let mut text = line.trim().to_owned();
            let indent = if line.starts_with("  ") || (several && at > 0) { "  " } else { "" };
            while *mark == Mark::Same
                && line.starts_with("  ")
                && lines.get(at + 1).is_some_and(|(next, more)| *next == Mark::Same && more.starts_with("  "))
            {
                at += 1;
                text.push(' ');
                text.push_str(lines[at].1.trim());
            }
            let (sign, paint): (_, fn(Style, &str) -> String) = match mark {
                Mark::Same => ("  ", Style::plain),
                Mark::Before => ("- ", Style::bad),
                Mark::After => ("+ ", Style::good),
                Mark::Folded => ("  ", Style::dim),
            };
            let first = format!("       {}{indent}", paint(self.style, sign));
            let rest = if several { "  " } else { indent };
            self.wrapped(&text, &first, &format!("         {rest}"), paint);
            at += 1;
        }
    }

    /// What stands for values of the run, and for names.
    pub fn legend(&mut self, outline: &Outline<'_>) {
        let texts = || {
            outline
                .steps
                .iter()
                .flat_map(|step| &step.families)
                .flat_map(|family| family.before.iter().chain(&family.after).chain(&family.check))
        };
        let has_names = texts().any(|told| told.text.contains(NAME))
            || outline.steps.iter().flat_map(|step| &step.families).any(|family| family.items.len() > 1);
        let has_hosts = texts().any(|told| told.text.contains(HOST));
        if outline.late.is_empty() && !has_names && !has_hosts {
            return;
        }
        let heading = self.style.heading("WHAT STANDS FOR WHAT");
        self.line(&heading);
        for late in &outline.late {
            self.wrapped(&format!("{} is {}", late.token, late.meaning), "  ", "    ", Style::plain);
        }
        for (has, sign, words) in
            [(has_names, NAME, "the name of each object"), (has_hosts, HOST, "the name of each host")]
        {
            if has {
                self.line(&format!("  {sign} is {words}"));
            }
        }
        self.gap();
    }
}
