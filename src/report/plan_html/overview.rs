//! The answers first: what is destroyed, what is created, what data moves, how it is checked.

use super::element::{badge, code, escape};
use crate::plan::operation::{Loss, Operation};
use crate::report::outline::{
    A_DOZEN, Family, Outline, Role, a_dozen, becomes, limit_words, loss_words, others, ranges, told_words,
};
use crate::report::text::{bytes, count, number};

/// Everything above the steps.
pub fn head(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    out.push_str(&format!(
        "<header>\n<h1>Plan of {} on {}{}</h1>\n<p>{}</p>\n<p class=\"dim\">Nothing has been done yet. This is what an apply would do: {}, of which {} destroy, {} write and {} read. Digest <code>{}</code></p>\n</header>\n",
        escape(&plan.runbook),
        escape(&plan.environment),
        if plan.protected { " <span class=\"badge destroy\">protected</span>" } else { "" },
        escape(&plan.summary),
        count(plan.totals.operations, "operation"),
        number(plan.totals.destroy),
        number(plan.totals.write),
        number(plan.totals.read),
        escape(plan.digest.get(..12).unwrap_or_default()),
    ));
    destroyed(outline, out);
    for (role, heading, words) in [
        (Role::Creates, "Created", "Objects that were not there, or are there again and empty."),
        (Role::Moves, "Data that moves", "Rows that are read in one place and written to another."),
        (Role::Changes, "Changed otherwise", ""),
    ] {
        made(outline, role, heading, words, out);
    }
    checked(outline, out);
    servers(outline, out);
}

fn destroyed(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    let families: Vec<&Family<'_>> = outline.families(Role::Destroys).collect();
    if families.is_empty() {
        let text =
            if plan.totals.write > 0 { "Nothing is destroyed." } else { "Nothing is changed: this plan only reads." };
        out.push_str(&format!("<section class=\"card safe\">\n<h2>Destroyed</h2>\n<p>{text}</p>\n</section>\n"));
        return;
    }
    let loss = plan.totals.loss;
    out.push_str(&format!(
        "<section class=\"card danger\">\n<h2>Destroyed</h2>\n<p class=\"big\">{}</p>\n",
        loss_words(loss)
    ));
    let verdict = if outline.is_within_limit() {
        format!("Within what the runbook allows: at most {}.", limit_words(&plan.guards.loss))
    } else {
        format!(
            "<strong>Beyond what the runbook allows, so apply refuses this plan:</strong> at most {}.",
            limit_words(&plan.guards.loss)
        )
    };
    out.push_str(&format!("<p>{verdict}</p>\n<div class=\"wide\"><table>\n<tr><th>object</th><th>where</th><th class=\"n\">tables</th><th class=\"n\">rows</th><th class=\"n\">bytes</th><th class=\"n\">Keeper nodes</th><th>what is in it</th><th>operation</th></tr>\n"));
    for family in &families {
        let most = if family.items.len() > 1000 { A_DOZEN } else { family.items.len() };
        for operation in family.items.iter().take(most).flat_map(|item| &item.operations) {
            row(operation, out);
        }
        if family.items.len() > most {
            let rest = &family.items[most..];
            let sum = rest.iter().fold(Loss::default(), |sum, item| sum.plus(item.loss()));
            out.push_str(&format!(
                "<tr><td colspan=\"2\">and {} more, see the step</td>{}<td></td><td></td></tr>\n",
                number(rest.len() as u64),
                amounts(sum)
            ));
        }
    }
    out.push_str(&format!("<tr class=\"total\"><td colspan=\"2\">total, every replica's copy counted</td>{}<td></td><td></td></tr>\n</table></div>\n</section>\n", amounts(loss)));
}

fn row(operation: &Operation, out: &mut String) {
    let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
    out.push_str(&format!(
        "<tr><td>{}</td><td>{}</td>{}<td>{}</td><td>{}</td></tr>\n",
        code(&operation.object),
        escape(place),
        amounts(operation.loss),
        held(operation),
        code(operation.id.as_str())
    ));
}

fn amounts(loss: Loss) -> String {
    let cells = [number(loss.tables), number(loss.rows), bytes(loss.bytes), number(loss.keeper_nodes)];
    cells.map(|cell| format!("<td class=\"n\">{cell}</td>")).concat()
}

