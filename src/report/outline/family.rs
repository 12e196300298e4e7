//! Items that do the same to several objects: `create 24 tables on replica1, replica2`.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt};

use super::item::{Holding, Item, holdings};
use super::told::{NAME, Told, replace_word, told};
use super::words::{deed, noun_of, verb};
use crate::plan::operation::{Effect, Loss, Operation};
use crate::plan::text_diff::TextChange;
use crate::report::text::count;

/// What a family does to the world, for the overview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes something away.
    Destroys,
    /// Makes objects that were not there.
    Creates,
    /// Brings rows from one place to another.
    Moves,
    /// Writes in another way.
    Changes,
    /// Only reads.
    Checks,
}

/// Items of one kind, effect and set of hosts.
pub struct Family<'p> {
    /// The items, at least one.
    pub items: Vec<Item<'p>>,
    /// What it does to the world.
    pub role: Role,
    /// What is taken away on all hosts.
    pub loss: Loss,
    /// Rows that are expected to be read or moved; each item counts once.
    pub rows: Option<u64>,
    /// Bytes that are expected to be read or moved.
    pub bytes: Option<u64>,
    /// The states before.
    pub before: Vec<Told>,
    /// The states after.
    pub after: Vec<Told>,
    /// The ways in which the result is proved.
    pub check: Vec<Told>,
}

impl<'p> Family<'p> {
    fn new(items: Vec<Item<'p>>) -> Self {
        let sum = |of: fn(&Operation) -> Option<u64>| {
            let known: Vec<u64> = items.iter().filter_map(|item| of(item.first())).collect();
            (!known.is_empty()).then(|| known.iter().sum())
        };
        let (after, (before, check)) = rayon::join(
            || told(&items, |operation| &operation.after),
            || (told(&items, |operation| &operation.before), told(&items, |operation| &operation.check)),
        );
        Self {
            role: role(items[0].first()),
            loss: items.iter().fold(Loss::default(), |loss, item| loss.plus(item.loss())),
            rows: sum(|operation| operation.estimate_rows),
            bytes: sum(|operation| operation.estimate_bytes),
            before,
            after,
            check,
            items,
        }
    }

