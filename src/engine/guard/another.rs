//! A plan that is another one than the saved plan although no fact moved: what differs, part by part.

use serde_json::Value;

use crate::diag::Refusal;
use crate::plan::plan_file::Plan;

/// So many differences of a part are shown.
const SHOWN: usize = 5;
/// So many characters of a value are shown.
const LENGTH: usize = 200;

/// Everything in which two plans differ, one refusal per part.
pub(super) fn differences(saved: &Plan, now: &Plan) -> Vec<Refusal> {
    // Plain data with text keys always becomes JSON.
    let json = |plan: &Plan| serde_json::to_value(plan.binding()).unwrap_or_default();
    let (before, after) = (json(saved), json(now));
    let empty = serde_json::Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut keys: Vec<&String> = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))).collect();
    // Sums follow from the operations.
    keys.retain(|key| *key != "totals");
    keys.into_iter()
        .filter_map(|key| {
            let mut found = Vec::new();
            compare("", before.get(key), after.get(key), &mut found);
            (!found.is_empty()).then(|| refusal(key, &found))
        })
        .collect()
}

/// What a difference is about, what was planned, and what is now.
type Difference = (String, String, String);

fn compare(place: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            let more = two.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(more) {
                compare(&below(place, key), one.get(key), two.get(key), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for at in 0..one.len().max(two.len()) {
                let name = name(one.get(at).or(two.get(at)), at);
                compare(&below(place, &name), one.get(at), two.get(at), found);
            }
        }
        _ => found.push((place.to_owned(), words(before), words(after))),
    }
}

fn below(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}, {name}") }
}

/// An entry of a list goes by its own name where it has one.
fn name(entry: Option<&Value>, at: usize) -> String {
    let named = ["id", "name"].iter().find_map(|key| entry?.get(key)?.as_str()).filter(|name| !name.is_empty());
    named.map_or_else(|| (at + 1).to_string(), str::to_owned)
}

fn words(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "nothing".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn refusal(part: &str, found: &[Difference]) -> Refusal {
    let (what, evidence) = match part {
        "tool_version" => ("the version of clickferry", "clickferry --version"),
        "environment" | "protected" => ("the environment", "metadata of the environment file"),
        "hosts" => ("the hosts as the environment names them", "targets of the environment file"),
        "parameters" => ("the parameters", "clickferry plan RUNBOOK -e ENVIRONMENT"),
        "operations" => ("the operations", "clickferry plan RUNBOOK -e ENVIRONMENT"),
        "notes" => ("the notes for the reviewer", "clickferry plan RUNBOOK -e ENVIRONMENT"),
        other => (other, "clickferry plan RUNBOOK -e ENVIRONMENT"),
    };
    let side = |value: fn(&Difference) -> &String| {
        let mut lines: Vec<String> = found
            .iter()
            .take(SHOWN)
            .map(|difference| match difference.0.as_str() {
                "" => value(difference).clone(),
                place => format!("{place}: {}", value(difference)),
            })
            .collect();
        if found.len() > SHOWN {
            lines.push(format!("and {} more", found.len() - SHOWN));
        }
        lines.join("\n")
    };
    Refusal {
        what: format!("the plan made now is another one than the saved plan: {what}"),
        expected: side(|difference| &difference.1),
        found: side(|difference| &difference.2),
        evidence: evidence.to_owned(),
        action: "nothing was changed; plan again and give consent to the new plan".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::guard::tests::{operation, plan};
    use crate::plan::operation::{Effect, Loss};
    use crate::plan::statement::Statement;

    fn told(change: impl FnOnce(&mut Plan)) -> Vec<String> {
        let drop = operation("drop", "r1", Effect::Destroy, Some(10))
            .statement(Statement::exact("DROP DATABASE a".to_owned()))
            .loses(Loss { tables: 1, rows: 5, bytes: 50, keeper_nodes: 0 });
        let saved = plan(vec![drop]);
        let mut now = saved.clone();
        change(&mut now);
        differences(&saved, &now.sealed())
            .into_iter()
            .map(|refusal| format!("{} | {} | {}", refusal.what, refusal.expected, refusal.found))
            .collect()
    }

    #[test]
    fn each_part_that_differs_is_named_with_both_sides() {
        let start = "the plan made now is another one than the saved plan";
        assert_eq!(
            told(|now| {
                now.tool_version = "9".to_owned();
                now.operations[0].statements[0].text = "DROP DATABASE b".into();
                now.operations[0].loss.rows = 6;
                now.notes.push("a note".to_owned());
            }),
            [
                format!("{start}: the version of clickferry | 0 | 9"),
                format!(
                    "{start}: the operations | 1, loss, rows: 5\n1, statements, 1, text: DROP DATABASE a | 1, loss, rows: 6\n1, statements, 1, text: DROP DATABASE b"
                ),
                format!("{start}: the notes for the reviewer | 1: nothing | 1: a note"),
            ]
        );
    }

    #[test]
    fn what_may_move_is_no_difference() {
        let found = told(|now| {
            now.operations[0].estimate_bytes = Some(20);
            now.operations[0].loss.bytes = 60;
            now.runbook_file = "other.yaml".to_owned();
        });
        assert!(found.is_empty(), "{found:?}");
    }
}