fn held(operation: &Operation) -> String {
    let found = Family::holdings(operation);
    let words: Vec<String> = found
        .iter()
        .map(|table| {
            let rows = table.rows.map(|rows| format!(" ({})", count(rows, "row"))).unwrap_or_default();
            format!("{}{rows}", code(table.name))
        })
        .collect();
    if words.len() <= A_DOZEN {
        return words.join(", ");
    }
    format!(
        "{}<details><summary>and {} more</summary>{}</details>",
        words[..A_DOZEN].join(", "),
        number((words.len() - A_DOZEN) as u64),
        words[A_DOZEN..].join(", ")
    )
}

fn made(outline: &Outline<'_>, role: Role, heading: &str, words: &str, out: &mut String) {
    let families: Vec<&Family<'_>> = outline.families(role).collect();
    if families.is_empty() {
        return;
    }
    out.push_str(&format!("<section class=\"card\">\n<h2>{heading}</h2>\n"));
    if !words.is_empty() {
        out.push_str(&format!("<p class=\"dim\">{words}</p>\n"));
    }
    out.push_str("<ul>\n");
    for family in families {
        let size = family.size_words().map(|size| format!(", {size}")).unwrap_or_default();
        out.push_str(&format!(
            "<li><strong>{}</strong>{}{size} <a class=\"dim\" href=\"#{}\">{}</a>",
            escape(&family.deed()),
            escape(&family.place()),
            escape(family.first().step.as_str()),
            escape(&ranges(family.all()))
        ));
        if family.items.len() > 1 {
            let of = family.container().map(|container| format!("in {container}: ")).unwrap_or_default();
            out.push_str(&format!(
                "<br><span class=\"names\">{}{}</span>",
                escape(&of),
                escape(&a_dozen(&family.labels(0..family.items.len())))
            ));
        }
        if let Some(words) = becomes(family) {
            out.push_str(&format!("<br><span class=\"names dim\">{}</span>", escape(&words)));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n</section>\n");
}

fn checked(outline: &Outline<'_>, out: &mut String) {
    out.push_str("<section class=\"card\">\n<h2>How it is checked</h2>\n<p class=\"dim\">A server's word is not proof: after each operation its result is read again. A check that does not hold fails the run.</p>\n<div class=\"wide\"><table>\n<tr><th>step</th><th>operation</th><th>what must be true afterwards</th><th>how it is proved</th></tr>\n");
    for step in &outline.steps {
        for (at, family) in step.families.iter().enumerate() {
            let name = if at == 0 {
                format!("<a href=\"#{0}\">{0}</a>", escape(step.step.id.as_str()))
            } else {
                String::new()
            };
            let join = |told: &[crate::report::outline::Told]| {
                let mut words: Vec<String> =
                    told.iter().take(3).map(|told| escape(&told_words(family, told))).collect();
                if told.len() > 3 {
                    words.push(format!("<span class=\"dim\">{}, see the step</span>", others(told.len() - 3)));
                }
                words.join("<br>")
            };
            out.push_str(&format!(
                "<tr><td>{name}</td><td>{} {}{}</td><td>{}</td><td>{}</td></tr>\n",
                badge(family.first().effect),
                escape(&family.deed()),
                escape(&family.place()),
                join(&family.after),
                join(&family.check)
            ));
        }
    }
    out.push_str("</table></div>\n</section>\n");
}

fn servers(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    out.push_str("<section class=\"card\">\n<h2>Servers</h2>\n<div class=\"wide\"><table>\n<tr><th>target</th><th>host</th><th>address</th><th>shard</th><th>version</th><th>identity</th></tr>\n");
    for host in &plan.hosts {
        let cells = [host.target.as_str(), host.name.as_str(), &host.url, &host.shard, &host.version, &host.identity];
        out.push_str(&format!("<tr>{}</tr>\n", cells.map(|cell| format!("<td>{}</td>", escape(cell))).concat()));
    }
    out.push_str("</table></div>\n");
    let parameters: Vec<String> = plan
        .parameters
        .iter()
        .map(|(name, value)| {
            code(&format!("{name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        })
        .collect();
    if !parameters.is_empty() {
        out.push_str(&format!("<p>Parameters: {}</p>\n", parameters.join(", ")));
    }
    for guard in crate::report::guards::lines(plan) {
        out.push_str(&format!("<p>{}</p>\n", escape(&guard)));
    }
    out.push_str("</section>\n");
}
