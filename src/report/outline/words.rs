//! Words for operations, losses and limits.

use crate::model::runbook::LossBudget;
use crate::plan::operation::{Loss, Operation};
use crate::report::text::{bytes, count};

/// What an object may be called at its beginning, the longer words first.
const NOUNS: [&str; 7] =
    ["materialized view", "temporary copy", "Keeper path", "table", "database", "view", "dictionary"];

/// `26 tables, 4 000 000 rows, 210.3 MiB`.
#[must_use]
pub fn loss_words(loss: Loss) -> String {
    let mut words = Vec::new();
    if loss.tables > 0 || loss.rows > 0 || loss.bytes > 0 || loss.keeper_nodes == 0 {
        words.push(count(loss.tables, "table"));
        words.push(count(loss.rows, "row"));
        words.push(bytes(loss.bytes));
    }
    if loss.keeper_nodes > 0 {
        words.push(count(loss.keeper_nodes, "Keeper node"));
    }
    words.join(", ")
}

/// As [`loss_words`]; where nothing is lost with what is dropped, in words.
#[must_use]
pub fn destroyed_words(loss: Loss) -> String {
    if loss.is_nothing() { "only what holds nothing (0 tables, 0 rows, 0 B)".to_owned() } else { loss_words(loss) }
}

/// `10 tables, 5 000 rows, bytes not limited`.
#[must_use]
pub fn limit_words(budget: &LossBudget) -> String {
    let most = budget.bytes.map_or_else(|| "bytes not limited".to_owned(), bytes);
    let hosts = budget.replicas.map(|hosts| format!(", on {}", count(hosts, "host"))).unwrap_or_default();
    format!("{}, {}, {most}{hosts}", count(budget.tables, "table"), count(budget.rows, "row"))
}

/// The word before an object's name, and the name.
#[must_use]
pub fn noun_of(object: &str) -> (&'static str, &str) {
    NOUNS.iter().find_map(|noun| Some((*noun, object.strip_prefix(noun)?.strip_prefix(' ')?))).unwrap_or(("", object))
}

/// What is done, in words.
#[must_use]
pub fn verb(operation: &Operation) -> String {
    match operation.kind.as_str() {
        // The rows of one table, into a passing copy of it.
        "stage" => "fill".to_owned(),
        "backup" => "back up".to_owned(),
        kind => kind.replace('_', " "),
    }
}

/// What is done, without saying a word twice: `create table default.runs`.
#[must_use]
pub fn deed(operation: &Operation) -> String {
    let kind = verb(operation);
    let (noun, name) = noun_of(&operation.object);
    // `verify verify` and `backup backup` would say nothing more.
    let object = if !noun.is_empty() && kind.ends_with(noun) { name } else { &operation.object };
    format!("{kind} {object}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns() {
        assert_eq!(noun_of("materialized view `d`.`v`"), ("materialized view", "`d`.`v`"));
        assert_eq!(noun_of("replication of `d`"), ("", "replication of `d`"));
    }
}
