//! Whether an object that exists is the one that was promised.

use std::collections::BTreeMap;

use super::ddl::{Ddl, ObjectKind};
use super::normalise::{expand, normalise, normalise_part};
use super::replicate::expand_names;

/// In which points a found definition is another one than the promised one; empty where none matters.
///
/// A server may add settings, and its version may write the list of columns in another way, so these are not
/// compared as text: columns are compared by name and type with `system.columns`.
#[must_use]
pub fn differences(promised: &str, found: &str, macros: &BTreeMap<String, String>) -> Vec<String> {
    if normalise(promised, macros) == normalise(found, macros) {
        return Vec::new();
    }
    let (promised, found) = match (Ddl::parse(promised), Ddl::parse(found)) {
        (Ok(promised), Ok(found)) => (promised, found),
        _ => return vec![format!("the definition is `{}`", found.trim())],
    };
    if promised.kind != found.kind {
        return vec![format!("it is a {:?} instead of a {:?}", found.kind, promised.kind)];
    }
    let (wanted, is) = (shape(&promised, macros), shape(&found, macros));
    let mut names: Vec<&String> = wanted.keys().chain(is.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| wanted.get(*name) != is.get(*name))
        .filter(|name| !is_server_added(name) || wanted.contains_key(*name))
        .map(|name| {
            let show = |shape: &BTreeMap<String, String>| {
                shape.get(name).map_or_else(|| "missing".to_owned(), |text| format!("`{text}`"))
            };
            format!("{name} is {} instead of {}", show(&is), show(&wanted))
        })
        .collect()
}

/// Settings and the definer are filled in by servers that write them out.
fn is_server_added(name: &str) -> bool {
    name.starts_with("setting ") || name == "DEFINER" || name == "SQL SECURITY"
}

/// Engine, arguments, clauses, settings, target and query of a definition, each in one spelling.
fn shape(ddl: &Ddl<'_>, macros: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut shape = BTreeMap::new();
    let end = ddl.select().unwrap_or(ddl.tokens.len());
    if let Some(select) = ddl.select() {
        let text = &ddl.text[ddl.tokens[select].start..];
        shape.insert("query".to_owned(), normalise_part(text));
    }
    if let Some((database, name)) = ddl.target() {
        let database = database.or_else(|| ddl.database.clone()).unwrap_or_default();
        shape.insert("target".to_owned(), format!("{database}.{name}"));
    }
    let mut start = ddl.body.min(end);
    if let Some(engine) = ddl.engine() {
        let database = ddl.database.as_deref().unwrap_or_default();
        let replicated = engine.name.starts_with("Replicated");
        for (at, range) in engine.arguments.iter().enumerate() {
            let text = normalise_part(&ddl.text[range.clone()]);
            let is_place = replicated && at < 2;
            let text = if is_place { expand(&expand_names(&text, database, &ddl.name), macros) } else { text };
            shape.insert(format!("argument {}", at + 1), text);
        }
        shape.insert("ENGINE".to_owned(), engine.name.clone());
        start = engine.behind.min(end);
    }
    if ddl.kind == ObjectKind::Dictionary {
        let text = ddl.tokens.get(ddl.body).map_or("", |token| &ddl.text[token.start..]);
        shape.insert("definition".to_owned(), normalise_part(text));
        return shape;
    }
    for (name, text) in clauses(ddl, start, end) {
        if name == "SETTINGS" {
            for setting in text.split(" , ") {
                if let Some((name, value)) = setting.split_once(" = ") {
                    shape.insert(format!("setting {name}"), value.to_owned());
                }
            }
        } else {
            shape.insert(name, text);
        }
    }
    shape
}

/// Clauses behind the engine, by keyword. A keyword that stands where an expression must begin is a column.
fn clauses(ddl: &Ddl<'_>, start: usize, end: usize) -> Vec<(String, String)> {
    const HEADS: [(&str, &str); 9] = [
        ("PARTITION", "BY"),
        ("PRIMARY", "KEY"),
        ("ORDER", "BY"),
        ("SAMPLE", "BY"),
        ("SQL", "SECURITY"),
        ("TTL", ""),
        ("SETTINGS", ""),
        ("COMMENT", ""),
        ("DEFINER", ""),
    ];
    let mut clauses: Vec<(String, Vec<usize>)> = Vec::new();
    let mut at = start;
    while at < end {
        let token = &ddl.tokens[at];
        let expects_more = at > start
            && (clauses.last().is_some_and(|(_, tokens)| tokens.is_empty()) || ddl.tokens[at - 1].is_symbol(","));
        let head = HEADS.iter().find(|(first, second)| {
            token.depth == 0
                && token.is_word(first)
                && (second.is_empty() || ddl.tokens.get(at + 1).is_some_and(|next| next.is_word(second)))
        });
        match head {
            Some((first, second)) if !expects_more => {
                let name = if second.is_empty() { (*first).to_owned() } else { format!("{first} {second}") };
                at += usize::from(!second.is_empty());
                clauses.push((name, Vec::new()));
            }
            _ => {
                if let Some((_, tokens)) = clauses.last_mut() {
                    tokens.push(at);
                }
            }
        }
        at += 1;
    }
    clauses
        .into_iter()
        .map(|(name, tokens)| {
            let text = match (tokens.first(), tokens.last()) {
                (Some(&first), Some(&last)) => {
                    normalise_part(&ddl.text[ddl.tokens[first].start..ddl.tokens[last].end()])
                }
                _ => String::new(),
            };
            (name, text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_differs() {
        let macros = BTreeMap::from([("shard".to_owned(), "01".to_owned())]);
        let promised = "CREATE TABLE d.t (`a` UInt8, `ttl` Date) ENGINE = ReplicatedMergeTree('/x/{shard}/t', 'r') PARTITION BY ttl ORDER BY ttl TTL ttl + toIntervalDay(1) SETTINGS index_granularity = 8192";
        let more = promised
            .replace("index_granularity = 8192", "index_granularity = 8192, extra = 1")
            .replace("`a` UInt8", "a  UInt8")
            .replace("{shard}", "01");
        assert_eq!(differences(promised, &more, &macros), Vec::<String>::new());
        let other = promised.replace("ORDER BY ttl", "ORDER BY (a, ttl)").replace("/x/", "/y/").replace("8192", "1");
        let found = differences(promised, &other, &macros);
        assert_eq!(
            found,
            [
                "ORDER BY is `( a , ttl )` instead of `ttl`",
                "argument 1 is `'/y/01/t'` instead of `'/x/01/t'`",
                "setting index_granularity is `1` instead of `8192`"
            ]
        );
    }

    #[test]
    fn views_differ_by_query_and_target() {
        let promised = "CREATE MATERIALIZED VIEW d.v TO d.t (`a` UInt8) AS SELECT a FROM d.s";
        let macros = BTreeMap::new();
        assert_eq!(
            differences(
                promised,
                &promised.replace("UInt8)", "UInt8) DEFINER = default SQL SECURITY DEFINER"),
                &macros
            ),
            Vec::<String>::new()
        );
        assert_eq!(differences(promised, &promised.replace("d.s", "d.q"), &macros).len(), 1);
        assert_eq!(
            differences(promised, &promised.replace("TO d.t", "TO d.u"), &macros),
            ["target is `d.u` instead of `d.t`"]
        );
        assert_eq!(differences(promised, "CREATE VIEW d.v AS SELECT 1", &macros).len(), 1);
    }
}
