//! A definition in a fact: its columns in the words of the statement, so that a reader sees what changed.

use super::facts::{LISTED, short};
use crate::plan::sql::{Token, tokenize};

/// So many characters of a column are shown.
const LONGEST: usize = 60;

/// The columns of a definition, a dozen of them, and a digest of all of it.
pub fn words_of(create: &str) -> String {
    let tokens = tokenize(create).unwrap_or_default();
    let columns: Vec<&[Token<'_>]> = columns(&tokens).collect();
    let listed: Vec<String> = columns.iter().take(LISTED).map(|column| words_of_column(create, column)).collect();
    let shown = match columns.len() {
        0 => String::new(),
        number if number > LISTED => format!("{} and {} more; ", listed.join(", "), number - LISTED),
        _ => format!("{}; ", listed.join(", ")),
    };
    format!("{shown}definition {}", short(create))
}

/// The tokens of each column of a CREATE statement.
fn columns<'t>(tokens: &'t [Token<'t>]) -> impl Iterator<Item = &'t [Token<'t>]> {
    let is_end = |token: &Token<'_>| token.depth == 0 && (token.is_word("ENGINE") || token.is_word("AS"));
    let opens = |token: &Token<'_>| token.depth == 0 && token.is_symbol("(");
    let head = &tokens[..tokens.iter().position(is_end).unwrap_or(tokens.len())];
    let first = head.iter().position(opens).map_or(head.len(), |at| at + 1);
    let inside = head[first..].iter().position(|token| token.depth == 0).map_or(head.len(), |length| first + length);
    head[first..inside].split(|token| token.depth == 1 && token.is_symbol(",")).filter(|column| !column.is_empty())
}

/// What a CREATE statement says of a column, in its own words; cut where it is long.
fn words_of_column(create: &str, column: &[Token<'_>]) -> String {
    let (Some(first), Some(last)) = (column.first(), column.last()) else { return String::new() };
    let text = create[first.start..last.end()].split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_told_in_the_words_of_the_statement() {
        let columns = |create: &str| -> Vec<String> {
            super::columns(&tokenize(create).unwrap()).map(|column| words_of_column(create, column)).collect()
        };
        let create = "CREATE TABLE d.t\n(\n    `a` UInt8,\n    `b` Decimal(12, 2) DEFAULT if(1, 2, 3),\n    INDEX i a TYPE minmax\n)\nENGINE = MergeTree(x)";
        assert_eq!(columns(create), ["`a` UInt8", "`b` Decimal(12, 2) DEFAULT if(1, 2, 3)", "INDEX i a TYPE minmax"]);
        assert_eq!(columns("CREATE VIEW d.v (`a` UInt8) AS SELECT (1, 2) AS a"), ["`a` UInt8"]);
        assert!(columns("CREATE VIEW d.v AS SELECT (1, 2)").is_empty());
        assert!(columns("CREATE TABLE d.t AS d.u ENGINE = Distributed(a, b)").is_empty());
        assert_eq!(columns(&format!("CREATE TABLE t (`e` Enum8({}))", "'x' = 1, ".repeat(20)))[0].chars().count(), 63);
    }
}
