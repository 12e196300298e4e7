//! `docs/errors.md` has a row for everything that a guard can refuse: the sources tell what that is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Before the first line of a refusal in the sources.
const MARKS: [&str; 4] = ["what: ", "refuse(", "explain_sql(", "explain_look("];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The string literals of the argument or field that begins here: up to a comma or bracket that is not within others.
fn literals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut depth, mut characters) = (0_i32, text.chars());
    while let Some(character) = characters.next() {
        match character {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' if depth == 0 => break,
            ')' | '}' | ']' => depth -= 1,
            ',' | ';' if depth == 0 => break,
            '"' => {
                let mut literal = String::new();
                while let Some(next) = characters.next() {
                    match next {
                        '\\' => literal.extend(characters.next()),
                        '"' => break,
                        other => literal.push(other),
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// With `...` for everything that is filled in.
fn pattern(literal: &str) -> String {
    let mut out = String::new();
    let mut rest = literal;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        if !out.ends_with("...") {
            out.push_str("...");
        }
        rest = &rest[at + rest[at..].find('}').unwrap() + 1..];
    }
    out + rest
}

fn refusals() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in sources(&root().join("src/engine/guard")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let product = &text[..text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len())];
        for mark in MARKS {
            for (at, _) in product.match_indices(mark) {
                found.extend(literals(&product[at + mark.len()..]).iter().map(|literal| pattern(literal)));
            }
        }
    }
    // What only puts the name of a step before another first line, or says where, is no line of its own.
    found.retain(|text| text.chars().filter(|c| c.is_alphabetic()).count() > "step".len());
    found
}

#[test]
fn every_refusal_of_a_guard_has_its_row() {
    let refusals = refusals();
    assert!(refusals.len() >= 20, "the sources are not understood any more: {refusals:#?}");
    let page = std::fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let (_, section) = page.split_once("### Refusals of guards").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: BTreeSet<String> = section
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.split(" | ").next()?.to_owned()))
        .filter(|cell| cell != "first line")
        .collect();
    let lacking: Vec<&String> = refusals.difference(&rows).collect();
    let gone: Vec<&String> = rows.difference(&refusals).collect();
    assert!(lacking.is_empty() && gone.is_empty(), "no row for {lacking:#?}\nnobody refuses {gone:#?}");
}
