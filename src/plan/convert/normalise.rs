//! One spelling for definitions that mean the same.

use std::collections::BTreeMap;

use super::ddl::Ddl;
use super::replicate::expand_names;
use crate::plan::sql::{Token, TokenKind, identifier, tokenize};

/// A definition in one spelling: single blanks, names quoted alike, no UUID, and the Keeper path and replica name
/// with the server's macros filled in. A text that is not understood comes back trimmed.
#[must_use]
pub fn normalise(text: &str, macros: &BTreeMap<String, String>) -> String {
    let Ok(ddl) = Ddl::parse(text) else { return text.trim().to_owned() };
    let place = ddl.engine().filter(|engine| engine.name.starts_with("Replicated")).map(|engine| {
        let mut starts: Vec<usize> = engine.arguments.iter().map(|range| range.start).collect();
        starts.truncate(2);
        starts
    });
    let place = place.unwrap_or_default();
    let database = ddl.database.as_deref().unwrap_or_default();
    let words: Vec<String> = ddl
        .tokens
        .iter()
        .filter(|token| !ddl.own.iter().any(|range| range.contains(&token.start)))
        .map(|token| {
            if place.contains(&token.start) {
                expand(&expand_names(token.text, database, &ddl.name), macros)
            } else {
                spelling(token)
            }
        })
        .collect();
    words.join(" ")
}

/// A part of a definition (a clause, a type) in one spelling.
pub fn normalise_part(text: &str) -> String {
    match tokenize(text) {
        Ok(tokens) => tokens.iter().map(spelling).collect::<Vec<_>>().join(" "),
        Err(_) => text.trim().to_owned(),
    }
}

/// `{macro}` replaced with the server's values; unknown ones stay.
pub fn expand(text: &str, macros: &BTreeMap<String, String>) -> String {
    macros.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Quoted and bare names are one and the same; everything else stays as it is.
fn spelling(token: &Token<'_>) -> String {
    match (token.kind, token.name()) {
        (TokenKind::Quoted, Some(name)) if is_bare(&name) => name,
        (TokenKind::Quoted, Some(name)) => identifier(&name),
        _ => token.text.to_owned(),
    }
}

fn is_bare(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_definition_are_equal() {
        let macros = BTreeMap::from([("shard".to_owned(), "01".to_owned()), ("replica".to_owned(), "r1".to_owned())]);
        let one = "CREATE TABLE IF NOT EXISTS `d`.`t` UUID '1-2'\n( a UInt8 ) ENGINE = ReplicatedMergeTree('/x/{shard}/{database}/{table}', '{replica}')  ORDER BY `a`";
        let two = "CREATE TABLE d.t (`a` UInt8) ENGINE = ReplicatedMergeTree('/x/01/d/t', 'r1') ORDER BY a";
        assert_eq!(normalise(one, &macros), normalise(two, &macros));
        assert_ne!(normalise(one, &macros), normalise(&two.replace("'r1'", "'r2'"), &macros));
        assert_ne!(normalise(one, &macros), normalise(&two.replace("UInt8", "UInt16"), &macros));
        assert_eq!(normalise(" no ddl ", &macros), "no ddl");
        // Only the place is filled in, not other texts.
        assert!(
            normalise("CREATE TABLE d.t (`a` String DEFAULT '{shard}') ENGINE = MergeTree ORDER BY a", &macros)
                .contains("'{shard}'")
        );
    }
}
