//! The answers first.

use super::span::{cell, code, line, prose};
use crate::plan::operation::{Loss, Operation};
use crate::report::outline::{
    A_DOZEN, Family, Outline, Role, a_dozen, becomes, limit_words, loss_words, others, ranges, told_words,
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
            "{} ({} destroy, {} write, {} read), digest {}\n",
            count(totals.operations, "operation"),
            number(totals.destroy),
            number(totals.write),
            number(totals.read),
            code(plan.digest.get(..12).unwrap_or_default()),
        ),
    );
    hosts(outline, &mut out);
    destroyed(outline, &mut out);
    for (role, heading) in
        [(Role::Creates, "Created"), (Role::Moves, "Data that moves"), (Role::Changes, "Changed otherwise")]
    {
        made(outline, role, heading, &mut out);
    }
    checked(outline, &mut out);
    line(&mut out, "\n### Steps\n");
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
    line(out, &format!("\n### 🔴 Destroyed: {}\n", loss_words(loss)));
    line(out, "| object | where | tables | rows | bytes | Keeper nodes | operation |\n|---|---|--:|--:|--:|--:|---|");
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
    for operation in
        families.iter().flat_map(|family| family.items.iter().take(A_DOZEN)).flat_map(|item| &item.operations)
    {
        held(operation, out);
    }
}

fn row(operation: &Operation, out: &mut String) {
    let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
    let cells = [cell(&operation.object), cell(place), amounts(operation.loss), cell(operation.id.as_str())];
    line(out, &format!("| {} |", cells.join(" | ")));
}

fn amounts(loss: Loss) -> String {
    [number(loss.tables), number(loss.rows), bytes(loss.bytes), number(loss.keeper_nodes)].join(" | ")
}

fn held(operation: &Operation, out: &mut String) {
    let found = Family::holdings(operation);
    if found.is_empty() {
        return;
    }
    let words: Vec<String> = found
        .iter()
        .map(|table| {
            table.rows.map_or_else(|| table.name.to_owned(), |rows| format!("{} ({})", table.name, count(rows, "row")))
        })
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
    line(out, &format!("- {} on {} holds {}", code(&operation.object), code(place), code(&a_dozen(&words))));
}

fn made(outline: &Outline<'_>, role: Role, heading: &str, out: &mut String) {
    let families: Vec<&Family<'_>> = outline.families(role).collect();
    if families.is_empty() {
        return;
    }
    line(out, &format!("\n### {heading}\n"));
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
    line(out, "\n### How it is checked\n\n| what | must be | proved by |\n|---|---|---|");
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
            line(out, &format!("| {} | {} | {} |", cell(&what), join(&family.after), join(&family.check)));
        }
    }
}
