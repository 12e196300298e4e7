//! The answers first.

use super::span::{cell, code, line, prose, prose_with_code};
use crate::plan::operation::{Loss, Operation};
use crate::report::asked::asked;
use crate::report::outline::{
    A_DOZEN, Family, Item, Outline, Role, a_dozen, becomes, deed, destroyed_words, limit_words, others, ranges,
    told_words,
};
use crate::report::text::{bytes, count, number};

/// Title, hosts, and the four answers.
pub fn head(outline: &Outline<'_>) -> String {
    let plan = outline.plan;
    let mut out = String::new();
    line(
        &mut out,
        &format!(
            "## Plan of {} on {}{}\n",
            code(&plan.runbook),
            code(&plan.environment),
            if plan.protected { " (protected)" } else { "" }
        ),
    );
    if !plan.summary.is_empty() {
        line(&mut out, &format!("{}\n", prose(&plan.summary)));
    }
    let totals = plan.totals;
    line(
        &mut out,
        &format!(
            "Nothing has been done yet: this is what an apply would do. {} ({} destroy, {} write, {} read), digest {}\n",
            count(totals.operations, "operation"),
            number(totals.destroy),
            number(totals.write),
            number(totals.read),
            code(plan.digest.get(..12).unwrap_or_default()),
        ),
    );
    hosts(outline, &mut out);
    destroyed(outline, &mut out);
    for (role, heading, meaning) in [
        (Role::Creates, "Created", "Objects that were not there, or are there again and empty."),
        (Role::Moves, "Data that moves", "Rows that are read in one place and written to another."),
        (Role::Changes, "Changed otherwise", ""),
    ] {
        made(outline, role, (heading, meaning), &mut out);
    }
    checked(outline, &mut out);
    line(&mut out, "\n### Asked of you\n");
    for (at, text) in asked(plan).iter().enumerate() {
        line(&mut out, &format!("{}. {}", at + 1, prose_with_code(text)));
    }
    out
}

fn hosts(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    line(
        out,
        "<details><summary>Servers and parameters</summary>\n\n| target | host | address | shard | version | identity |\n|---|---|---|---|---|---|",
    );
    for host in &plan.hosts {
        let cells =
            [host.target.as_str(), host.name.as_str(), &host.url, &host.shard, &host.version, &host.identity].map(cell);
        line(out, &format!("| {} |", cells.join(" | ")));
    }
    for (name, value) in &plan.parameters {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line(out, &format!("\n{} = {}", code(name), code(&value)));
    }
    for guard in crate::report::guards::lines(plan) {
        line(out, &format!("\n{}", prose(&guard)));
    }
    line(out, "\n</details>");
}

fn destroyed(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    let families: Vec<&Family<'_>> = outline.families(Role::Destroys).collect();
    if families.is_empty() {
        let text = if plan.totals.write > 0 { "Nothing." } else { "Nothing: this plan only reads." };
        line(out, &format!("\n### Destroyed\n\n{text}"));
        return;
    }
    let loss = plan.totals.loss;
    let mark = if loss.is_nothing() { "" } else { "🔴 " };
    line(out, &format!("\n### {mark}Destroyed: {}\n", destroyed_words(loss)));
    line(out, "| what | where | tables | rows | bytes | Keeper nodes | operation |\n|---|---|--:|--:|--:|--:|---|");
    for family in &families {
        for item in family.items.iter().take(A_DOZEN) {
            for operation in &item.operations {
                row(operation, out);
            }
        }
        if family.items.len() > A_DOZEN {
            let rest = &family.items[A_DOZEN..];
            let sum = rest.iter().fold(Loss::default(), |sum, item| sum.plus(item.loss()));
            line(out, &format!("| and {} more | | {} | |", rest.len(), amounts(sum)));
        }
    }
    line(out, &format!("| **total, every replica's copy counted** | | {} | |", amounts(loss)));
    let verdict = if outline.is_within_limit() {
        "Within what the runbook allows"
    } else {
        "**Beyond what the runbook allows, so apply refuses this plan**"
    };
    line(out, &format!("\n{verdict}: at most {}.\n", limit_words(&plan.guards.loss)));
    for item in families.iter().flat_map(|family| family.items.iter().take(A_DOZEN)) {
        held(item, out);
    }
    if outline.destroys_more_than(A_DOZEN) {
        line(out, "\nNames left out here: `--format html` and `json` tell all of them.");
    }
}

fn row(operation: &Operation, out: &mut String) {
    let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
    let cells = [cell(&deed(operation)), cell(place), amounts(operation.loss), cell(operation.id.as_str())];
    line(out, &format!("| {} |", cells.join(" | ")));
}

fn amounts(loss: Loss) -> String {
    [number(loss.tables), number(loss.rows), bytes(loss.bytes), number(loss.keeper_nodes)].join(" | ")
}

/// What an object holds; once where all replicas hold the same.
fn held(item: &Item<'_>, out: &mut String) {
    let held = item.held(A_DOZEN);
    let object = code(&item.first().object);
    if held.len() > 1 && held.iter().all(|words| *words == held[0]) {
        if !held[0].is_empty() {
            line(out, &format!("- {object} holds on each of them {}", code(&held[0])));
        }
        return;
    }
    for (operation, words) in item.operations.iter().zip(&held) {
        if !words.is_empty() {
            let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
            line(out, &format!("- {object} on {} holds {}", code(place), code(words)));
        }
    }
}

fn made(outline: &Outline<'_>, role: Role, (heading, meaning): (&str, &str), out: &mut String) {
    let families: Vec<&Family<'_>> = outline.families(role).collect();
    if families.is_empty() {
        return;
    }
    line(out, &format!("\n### {heading}\n"));
    if !meaning.is_empty() {
        line(out, &format!("{meaning}\n"));
    }
    for family in families {
        let size = family.size_words().map(|size| format!(", {size}")).unwrap_or_default();
        let names = if family.items.len() > 1 {
            let of = family.container().map(|container| format!(" in {}", code(container))).unwrap_or_default();
            format!("{of}: {}", code(&a_dozen(&family.labels(0..family.items.len()))))
        } else {
            String::new()
        };
        let words = becomes(family).map(|words| format!("; {}", code(&words))).unwrap_or_default();
        line(
            out,
            &format!(
                "- {}{size} ({}){names}{words}",
                code(&format!("{}{}", family.deed(), family.place())),
                code(&ranges(family.all()))
            ),
        );
    }
}

fn checked(outline: &Outline<'_>, out: &mut String) {
    line(
        out,
        "\n### How it is checked\n\nEach result is read again. A check that does not hold fails the run.\n\n| after step | what | must be | proved by |\n|---|---|---|---|",
    );
    for step in &outline.steps {
        for family in &step.families {
            let join = |told: &[crate::report::outline::Told]| {
                let mut words: Vec<String> = told.iter().take(3).map(|told| cell(&told_words(family, told))).collect();
                if told.len() > 3 {
                    words.push(format!("{}, see the step", others(told.len() - 3)));
                }
                words.join("<br>")
            };
            let what = format!("{}{}", family.deed(), family.place());
            let id = cell(step.step.id.as_str());
            line(out, &format!("| {id} | {} | {} | {} |", cell(&what), join(&family.after), join(&family.check)));
        }
    }
}
