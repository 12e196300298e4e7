//! The steps: state before and after, then every object with its statements, folded.

use super::element::{badge, code, escape};
use crate::plan::operation::Operation;
use crate::report::outline::{
    Family, Item, Mark, Sent, StepOutline, Told, UNDONE, is_common, loss_words, marked_lines, others, ranges,
    told_words, which,
};
use crate::report::text::count;

/// One step.
pub fn step(step: &StepOutline<'_>, out: &mut String) {
    let loss = step.loss();
    let takes = if loss.is_nothing() {
        String::new()
    } else {
        format!(" <span class=\"loss\">destroys {}</span>", loss_words(loss))
    };
    out.push_str(&format!(
        "<details class=\"step\" open id=\"{}\">\n<summary><span class=\"title\">{}. {}</span> <span class=\"dim\">{}, {}</span>{takes}</summary>\n",
        escape(step.step.id.as_str()),
        step.number,
        escape(step.step.id.as_str()),
        escape(&step.step.action),
        count(step.operations() as u64, "operation")
    ));
    if let Some(text) = &step.step.description {
        out.push_str(&format!("<p>{}</p>\n", escape(text)));
    }
    if step.step.point_of_no_return {
        out.push_str("<p class=\"loss\">No way back after this step.</p>\n");
    }
    if let Some(why) = step.no_way_back {
        out.push_str(&format!("<p class=\"loss\">No way back: {}</p>\n", escape(why)));
    }
    if step.is_undone_on_failure() {
        out.push_str(&format!("<p>{}</p>\n", escape(UNDONE)));
    }
    if let Some(question) = &step.step.confirm {
        out.push_str(&format!("<p>Asks before it starts: {}</p>\n", escape(question)));
    }
    if let Some(why) = &step.step.skipped {
        out.push_str(&format!("<p class=\"dim\">Left out: {}</p>\n", escape(why)));
    } else if step.families.is_empty() {
        out.push_str("<p class=\"dim\">Nothing to do.</p>\n");
    }
    for family in &step.families {
        draw(family, out);
    }
    out.push_str("</details>\n");
}

fn draw(family: &Family<'_>, out: &mut String) {
    let size = family.size_words().map(|size| format!(" <span class=\"dim\">{size}</span>")).unwrap_or_default();
    out.push_str(&format!(
        "<div class=\"family {0}\">\n<h3>{1} {2}{3}{size} <span class=\"dim ids\">{4}</span></h3>\n",
        family.first().effect,
        badge(family.first().effect),
        escape(&family.deed()),
        escape(&family.place()),
        escape(&ranges(family.all()))
    ));
    if !family.loss.is_nothing() {
        out.push_str(&format!("<p class=\"loss\">takes {}</p>\n", loss_words(family.loss)));
    }
    out.push_str("<dl class=\"states\">\n");
    for (label, told) in [("before", &family.before), ("after", &family.after), ("check", &family.check)] {
        states(family, label, told, out);
    }
    out.push_str("</dl>\n");
    differences(family, out);
    if let [one] = family.items.as_slice() {
        statements(one, out);
    } else {
        out.push_str(&format!(
            "<details class=\"all\"><summary>{} with their statements</summary>\n",
            count(family.items.len() as u64, "object")
        ));
        for item in &family.items {
            draw_item(family, item, out);
        }
        out.push_str("</details>\n");
    }
    out.push_str("</div>\n");
}

fn states(family: &Family<'_>, label: &str, told: &[Told], out: &mut String) {
    if told.is_empty() {
        return;
    }
    out.push_str(&format!("<dt>{label}</dt>"));
    if !is_common(told, family.items.len()) {
        out.push_str("<dd class=\"dim\">each its own, see the objects</dd>\n");
        return;
    }
    for one in told {
        out.push_str(&format!("<dd>{}</dd>\n", escape(&told_words(family, one))));
    }
}

/// What differs from the source's definitions, each kind once.
fn differences(family: &Family<'_>, out: &mut String) {
    if family.items.len() < 2 {
        return;
    }
    let changes: Vec<_> = family.changes().into_iter().filter(|(changes, _)| !changes.is_empty()).collect();
    if changes.is_empty() {
        return;
    }
    out.push_str("<p class=\"dim\">The definitions differ from the source's in:</p>\n<pre>");
    for (changes, items) in changes.iter().take(12) {
        let which = which(family, items);
        if !which.is_empty() {
            out.push_str(&format!("<span class=\"dim\">{}</span>\n", escape(which.trim())));
        }
        for change in changes {
            out.push_str(
                &change.before.lines().map(|line| format!("<del>{}</del>\n", escape(line))).collect::<String>(),
            );
            out.push_str(
                &change.after.lines().map(|line| format!("<ins>{}</ins>\n", escape(line))).collect::<String>(),
            );
        }
    }
    if changes.len() > 12 {
        out.push_str(&format!("{}, see the objects\n", others(changes.len() - 12)));
    }
    out.push_str("</pre>\n");
}

fn draw_item(family: &Family<'_>, item: &Item<'_>, out: &mut String) {
    out.push_str(&format!("<details class=\"item\"><summary>{}</summary>\n", code(item.object())));
    for (label, told, text) in [
        ("before", &family.before, (|operation| &operation.before) as fn(&Operation) -> &str),
        ("after", &family.after, |operation| &operation.after),
        ("check", &family.check, |operation| &operation.check),
    ] {
        if is_common(told, family.items.len()) {
            continue;
        }
        for operation in &item.operations {
            let host = operation.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
            out.push_str(&format!("<p>{label}{}: {}</p>\n", escape(&host), escape(text(operation))));
        }
    }
    statements(item, out);
    out.push_str("</details>\n");
}

/// The statements of an object, where they go, and what differs from the text they were made from.
fn statements(item: &Item<'_>, out: &mut String) {
    let first = item.first();
    let places: Vec<String> = item
        .operations
        .iter()
        .map(|operation| {
            let place =
                operation.host.as_ref().map(|host| format!(" on {}", escape(host.as_str()))).unwrap_or_default();
            format!("{}{place}", code(operation.id.as_str()))
        })
        .collect();
    out.push_str(&format!("<p class=\"dim\">{}", places.join(", ")));
    if let Some(diff) = &first.diff {
        let words = if diff.changes.is_empty() { "the same as" } else { "differs in the marked lines from" };
        out.push_str(&format!("; {words} {}", code(&diff.against)));
    }
    out.push_str("</p>\n");
    for Sent { operation, at, statement, sending } in item.statements() {
        if let Some(words) = sending {
            out.push_str(&format!("<p class=\"dim\">{}:</p>\n", escape(&words)));
        }
        out.push_str("<pre>");
        for (mark, line) in marked_lines(operation, at) {
            let text = escape(&line);
            match mark {
                Mark::Same | Mark::Folded => out.push_str(&text),
                Mark::Before => out.push_str(&format!("<del>{text}</del>")),
                Mark::After => out.push_str(&format!("<ins>{text}</ins>")),
            }
            out.push('\n');
        }
        out.push_str("</pre>\n");
        for (name, value) in &statement.settings {
            out.push_str(&format!("<p class=\"dim\">with setting {}</p>\n", code(&format!("{name} = {value}"))));
        }
    }
}
