//! What a CREATE statement tells: the engine, the hidden table of a materialized view, a TTL that deletes rows.

use crate::plan::sql::{Token, TokenKind, tokenize};

/// The tokens at the top level.
fn top(create: &str) -> Vec<Token<'_>> {
    tokenize(create).unwrap_or_default().into_iter().filter(|token| token.depth == 0).collect()
}

/// The tokens of the definition, before the `AS SELECT` of a view.
fn definition(create: &str) -> Vec<Token<'_>> {
    let mut tokens = top(create);
    if let Some(end) = tokens.iter().position(|token| token.is_word("AS")) {
        tokens.truncate(end);
    }
    tokens
}

fn engine_clause(tokens: &[Token<'_>]) -> Option<String> {
    let at = tokens.iter().position(|token| token.is_word("ENGINE"))?;
    let name = tokens.get(at + 1).filter(|token| !token.is_symbol("=")).or_else(|| tokens.get(at + 2))?;
    name.name()
}

/// The engine as `system.tables` would name it; empty where the text is not understood.
#[must_use]
pub fn engine_of(create: &str) -> String {
    let tokens = definition(create);
    let head: Vec<&str> = tokens.iter().take(5).map(|token| token.text).collect();
    let is = |word: &str| head.iter().any(|text| text.eq_ignore_ascii_case(word));
    let named = |word: &str| tokens.iter().take(3).any(|token| token.is_word(word));
    if named("DICTIONARY") {
        return "Dictionary".to_owned();
    }
    if named("VIEW") || (is("VIEW") && named("REPLACE")) {
        let kind = match () {
            () if named("MATERIALIZED") => "MaterializedView",
            () if named("LIVE") => "LiveView",
            () if named("WINDOW") => "WindowView",
            () => "View",
        };
        return kind.to_owned();
    }
    engine_clause(&tokens).unwrap_or_default()
}

/// Whether the statement begins as that of a table does. Most do, and need not be cut into tokens to find out that they
/// are no views.
fn is_of_table(create: &str) -> bool {
    create.get(..13).is_some_and(|head| head.eq_ignore_ascii_case("CREATE TABLE "))
}

/// The engine of a materialized view's hidden table; `None` for other statements and for views `TO` a table.
#[must_use]
pub fn inner_engine_of(create: &str) -> Option<String> {
    if is_of_table(create) || engine_of(create) != "MaterializedView" {
        return None;
    }
    let tokens = definition(create);
    let to_table = tokens.windows(2).any(|pair| pair[0].is_word("TO") && !pair[1].is_word("INNER"));
    if to_table { None } else { engine_clause(&tokens) }
}

/// Whether a materialized view is filled by a schedule; BACKUP leaves its rows out by default.
#[must_use]
pub fn is_refreshable(create: &str) -> bool {
    !is_of_table(create)
        && engine_of(create) == "MaterializedView"
        && definition(create).iter().any(|token| token.is_word("REFRESH"))
}

/// Whether the table deletes rows by itself when their time has come. A TTL of a column stands in the brackets of
/// the columns and only empties values; one that moves or packs parts keeps every row.
#[must_use]
pub fn deletes_rows_by_ttl(create: &str) -> bool {
    if !create.as_bytes().windows(3).any(|word| word.eq_ignore_ascii_case(b"TTL")) {
        return false;
    }
    let tokens = definition(create);
    let Some(at) = tokens.iter().position(|token| token.is_word("TTL")) else { return false };
    let clause: Vec<&Token<'_>> = tokens[at..].iter().take_while(|token| !token.is_word("SETTINGS")).collect();
    let keeps = clause.iter().any(|token| token.is_word("TO") || token.is_word("RECOMPRESS"));
    let deletes = clause.iter().any(|token| token.is_word("DELETE") || token.is_word("GROUP"));
    deletes || !keeps || clause.iter().any(|token| token.is_symbol(","))
}

/// Names of the columns that take values in an INSERT: neither ALIAS nor MATERIALIZED.
#[must_use]
pub fn columns_of(create: &str) -> Vec<String> {
    let tokens = tokenize(create).unwrap_or_default();
    let inside: Vec<&Token<'_>> = tokens
        .iter()
        .skip_while(|token| !(token.depth == 0 && token.is_symbol("(")))
        .skip(1)
        .take_while(|token| token.depth > 0)
        .collect();
    inside
        .split(|token| token.depth == 1 && token.is_symbol(","))
        .filter(|item| {
            !item.iter().any(|token| token.depth == 1 && (token.is_word("ALIAS") || token.is_word("MATERIALIZED")))
        })
        .filter_map(|item| item.first())
        // The server quotes every column; INDEX, CONSTRAINT and PROJECTION are words.
        .filter(|token| token.kind == TokenKind::Quoted)
        .filter_map(|token| token.name())
        .collect()
}

/// Clauses that decide how rows lie in parts (`PARTITION BY`, `ORDER BY`, `PRIMARY KEY`, `SAMPLE BY`), in one form
/// for equal clauses. Parts that were sorted by one key must not be attached to a table with another.
#[must_use]
pub fn layout_of(create: &str) -> Vec<String> {
    let mut tokens = tokenize(create).unwrap_or_default();
    if let Some(end) = tokens.iter().position(|token| token.depth == 0 && token.is_word("AS")) {
        tokens.truncate(end);
    }
    let starts = |token: &Token<'_>, next: Option<&Token<'_>>| {
        let by = next.is_some_and(|next| next.is_word("BY") || next.is_word("KEY"));
        token.depth == 0 && by && ["PARTITION", "ORDER", "PRIMARY", "SAMPLE"].iter().any(|word| token.is_word(word))
    };
    let ends = |token: &Token<'_>| {
        token.depth == 0 && (token.is_word("TTL") || token.is_word("SETTINGS") || token.is_word("COMMENT"))
    };
    let (mut clauses, mut current): (Vec<String>, Option<Vec<String>>) = (Vec::new(), None);
    for (at, token) in tokens.iter().enumerate() {
        if starts(token, tokens.get(at + 1)) || ends(token) {
            clauses.extend(current.take().map(|words| without_brackets(&words)));
            current = starts(token, tokens.get(at + 1)).then(Vec::new);
        }
        if let Some(words) = &mut current {
            words.push(token.name().unwrap_or_else(|| token.text.to_owned()));
        }
    }
    clauses.extend(current.map(|words| without_brackets(&words)));
    clauses.sort();
    clauses
}

