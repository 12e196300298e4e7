//! The answers first: what is destroyed, what is created, what data moves, how it is checked.

use super::element::{badge, code, escape, with_code};
use crate::plan::operation::Loss;
use crate::report::asked::asked;
use crate::report::outline::{
    A_DOZEN, Family, Holding, Item, Outline, Role, a_dozen, becomes, deed, destroyed_words, limit_words, others,
    ranges, told_words,
};
use crate::report::text::{bytes, count, number};

/// Everything above the steps.
pub fn head(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    out.push_str(&format!(
        "<header>\n<h1>Plan of {} on {}{}</h1>\n<p>{}</p>\n<p class=\"dim\">Nothing has been done yet. This is what an apply would do: {}, of which {} destroy, {} write and {} read. Digest <code>{}</code></p>\n<nav><a href=\"#destroyed\">Destroyed</a> <a href=\"#checked\">How it is checked</a> <a href=\"#asked\">Asked of you</a> <a href=\"#steps\">Steps with every statement</a> <a href=\"#legend\">What <code>${{...}}</code> stands for</a></nav>\n</header>\n",
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
    out.push_str("<section class=\"card\" id=\"asked\">\n<h2>Asked of you</h2>\n<ol>\n");
    for line in asked(plan) {
        out.push_str(&format!("<li>{}</li>\n", with_code(&line)));
    }
    out.push_str("</ol>\n</section>\n");
    servers(outline, out);
}

fn destroyed(outline: &Outline<'_>, out: &mut String) {
    let plan = outline.plan;
    let families: Vec<&Family<'_>> = outline.families(Role::Destroys).collect();
    if families.is_empty() {
        let text =
            if plan.totals.write > 0 { "Nothing is destroyed." } else { "Nothing is changed: this plan only reads." };
        out.push_str(&format!(
            "<section class=\"card safe\" id=\"destroyed\">\n<h2>Destroyed</h2>\n<p>{text}</p>\n</section>\n"
        ));
        return;
    }
    let loss = plan.totals.loss;
    out.push_str(&format!(
        "<section class=\"card {}\" id=\"destroyed\">\n<h2>Destroyed</h2>\n<p class=\"big\">{}</p>\n",
        if loss.is_nothing() { "" } else { "danger" },
        destroyed_words(loss)
    ));
    let verdict = if outline.is_within_limit() {
        format!("Within what the runbook allows: at most {}.", limit_words(&plan.guards.loss))
    } else {
        format!(
            "<strong>Beyond what the runbook allows, so apply refuses this plan:</strong> at most {}.",
            limit_words(&plan.guards.loss)
        )
    };
    out.push_str(&format!("<p>{verdict}</p>\n<div class=\"wide\"><table class=\"stack\">\n<tr><th>what</th><th>where</th>{}<th>operation</th></tr>\n", amount_names(loss)));
    for family in &families {
        let most = if family.items.len() > 1000 { A_DOZEN } else { family.items.len() };
        for item in family.items.iter().take(most) {
            rows(item, loss, out);
        }
        if family.items.len() > most {
            let rest = &family.items[most..];
            let sum = rest.iter().fold(Loss::default(), |sum, item| sum.plus(item.loss()));
            out.push_str(&format!(
                "<tr><td colspan=\"2\">and {} more, see the step</td>{}<td></td></tr>\n",
                number(rest.len() as u64),
                amounts(sum, loss)
            ));
        }
    }
    out.push_str(&format!("<tr class=\"total\"><td colspan=\"2\">total, every replica's copy counted</td>{}<td></td></tr>\n</table></div>\n</section>\n", amounts(loss, loss)));
}

/// The rows of an object, one per host, and below what it holds; once where all replicas hold the same.
fn rows(item: &Item<'_>, total: Loss, out: &mut String) {
    let held: Vec<Vec<Holding>> = item.operations.iter().map(|operation| Family::holdings(operation)).collect();
    let is_same = held.iter().all(|other| *other == held[0]);
    for (at, operation) in item.operations.iter().enumerate() {
        let place = operation.host.as_ref().map_or(operation.lane.as_str(), |host| host.as_str());
        out.push_str(&format!(
            "<tr><td>{}</td><td data-l=\"where\">{}</td>{}<td data-l=\"operation\">{}</td></tr>\n",
            code(&deed(operation)),
            escape(place),
            amounts(operation.loss, total),
            code(operation.id.as_str())
        ));
        let is_last = at + 1 == item.operations.len();
        if !held[at].is_empty() && (!is_same || is_last) {
            let verb = if is_same && at > 0 { "each holds" } else { "holds" };
            let columns = if total.keeper_nodes > 0 { 7 } else { 6 };
            out.push_str(&format!(
                "<tr class=\"held\"><td colspan=\"{columns}\">{verb} {}</td></tr>\n",
                holds(&held[at])
            ));
        }
    }
}

/// Names of the amounts; Keeper nodes only where any are lost.
fn amount_names(total: Loss) -> String {
    let names = ["tables", "rows", "bytes", "Keeper nodes"];
    let most = if total.keeper_nodes > 0 { 4 } else { 3 };
    names[..most].iter().map(|name| format!("<th class=\"n\">{name}</th>")).collect()
}

fn amounts(loss: Loss, total: Loss) -> String {
    let cells = [
        ("tables", number(loss.tables)),
        ("rows", number(loss.rows)),
        ("bytes", bytes(loss.bytes)),
        ("Keeper nodes", number(loss.keeper_nodes)),
    ];
    let most = if total.keeper_nodes > 0 { 4 } else { 3 };
    cells[..most].iter().map(|(name, cell)| format!("<td class=\"n\" data-l=\"{name}\">{cell}</td>")).collect()
}

fn holds(found: &[Holding]) -> String {
    let with: Vec<String> = found
        .iter()
        .filter_map(|table| Some(format!("{} <span class=\"nw\">({})</span>", code(&table.name), table.words()?)))
        .collect();
    let without: Vec<String> =
        found.iter().filter(|table| table.words().is_none()).map(|table| code(&table.name)).collect();
    let mut words = Vec::new();
    for (label, all) in [("", &with), ("without rows of their own: ", &without)] {
        // One more name is not longer than the words on it.
        let most = if all.len() <= A_DOZEN + 1 { all.len() } else { A_DOZEN };
        if all.is_empty() {
            continue;
        }
        let rest = &all[most..];
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" <details><summary>and {} more</summary>{}</details>", number(rest.len() as u64), rest.join(", "))
        };
        words.push(format!("{label}{}{more}", all[..most].join(", ")));
    }
    words.join("; ")
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
        let size = family.size_words().map(|size| format!(", <span class=\"nw\">{size}</span>")).unwrap_or_default();
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
    out.push_str("<section class=\"card\" id=\"checked\">\n<h2>How it is checked</h2>\n<p class=\"dim\">A server's word is not proof: after each operation its result is read again. A check that does not hold fails the run.</p>\n<div class=\"wide\"><table class=\"stack\">\n<tr><th>after step</th><th>operation</th><th>what must be true afterwards</th><th>how it is proved</th></tr>\n");
    for step in &outline.steps {
        for (at, family) in step.families.iter().enumerate() {
            let name = if at == 0 {
                format!("<a href=\"#{0}\">{0}</a>", escape(step.step.id.as_str()))
            } else {
                String::new()
            };
            let join = |told: &[crate::report::outline::Told]| {
                let mut words: Vec<String> =
                    told.iter().take(3).map(|told| format!("<p>{}</p>", escape(&told_words(family, told)))).collect();
                if told.len() > 3 {
                    words.push(format!("<p class=\"dim\">{}, see the step</p>", others(told.len() - 3)));
                }
                words.concat()
            };
            out.push_str(&format!(
                "<tr><td>{name}</td><td>{} {}{}</td><td data-l=\"must be\">{}</td><td data-l=\"proved by\">{}</td></tr>\n",
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
    out.push_str("<section class=\"card\">\n<h2>Servers</h2>\n<div class=\"wide\"><table class=\"stack\">\n<tr><th>target</th><th>host</th><th>address</th><th>shard</th><th>version</th><th>identity</th></tr>\n");
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
