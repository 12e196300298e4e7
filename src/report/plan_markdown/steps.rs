//! The steps, each folded.

use super::Detail;
use super::span::{code, escape, fence, line, prose};
use crate::plan::text_diff::TextChange;
use crate::report::outline::{
    Family, Item, Mark, Role, Sent, StepOutline, Told, UNDONE, a_dozen, fold, folded_lines, is_common, loss_words,
    others, ranges, told_words, which,
};
use crate::report::text::{count, number};

/// Texts of a label before `and 12 others`.
const MOST_TEXTS: usize = 12;

/// One step.
pub fn step(step: &StepOutline<'_>, detail: Detail, command: &str) -> String {
    let mut out = String::new();
    let loss = step.loss();
    let takes = if loss.is_nothing() { String::new() } else { format!(" 🔴 destroys {}", loss_words(loss)) };
    line(
        &mut out,
        &format!(
            "<details><summary><b>{}. {}</b> ({}), {}{takes}</summary>\n",
            step.number,
            escape(step.step.id.as_str()),
            escape(&step.step.action),
            count(step.operations() as u64, "operation")
        ),
    );
    if let Some(text) = &step.step.description {
        line(&mut out, &format!("{}\n", prose(text)));
    }
    if step.step.point_of_no_return {
        line(&mut out, "**No way back after this step.**\n");
    }
    if let Some(why) = step.no_way_back {
        line(&mut out, &format!("**No way back**: {}\n", prose(why)));
    }
    if step.is_undone_on_failure() {
        line(&mut out, &format!("{}\n", prose(UNDONE)));
    }
    if let Some(question) = &step.step.confirm {
        line(&mut out, &format!("Asks before it starts: {}\n", code(question)));
    }
    if let Some(why) = &step.step.skipped {
        line(&mut out, &format!("Left out: {}\n", code(why)));
    }
    let statements: usize = step.families.iter().map(|family| family.items.len()).sum();
    if detail > Detail::Full && statements > 0 {
        line(
            &mut out,
            &format!(
                "The statements of {} are left out here to keep the page small. They stand in: {}\n",
                count(statements as u64, "object"),
                code(command)
            ),
        );
    }
    for family in &step.families {
        draw(family, detail, &mut out);
    }
    line(&mut out, "</details>\n");
    out
}

/// Bytes that a step has at least in full: names and ids.
pub fn least(step: &StepOutline<'_>) -> usize {
    let items = step.families.iter().flat_map(|family| &family.items);
    let ids = |item: &Item<'_>| item.operations.iter().map(|operation| operation.id.as_str().len()).sum::<usize>();
    items.map(|item| item.object().len() + ids(item)).sum()
}

fn draw(family: &Family<'_>, detail: Detail, out: &mut String) {
    let mark = if family.role == Role::Destroys { "🔴 " } else { "" };
    let effect = family.first().effect;
    line(
        out,
        &format!(
            "**{mark}{effect}** {} ({})\n",
            code(&format!("{}{}", family.deed(), family.place())),
            code(&ranges(family.all()))
        ),
    );
    if !family.loss.is_nothing() {
        line(out, &format!("- takes {}", loss_words(family.loss)));
    }
    if let Some(size) = family.size_words() {
        line(out, &format!("- {size}"));
    }
    if detail > Detail::Full && family.items.len() > 1 {
        let labels = family.labels(0..family.items.len());
        let words = if detail == Detail::Brief { a_dozen(&labels) } else { labels.join(", ") };
        line(out, &format!("- {}", code(&words)));
    }
    for (label, told) in [("before", &family.before), ("after", &family.after), ("check", &family.check)] {
        if is_common(told, family.items.len()) || detail > Detail::Full {
            texts(family, label, told, detail, out);
        }
    }
    out.push('\n');
    if detail == Detail::Full {
        for item in &family.items {
            full(family, item, out);
        }
    } else {
        differences(family, detail, out);
    }
}

fn texts(family: &Family<'_>, label: &str, told: &[Told], detail: Detail, out: &mut String) {
    let most = if detail == Detail::Brief { 3 } else { MOST_TEXTS };
    for one in told.iter().take(most) {
        line(out, &format!("- {label}: {}", code(&told_words(family, one))));
    }
    if told.len() > most {
        line(out, &format!("- {label}: {}", others(told.len() - most)));
    }
}

/// What differs from the source's definitions, each kind once.
fn differences(family: &Family<'_>, detail: Detail, out: &mut String) {
    let most = if detail == Detail::Brief { 3 } else { MOST_TEXTS };
    let changes: Vec<(Vec<TextChange>, Vec<usize>)> =
        family.changes().into_iter().filter(|(changes, _)| !changes.is_empty()).collect();
    for (changes, items) in changes.iter().take(most) {
        line(out, &format!("Differs from the source{}:\n", code_of(&which(family, items))));
        let mut lines = String::new();
        for change in changes {
            for before in change.before.lines() {
                line(&mut lines, &format!("- {before}"));
            }
            for after in change.after.lines() {
                line(&mut lines, &format!("+ {after}"));
            }
        }
        line(out, &fence("diff", &lines));
    }
    if changes.len() > most {
        line(out, &format!("and {} other differences\n", number((changes.len() - most) as u64)));
    }
}

fn code_of(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" {}", code(text.trim())) }
}

/// An object with its statements.
fn full(family: &Family<'_>, item: &Item<'_>, out: &mut String) {
    let first = item.first();
    let ids: Vec<String> = item
        .operations
        .iter()
        .map(|operation| match &operation.host {
            Some(host) => format!("{} on {}", code(operation.id.as_str()), code(host.as_str())),
            None => code(operation.id.as_str()),
        })
        .collect();
    line(out, &format!("{}: {}\n", code(item.object()), ids.join(", ")));
    for (label, told, text) in [
        ("before", &family.before, (|operation| &operation.before) as fn(&crate::plan::operation::Operation) -> &str),
        ("after", &family.after, |operation| &operation.after),
        ("check", &family.check, |operation| &operation.check),
    ] {
        if is_common(told, family.items.len()) {
            continue;
        }
        for operation in &item.operations {
            let host = operation.host.as_ref().map(|host| format!(" on {}", code(host.as_str()))).unwrap_or_default();
            line(out, &format!("- {label}{host}: {}", code(text(operation))));
        }
        out.push('\n');
    }
    if let Some(diff) = &first.diff {
        let words = if diff.changes.is_empty() { "The same as" } else { "Differs in the marked lines from" };
        line(out, &format!("{words} {}:\n", code(&diff.against)));
    }
    let (statements, more) = fold(item.statements());
    for Sent { operation, at, statement, sending } in &statements {
        if let Some(words) = sending {
            line(out, &format!("{}:\n", prose(words)));
        }
        let marked = folded_lines(operation, *at);
        let has_marks = marked.iter().any(|(mark, _)| !matches!(mark, Mark::Same | Mark::Folded));
        let mut lines = String::new();
        for (mark, text) in marked {
            let sign = match (has_marks, mark) {
                (false, _) => "",
                (_, Mark::Same | Mark::Folded) => "  ",
                (_, Mark::Before) => "- ",
                (_, Mark::After) => "+ ",
            };
            line(&mut lines, &format!("{sign}{text}"));
        }
        line(out, &fence(if has_marks { "diff" } else { "sql" }, &lines));
        for (name, value) in &statement.settings {
            line(out, &format!("with setting {}\n", code(&format!("{name} = {value}"))));
        }
    }
    if let Some(more) = more {
        line(out, &format!("{more}\n"));
    }
}