/// `ORDER BY (a)` and `ORDER BY a` mean the same, as do `tuple(a, b)` and `(a, b)`.
fn without_brackets(words: &[String]) -> String {
    let (head, rest) = words.split_at(words.len().min(2));
    let body: Vec<&str> = rest.iter().map(String::as_str).collect();
    let bare = match body.as_slice() {
        ["tuple", "(", inner @ .., ")"] | ["(", inner @ .., ")"] => inner,
        all => all,
    };
    format!("{} {}", head.join(" ").to_ascii_uppercase(), bare.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_of_all_kinds_of_entries() {
        for (create, engine) in [
            ("CREATE TABLE a.t UUID 'x' (`a` UInt8) ENGINE = MergeTree ORDER BY a", "MergeTree"),
            ("CREATE TABLE a.t (`a` UInt8) ENGINE = `Null`", "Null"),
            ("CREATE VIEW a.v (`c` UInt64) AS SELECT 1 AS ENGINE", "View"),
            (
                "CREATE DICTIONARY a.d (`k` UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(DB 'a')) LAYOUT(FLAT())",
                "Dictionary",
            ),
            ("CREATE MATERIALIZED VIEW a.m TO a.t (`d` Date) AS SELECT 1", "MaterializedView"),
            ("CREATE TABLE a.view (`a` UInt8) ENGINE = Log", "Log"),
            ("not a statement '", ""),
        ] {
            assert_eq!(engine_of(create), engine, "{create}");
        }
    }

    #[test]
    fn hidden_tables_of_views() {
        let inner = "CREATE MATERIALIZED VIEW a.mv UUID 'u' TO INNER UUID 'i' (`d` Date) ENGINE = SummingMergeTree ORDER BY d AS SELECT 1";
        assert_eq!(inner_engine_of(inner).as_deref(), Some("SummingMergeTree"));
        assert_eq!(
            inner_engine_of("CREATE MATERIALIZED VIEW a.mv (`d` Date) ENGINE = Log AS SELECT 1").as_deref(),
            Some("Log")
        );
        assert_eq!(inner_engine_of("CREATE MATERIALIZED VIEW a.mv TO a.t (`d` Date) AS SELECT 1"), None);
        assert!(is_refreshable("CREATE MATERIALIZED VIEW a.mv REFRESH EVERY 1 DAY ENGINE = Memory AS SELECT 1"));
        assert!(!is_refreshable(inner));
    }

    #[test]
    fn only_a_table_ttl_that_deletes_counts() {
        assert!(deletes_rows_by_ttl(
            "CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d + toIntervalDay(1) SETTINGS index_granularity = 8192"
        ));
        assert!(deletes_rows_by_ttl(
            "CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d DELETE WHERE 1, d TO DISK 'x'"
        ));
        assert!(!deletes_rows_by_ttl(
            "CREATE TABLE t (`d` Date TTL d + toIntervalDay(1)) ENGINE = MergeTree ORDER BY d"
        ));
        assert!(!deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d TO VOLUME 'cold'"));
        assert!(!deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d"));
    }

    #[test]
    fn columns_and_layout() {
        let create = "CREATE TABLE d.t (`a` UInt8, `b` Tuple(x UInt8, y UInt8) DEFAULT (1, 2), `c` UInt8 ALIAS a, `m` UInt8 MATERIALIZED a, INDEX i a TYPE minmax) ENGINE = MergeTree PARTITION BY toYYYYMM(a) ORDER BY (a, b) TTL a SETTINGS x = 1";
        assert_eq!(columns_of(create), ["a", "b"]);
        assert_eq!(layout_of(create), ["ORDER BY a , b", "PARTITION BY toYYYYMM ( a )"]);
        assert_eq!(
            layout_of("CREATE TABLE t (`a` UInt8) ENGINE = ReplicatedMergeTree('/p', '{replica}') ORDER BY `a`"),
            ["ORDER BY a"]
        );
        let view = "CREATE MATERIALIZED VIEW m (`d` Date) ENGINE = MergeTree ORDER BY d AS SELECT x FROM t ORDER BY y";
        assert_eq!(layout_of(view), ["ORDER BY d"]);
    }
}
