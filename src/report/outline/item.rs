//! One thing that is done, on one host or on several alike.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt};
use rayon::prelude::*;
use serde::Deserialize;

use super::family::Family;
use super::lists::holding_words;
use super::sent::{Sent, is_besides, sent};
use super::words::noun_of;
use crate::model::ids::HostName;
use crate::plan::operation::{Loss, Operation};
use crate::plan::statement::Statement;
use crate::report::text::count;

/// Operations of one kind, object and statement, one per host.
pub struct Item<'p> {
    /// The operations, at least one.
    pub operations: Vec<&'p Operation>,
    /// Last part of the object's name, without quotes; empty where the object has no name of a table.
    pub name: String,
}

/// Something that stands in what is destroyed.
#[derive(Debug, PartialEq, Eq)]
pub struct Holding {
    /// Name of the table; of the view, where the table is the hidden one that holds a view's rows.
    pub name: String,
    /// Its rows; absent where it has none of its own, or nobody can tell.
    pub rows: Option<u64>,
    /// Whether it has some that nobody can tell the number of.
    pub untold: bool,
}

impl Holding {
    /// Its rows in words; `None` where it has none of its own.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match (self.rows, self.untold) {
            (Some(rows), _) => Some(count(rows, "row")),
            (None, true) => Some("rows not told".to_owned()),
            (None, false) => None,
        }
    }
}

impl<'p> Item<'p> {
    /// The first operation; the others differ in host, loss and words only.
    #[must_use]
    pub fn first(&self) -> &'p Operation {
        self.operations[0]
    }

    /// The hosts, in order.
    #[must_use]
    pub fn hosts(&self) -> Vec<&'p str> {
        self.operations.iter().filter_map(|operation| operation.host.as_ref().map(HostName::as_str)).collect()
    }

    /// Name of the object without the word before it: `` `default`.`runs` ``.
    #[must_use]
    pub fn object(&self) -> &'p str {
        noun_of(&self.first().object).1
    }

    /// What the name stands in: `` `default` `` of `` `default`.`runs` ``; empty where there is no name.
    #[must_use]
    pub fn container(&self) -> &'p str {
        let object = self.object();
        if self.name.is_empty() {
            return "";
        }
        object
            .trim_end_matches('`')
            .strip_suffix(self.name.as_str())
            .unwrap_or("")
            .trim_end_matches('`')
            .trim_end_matches('.')
    }

    /// What it is called in a list: its name, else the whole object.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.name.is_empty() { self.object() } else { &self.name }
    }

    /// The statements, in the order in which they are sent.
    #[must_use]
    pub fn statements(&self) -> Vec<Sent<'p>> {
        sent(&self.operations)
    }

    /// What each of the operations takes away with its object, in words: so many names at most.
    #[must_use]
    pub fn held(&self, most: usize) -> Vec<String> {
        let words = |operation: &&Operation| holding_words(&Family::holdings(operation), most);
        self.operations.par_iter().map(words).collect()
    }

    /// What is taken away on all hosts.
    #[must_use]
    pub fn loss(&self) -> Loss {
        self.operations.iter().fold(Loss::default(), |sum, operation| sum.plus(operation.loss))
    }
}

/// The part of an operation's data that names the tables which go with its object.
#[derive(Deserialize)]
struct Held<'d> {
    #[serde(borrow)]
    tables: Vec<HeldTable<'d>>,
}

#[derive(Deserialize)]
struct HeldTable<'d> {
    #[serde(borrow)]
    name: Cow<'d, str>,
    #[serde(borrow, default)]
    uuid: Option<Cow<'d, str>>,
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    untold: bool,
}

