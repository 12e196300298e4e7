//! Where a dictionary takes its rows from.

use super::ddl::{Ddl, ObjectKind};
use crate::plan::sql::{Token, TokenKind, tokenize};

/// The source of a dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DictionarySource {
    /// A file or program of the server's own machine: `FILE`, `EXECUTABLE`, `EXECUTABLE_POOL`, `LIBRARY`.
    Machine(String),
    /// A table of its own server, with its database where one is named.
    OwnServer(Vec<(Option<String>, String)>),
    /// A server or address, as it stands in the statement.
    Elsewhere {
        /// Kind, e.g. `MYSQL`.
        kind: String,
        /// Host, where one is named.
        host: Option<String>,
    },
}

/// The source of a dictionary's statement; `None` for everything else.
#[must_use]
pub fn dictionary_source(ddl: &Ddl<'_>) -> Option<DictionarySource> {
    if ddl.kind != ObjectKind::Dictionary {
        return None;
    }
    let at = ddl.tokens.iter().position(|token| token.depth == 0 && token.is_word("SOURCE"))?;
    let kind = ddl.tokens.get(at + 2)?.text.to_ascii_uppercase();
    let inner = &ddl.tokens[at + 2..];
    let inner = &inner[..inner.iter().position(|token| token.depth == 0).unwrap_or(inner.len())];
    let host = text_behind(inner, "HOST");
    Some(match kind.as_str() {
        "FILE" | "EXECUTABLE" | "EXECUTABLE_POOL" | "LIBRARY" => DictionarySource::Machine(kind),
        "CLICKHOUSE" if host.as_deref().is_none_or(is_own) => {
            let mut tables = Vec::new();
            if let Some(table) = text_behind(inner, "TABLE") {
                tables.push(split(text_behind(inner, "DB"), &table));
            }
            if let Some(query) = text_behind(inner, "QUERY") {
                tables.extend(read_by(&query));
            }
            DictionarySource::OwnServer(tables)
        }
        _ => DictionarySource::Elsewhere { kind, host },
    })
}

/// A name that every server takes for itself.
fn is_own(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.starts_with("127.") || host == "::1" || host.is_empty()
}

/// The text or bare word behind a key.
fn text_behind(tokens: &[Token<'_>], key: &str) -> Option<String> {
    tokens.windows(2).find(|two| two[0].is_word(key)).and_then(|two| match two[1].kind {
        TokenKind::Text => Some(two[1].text.trim_matches('\'').replace("\\'", "'")),
        _ => two[1].name(),
    })
}

/// `DB 'd' TABLE 't'`, or `TABLE 'd.t'`.
fn split(database: Option<String>, table: &str) -> (Option<String>, String) {
    match (database, table.split_once('.')) {
        (None, Some((database, table))) => (Some(database.to_owned()), table.to_owned()),
        (database, _) => (database.filter(|name| !name.is_empty()), table.to_owned()),
    }
}

/// `database.table` behind FROM and JOIN in a query.
fn read_by(query: &str) -> Vec<(Option<String>, String)> {
    let Ok(tokens) = tokenize(query) else { return Vec::new() };
    sources(&tokens).into_iter().map(|(database, table)| (Some(database), table)).collect()
}

/// `database.table` behind FROM and JOIN. `extract(day FROM a.b)` and `ARRAY JOIN a.b` name columns.
#[must_use]
pub fn sources(tokens: &[Token<'_>]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(3) {
        let token = &tokens[at];
        let is_join = token.is_word("JOIN") && !(at > 0 && tokens[at - 1].is_word("ARRAY"));
        let is_from = token.is_word("FROM")
            && tokens[..at]
                .iter()
                .rev()
                .take_while(|before| before.depth >= token.depth)
                .any(|before| before.depth == token.depth && before.is_word("SELECT"));
        if !is_join && !is_from {
            continue;
        }
        let four = tokens.get(at + 4);
        if let (Some(database), true, Some(table)) =
            (tokens[at + 1].name(), tokens[at + 2].is_symbol("."), tokens[at + 3].name())
            && !four.is_some_and(|next| next.is_symbol("("))
        {
            found.push((database, table));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(source: &str) -> DictionarySource {
        let text = format!(
            "CREATE DICTIONARY d.x (`TABLE` UInt64) PRIMARY KEY `TABLE` SOURCE({source}) LIFETIME(MIN 0 MAX 1) LAYOUT(FLAT())"
        );
        dictionary_source(&Ddl::parse(&text).expect("valid")).expect("a dictionary")
    }

    #[test]
    fn sources_are_told_apart_by_where_they_are() {
        for kind in ["FILE(PATH '/x' FORMAT 'CSV')", "EXECUTABLE(COMMAND 'x')", "EXECUTABLE_POOL(COMMAND 'x')"] {
            assert!(matches!(source(kind), DictionarySource::Machine(_)), "{kind}");
        }
        let own = |tables: &[(Option<&str>, &str)]| {
            DictionarySource::OwnServer(
                tables.iter().map(|(home, table)| (home.map(str::to_owned), (*table).to_owned())).collect(),
            )
        };
        assert_eq!(source("CLICKHOUSE(DB 'e' TABLE 't')"), own(&[(Some("e"), "t")]));
        assert_eq!(source("CLICKHOUSE(HOST 'localhost' PORT 9000 TABLE 't')"), own(&[(None, "t")]));
        assert_eq!(source("CLICKHOUSE(HOST '127.0.0.1' TABLE 'e.t')"), own(&[(Some("e"), "t")]));
        assert_eq!(
            source("CLICKHOUSE(QUERY 'SELECT a FROM e.t JOIN f.u USING (a) WHERE extract(day FROM b.c)')"),
            own(&[(Some("e"), "t"), (Some("f"), "u")])
        );
        assert_eq!(
            source("CLICKHOUSE(HOST 'other' TABLE 't')"),
            DictionarySource::Elsewhere { kind: "CLICKHOUSE".into(), host: Some("other".into()) }
        );
        assert!(matches!(source("HTTP(URL 'http://h' FORMAT 'CSV')"), DictionarySource::Elsewhere { host: None, .. }));
    }

    #[test]
    fn only_tables_are_sources_of_a_query() {
        let found = |text: &str| sources(&tokenize(text).expect("valid"));
        assert_eq!(
            found("AS SELECT n.a FROM d.t ARRAY JOIN n.x LEFT JOIN e.u ON 1 WHERE a IN (SELECT b FROM f.v)"),
            [("d".into(), "t".into()), ("e".into(), "u".into()), ("f".into(), "v".into())]
        );
        assert!(found("SELECT trim(BOTH ' ' FROM a.b), 1 FROM cte").is_empty());
    }
}
