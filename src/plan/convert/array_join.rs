//! Views that give `arrayJoin(...)` a name and then take parts of it: `arrayJoin(m) AS kv, kv.1 AS k, kv.2 AS v`.

use super::ddl::{Ddl, ObjectKind};
use crate::plan::sql::{Token, TokenKind};

/// A name for `arrayJoin` whose parts are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayJoinName {
    /// The name.
    pub name: String,
    /// What is joined, as it stands in the statement.
    pub of: String,
    /// Whether a materialized view would put the name itself out, and has no column for it.
    pub has_no_column: bool,
}

impl ArrayJoinName {
    /// What is found, in a few words.
    #[must_use]
    pub fn found(&self) -> String {
        format!("`arrayJoin({0}) AS {1}`, of which `{1}.1` or another part is read", self.of, self.name)
    }

    /// The form that every version understands.
    #[must_use]
    pub fn rewrite(&self) -> String {
        format!(
            "`FROM ... ARRAY JOIN mapKeys({0}) AS k, mapValues({0}) AS v` (for an array of tuples: `ARRAY JOIN {0} AS {1}`)",
            self.of, self.name
        )
    }
}

/// The first such name in the query of a view.
#[must_use]
pub fn array_join_name(ddl: &Ddl<'_>) -> Option<ArrayJoinName> {
    let select = ddl.select()?;
    let tokens = &ddl.tokens;
    for at in select..tokens.len() {
        if !tokens[at].is_word("arrayJoin") || !tokens.get(at + 1).is_some_and(|next| next.is_symbol("(")) {
            continue;
        }
        let depth = tokens[at + 1].depth;
        let close = (at + 2..tokens.len()).find(|&end| tokens[end].depth == depth && tokens[end].is_symbol(")"))?;
        if !tokens.get(close + 1).is_some_and(|next| next.is_word("AS")) {
            continue;
        }
        let Some(name) = tokens.get(close + 2).and_then(Token::name) else { continue };
        if !reads_part(&tokens[select..], &name) {
            continue;
        }
        let of = ddl.text[tokens[at + 1].end()..tokens[close].start].to_owned();
        // Behind the outermost SELECT and in no bracket, it is a column of the result.
        let is_put_out = tokens[at].depth == 0
            && tokens[select..at]
                .iter()
                .rev()
                .find(|token| token.depth == 0 && is_clause(token))
                .is_some_and(|clause| clause.is_word("SELECT"));
        let has_no_column = ddl.kind == ObjectKind::MaterializedView
            && is_put_out
            && !ddl.columns().is_empty()
            && !ddl.columns().contains(&name)
            && !tokens[close..].iter().any(|token| token.is_word("allow_materialized_view_with_bad_select"));
        return Some(ArrayJoinName { name, of, has_no_column });
    }
    None
}

fn is_clause(token: &Token<'_>) -> bool {
    ["SELECT", "WITH", "FROM", "WHERE", "JOIN"].iter().any(|word| token.is_word(word))
}

/// `kv.1`, `kv.keys`, `tupleElement(kv, ...)`; the lexer takes `.1` for a symbol and a number.
fn reads_part(tokens: &[Token<'_>], name: &str) -> bool {
    let is_name = |token: &Token<'_>| token.name().as_deref() == Some(name);
    tokens.windows(3).any(|three| {
        (is_name(&three[0])
            && three[1].is_symbol(".")
            && (three[2].kind == TokenKind::Number || three[2].name().is_some()))
            || (three[0].is_word("tupleElement") && three[1].is_symbol("(") && is_name(&three[2]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<(String, String, bool)> {
        array_join_name(&Ddl::parse(text).expect("valid")).map(|found| (found.name, found.of, found.has_no_column))
    }

    #[test]
    fn a_name_whose_parts_are_read_is_found() {
        let view =
            "CREATE VIEW d.v (`k` String) AS SELECT arrayJoin(mapFilter((k, v) -> v, m)) AS kv, kv.1 AS k FROM d.t";
        assert_eq!(found(view), Some(("kv".into(), "mapFilter((k, v) -> v, m)".into(), false)));
        let element = "CREATE VIEW d.v (`k` String) AS SELECT arrayJoin(m) AS `kv`, tupleElement(kv, 1) AS k FROM d.t";
        assert_eq!(found(element), Some(("kv".into(), "m".into(), false)));
        let inner = "CREATE MATERIALIZED VIEW d.v TO d.x (`k` String) AS SELECT k FROM (SELECT arrayJoin(m) AS kv, kv.1 AS k FROM d.t)";
        assert_eq!(found(inner), Some(("kv".into(), "m".into(), false)));
        let with =
            "CREATE MATERIALIZED VIEW d.v TO d.x (`k` String) AS WITH arrayJoin(m) AS kv SELECT kv.1 AS k FROM d.t";
        assert_eq!(found(with), Some(("kv".into(), "m".into(), false)));
        for fine in [
            "CREATE VIEW d.v (`k` String) AS SELECT arrayJoin(m) AS kv FROM d.t",
            "CREATE VIEW d.v (`k` String) AS SELECT kv.1 AS k FROM d.t ARRAY JOIN m AS kv",
            "CREATE TABLE d.t (`k` String) ENGINE = MergeTree ORDER BY k",
        ] {
            assert_eq!(found(fine), None, "{fine}");
        }
    }

    #[test]
    fn a_materialized_view_without_a_column_for_it_is_told_apart() {
        let query = "AS SELECT id, arrayJoin(m) AS kv, kv.1 AS k, kv.2 AS v FROM d.t";
        let has_no_column = |columns: &str, tail: &str| {
            found(&format!("CREATE MATERIALIZED VIEW d.v TO d.x ({columns}) {query}{tail}")).expect("found").2
        };
        assert!(has_no_column("`id` UInt64, `k` String, `v` String", ""));
        assert!(!has_no_column("`id` UInt64, `kv` Tuple(String, String), `k` String, `v` String", ""));
        assert!(!has_no_column("`id` UInt64, `k` String", " SETTINGS allow_materialized_view_with_bad_select = 1"));
    }
}