/// The tables that an operation destroys with its object, the largest first: its data names them.
#[must_use]
pub fn holdings(operation: &Operation) -> Vec<Holding> {
    // Data of another form names no tables that go.
    let data = operation.data.text();
    let tables = serde_json::from_str::<Held<'_>>(&data).map(|held| held.tables).unwrap_or_default();
    // A hidden table is named after the UUID of its view, which tells people nothing.
    let views: HashMap<&str, &str> =
        tables.iter().filter_map(|table| Some((table.uuid.as_deref()?, &*table.name))).collect();
    let mut found: Vec<(&str, Option<u64>, bool)> = Vec::with_capacity(tables.len());
    let mut known: HashMap<&str, usize> = HashMap::new();
    for table in &tables {
        let name: &str = &table.name;
        let view = name.strip_prefix(".inner_id.").and_then(|uuid| views.get(uuid).copied());
        let shown = view.or_else(|| name.strip_prefix(".inner.")).unwrap_or(name);
        match known.get(shown) {
            // A view and its hidden table are told as one, with the rows of the latter.
            Some(at) => {
                found[*at].1 = found[*at].1.or(table.rows);
                found[*at].2 |= table.untold;
            }
            None => {
                known.insert(shown, found.len());
                found.push((shown, table.rows, table.untold));
            }
        }
    }
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    found.into_iter().map(|(name, rows, untold)| Holding { name: name.to_owned(), rows, untold }).collect()
}

/// Joins operations that do the same on several hosts, in the order of their first one.
#[must_use]
pub fn items<'p>(operations: &[&'p Operation]) -> Vec<Item<'p>> {
    type Same<'p> = (&'p str, &'p str, u8, Vec<(&'p str, &'p [(String, String)])>);
    let mut items: Vec<Item<'p>> = Vec::new();
    let mut known: HashMap<Same<'p>, usize> = HashMap::new();
    for operation in operations {
        // What one of the hosts is asked besides, for another one's sake, does not make it another thing.
        let own = operation.statements.iter().filter(|statement| !is_besides(operation, statement));
        let statements = own.map(|Statement { text, settings, .. }| (text.as_str(), settings.as_slice()));
        let same = (operation.kind.as_str(), operation.object.as_str(), operation.effect as u8, statements.collect());
        let at = operation.host.as_ref().and_then(|_| known.get(&same).copied());
        // One host twice is two things that happen one after the other.
        match at.filter(|at| items[*at].operations.iter().all(|other| other.host != operation.host)) {
            Some(at) => items[at].operations.push(operation),
            None => {
                known.insert(same, items.len());
                items.push(Item { operations: vec![operation], name: last_name(&operation.object) });
            }
        }
    }
    items
}

/// `runs` of ``table `default`.`runs` ``.
fn last_name(object: &str) -> String {
    let (_, name) = noun_of(object);
    let last = if name.ends_with('`') {
        name.trim_end_matches('`').rfind(".`").map(|at| name[at + 2..].trim_end_matches('`'))
    } else {
        name.rsplit_once('.').map(|(_, last)| last)
    };
    last.filter(|last| !last.contains(char::is_whitespace)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables() {
        assert_eq!(last_name("table `d`.`a.b`"), "a.b");
        assert_eq!(last_name("table default.runs"), "runs");
        assert_eq!(last_name("database `default`"), "");
        assert_eq!(last_name("Keeper path /clickhouse/tables/01"), "");
    }

    #[test]
    fn the_hidden_table_of_a_view_is_told_by_the_views_name() {
        use crate::model::ids::StepId;
        use crate::plan::operation::Effect;
        let operation = Operation::new(&StepId::from("s"), "a", "drop", "database `d`", Effect::Destroy).with_data(
            &serde_json::json!({ "tables": [
                { "name": ".inner_id.u-1", "uuid": "u-9", "rows": 7 },
                { "name": ".inner.old", "uuid": "u-8", "rows": 2 },
                { "name": "daily", "uuid": "u-1", "rows": null },
                { "name": "plain", "uuid": "u-2", "rows": 0 },
                { "name": "v", "uuid": "u-3", "rows": null },
                { "name": "store", "uuid": "u-4", "rows": null, "untold": true },
            ] }),
        );
        let held = holdings(&operation);
        let told: Vec<(&str, Option<u64>)> = held.iter().map(|held| (held.name.as_str(), held.rows)).collect();
        assert_eq!(told, [("daily", Some(7)), ("old", Some(2)), ("plain", Some(0)), ("store", None), ("v", None)]);
        let words = crate::report::outline::holding_words(&held, 12);
        assert_eq!(
            words,
            "daily (7 rows), old (2 rows), plain (0 rows), store (rows not told); without rows of their own: v"
        );
    }
}