    /// The first operation.
    #[must_use]
    pub fn first(&self) -> &'p Operation {
        self.items[0].first()
    }

    /// Number of operations.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.items.iter().map(|item| item.operations.len()).sum()
    }

    /// All operations.
    pub fn all(&self) -> impl Iterator<Item = &'p Operation> {
        self.items.iter().flat_map(|item| item.operations.iter().copied())
    }

    /// What is done: `create 24 tables`, or the one thing by its name.
    #[must_use]
    pub fn deed(&self) -> String {
        if let [one] = self.items.as_slice() {
            return deed(one.first());
        }
        let kind = verb(self.first());
        let noun = self.noun();
        let verb = kind.strip_suffix(noun).map_or(kind.as_str(), str::trim_end);
        format!("{verb} {}", count(self.items.len() as u64, if noun.is_empty() { "object" } else { noun }))
    }

    /// The word for all its objects; empty where there is none.
    fn noun(&self) -> &'static str {
        let noun = noun_of(&self.first().object).0;
        if self.items.iter().all(|item| noun_of(&item.first().object).0 == noun) { noun } else { "" }
    }

    /// ` on replica1, replica2`, or nothing where no host is touched.
    #[must_use]
    pub fn place(&self) -> String {
        let hosts = self.items[0].hosts();
        if hosts.is_empty() { String::new() } else { format!(" on {}", hosts.join(", ")) }
    }

    /// What all names stand in, where it is one: `` `default` ``.
    #[must_use]
    pub fn container(&self) -> Option<&'p str> {
        let container = self.items[0].container();
        let is_one = self.items.iter().all(|item| item.container() == container);
        (is_one && !container.is_empty()).then_some(container)
    }

    /// Names of items for a list; whole names where they do not stand in one place.
    #[must_use]
    pub fn labels(&self, places: impl IntoIterator<Item = usize>) -> Vec<&str> {
        let has_container = self.container().is_some();
        let label = |at: usize| if has_container { self.items[at].label() } else { self.items[at].object() };
        places.into_iter().map(label).collect()
    }

    /// `about 12 rows, 3.0 KiB`.
    #[must_use]
    pub fn size_words(&self) -> Option<String> {
        use crate::report::text::bytes;
        let rows = self.rows?;
        Some(format!(
            "about {}{}",
            count(rows, "row"),
            self.bytes.map(|size| format!(", {}", bytes(size))).unwrap_or_default()
        ))
    }

    /// What stands in what one operation destroys.
    #[must_use]
    pub fn holdings(operation: &Operation) -> Vec<Holding> {
        if operation.effect == Effect::Destroy { holdings(operation) } else { Vec::new() }
    }

    /// The differences from the texts the statements were made from, each kind once, with the items that have it.
    #[must_use]
    pub fn changes(&self) -> Vec<(Vec<TextChange>, Vec<usize>)> {
        let mut out: Vec<(Vec<TextChange>, Vec<usize>)> = Vec::new();
        let mut known: HashMap<Vec<(String, String)>, usize> = HashMap::new();
        for (at, item) in self.items.iter().enumerate() {
            let Some(diff) = &item.first().diff else { continue };
            let named = |text: &str| replace_word(Cow::Borrowed(text), &item.name, NAME).into_owned();
            let changes: Vec<(String, String)> =
                diff.changes.iter().map(|change| (named(&change.before), named(&change.after))).collect();
            let place = *known.entry(changes).or_insert_with_key(|changes| {
                let changes =
                    changes.iter().map(|(before, after)| TextChange { before: before.into(), after: after.into() });
                out.push((changes.collect(), Vec::new()));
                out.len() - 1
            });
            out[place].1.push(at);
        }
        for (changes, items) in out.iter_mut().filter(|(_, items)| items.len() == 1) {
            for change in changes {
                change.before = change.before.replace(NAME, &self.items[items[0]].name).into();
                change.after = change.after.replace(NAME, &self.items[items[0]].name).into();
            }
        }
        out
    }

    /// The statements with `<name>` for each object's name, each kind once, with the items that have it.
    #[must_use]
    pub fn statements(&self) -> Vec<(Vec<String>, Vec<usize>)> {
        let mut out: Vec<(Vec<String>, Vec<usize>)> = Vec::new();
        let mut known: HashMap<Vec<String>, usize> = HashMap::new();
        for (at, item) in self.items.iter().enumerate() {
            let named = |text: &str| replace_word(Cow::Borrowed(text), &item.name, NAME).into_owned();
            let texts: Vec<String> = item.statements().iter().map(|sent| named(&sent.statement.text)).collect();
            let place = *known.entry(texts).or_insert_with_key(|texts| {
                out.push((texts.clone(), Vec::new()));
                out.len() - 1
            });
            out[place].1.push(at);
        }
        out
    }
}

fn role(operation: &Operation) -> Role {
    match operation.effect {
        Effect::Read => return Role::Checks,
        Effect::Destroy => return Role::Destroys,
        Effect::Write => {}
    }
    let text = operation.main_statement().map_or("", |statement| statement.text.trim_start());
    let verb = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_uppercase();
    match verb.as_str() {
        "CREATE" | "ATTACH" => Role::Creates,
        "BACKUP" | "RESTORE" => Role::Moves,
        "INSERT" if operation.estimate_rows.is_some() || operation.action == "restore" => Role::Moves,
        _ => Role::Changes,
    }
}

/// Joins items, in the order of their first one.
#[must_use]
pub fn families(items: Vec<Item<'_>>) -> Vec<Family<'_>> {
    let mut groups: Vec<Vec<Item<'_>>> = Vec::new();
    let mut known: HashMap<(&str, u8, Vec<&str>), usize> = HashMap::new();
    for item in items {
        let first = item.first();
        let place = *known.entry((first.kind.as_str(), first.effect as u8, item.hosts())).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(item);
    }
    groups.into_iter().map(Family::new).collect()
}
