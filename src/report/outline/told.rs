//! Texts that are the same for many operations but for the names in them, told once.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt};

use super::item::Item;
use crate::plan::operation::Operation;

/// Stands for the name of each object.
pub const NAME: &str = "<name>";
/// Stands for the name of each host.
pub const HOST: &str = "<host>";

/// A text, and for which items it stands.
pub struct Told {
    /// The text; `<name>` and `<host>` stand for each object's and each host's own name.
    pub text: String,
    /// Places of the items in their family.
    pub items: Vec<usize>,
    /// Hosts, where the text is not the same on all of them.
    pub hosts: Option<Vec<String>>,
}

/// Whether few texts stand for many items, so that they are told for all of them instead of for each.
#[must_use]
pub fn is_common(told: &[Told], items: usize) -> bool {
    told.len() <= 6 || told.len() * 3 <= items
}

/// The different texts of a family, in the order in which they first occur. An empty text is left out.
pub fn told<'p>(items: &[Item<'p>], text: impl Fn(&'p Operation) -> &'p str) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    let mut known: HashMap<(String, Option<Vec<String>>), usize> = HashMap::new();
    for (at, item) in items.iter().enumerate() {
        for (words, hosts) in told_of_item(item, items.len() > 1, &text) {
            if words.is_empty() {
                continue;
            }
            let place = *known.entry((words.clone(), hosts.clone())).or_insert_with(|| {
                out.push(Told { text: words, items: Vec::new(), hosts });
                out.len() - 1
            });
            out[place].items.push(at);
        }
    }
    // What stands for one object can name it.
    for told in out.iter_mut().filter(|told| told.items.len() == 1) {
        told.text = told.text.replace(NAME, &items[told.items[0]].name);
    }
    out
}

fn told_of_item<'p>(
    item: &Item<'p>,
    may_abbreviate: bool,
    text: &impl Fn(&'p Operation) -> &'p str,
) -> Vec<(String, Option<Vec<String>>)> {
    let mut found: Vec<(Cow<'_, str>, Vec<String>)> = Vec::new();
    let is_same = item.operations.iter().all(|operation| text(operation) == text(item.operations[0]));
    for operation in &item.operations {
        let mut words = Cow::Borrowed(text(operation));
        let host = operation.host.as_ref().map_or("", |host| host.as_str());
        if !is_same {
            words = replace_word(words, host, HOST);
        }
        match found.iter_mut().find(|(other, _)| *other == words) {
            Some((_, hosts)) => hosts.push(host.to_owned()),
            None => found.push((words, vec![host.to_owned()])),
        }
    }
    let is_one = found.len() == 1;
    let named = |words: Cow<'_, str>| {
        if may_abbreviate { replace_word(words, &item.name, NAME).into_owned() } else { words.into_owned() }
    };
    found.into_iter().map(|(words, hosts)| (named(words), (!is_one).then_some(hosts))).collect()
}

/// Replaces a name where it stands as a whole word.
pub fn replace_word<'t>(text: Cow<'t, str>, name: &str, by: &str) -> Cow<'t, str> {
    if name.is_empty() || !text.contains(name) {
        return text;
    }
    let belongs = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(name) {
        let end = at + name.len();
        if !belongs(text[..at].chars().next_back()) && !belongs(text[end..].chars().next()) {
            out.push_str(&text[from..at]);
            out.push_str(by);
            from = end;
        }
    }
    out.push_str(&text[from..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_replaced() {
        let replaced = replace_word(Cow::Borrowed("runs at /t/runs, runs_kv, `runs`, old-runs"), "runs", NAME);
        assert_eq!(replaced, "<name> at /t/<name>, runs_kv, `<name>`, old-runs");
    }
}
