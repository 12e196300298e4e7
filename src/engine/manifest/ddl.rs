//! What a CREATE statement tells: the engine, the hidden table of a materialized view, a TTL that deletes rows.

use crate::plan::sql::{Token, tokenize};

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

/// The engine of a materialized view's hidden table; `None` for other statements and for views `TO` a table.
#[must_use]
pub fn inner_engine_of(create: &str) -> Option<String> {
    if engine_of(create) != "MaterializedView" {
        return None;
    }
    let tokens = definition(create);
    let to_table = tokens.windows(2).any(|pair| pair[0].is_word("TO") && !pair[1].is_word("INNER"));
    if to_table { None } else { engine_clause(&tokens) }
}

/// Whether a materialized view is filled by a schedule; BACKUP leaves its rows out by default.
#[must_use]
pub fn is_refreshable(create: &str) -> bool {
    engine_of(create) == "MaterializedView" && definition(create).iter().any(|token| token.is_word("REFRESH"))
}

/// Whether the table deletes rows by itself when their time has come. A TTL of a column stands in the brackets of
/// the columns and only empties values; one that moves or packs parts keeps every row.
#[must_use]
pub fn deletes_rows_by_ttl(create: &str) -> bool {
    let tokens = definition(create);
    let Some(at) = tokens.iter().position(|token| token.is_word("TTL")) else { return false };
    let clause: Vec<&Token<'_>> = tokens[at..].iter().take_while(|token| !token.is_word("SETTINGS")).collect();
    let keeps = clause.iter().any(|token| token.is_word("TO") || token.is_word("RECOMPRESS"));
    let deletes = clause.iter().any(|token| token.is_word("DELETE") || token.is_word("GROUP"));
    deletes || !keeps || clause.iter().any(|token| token.is_symbol(","))
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
            ("CREATE DICTIONARY a.d (`k` UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(DB 'a')) LAYOUT(FLAT())", "Dictionary"),
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
        assert_eq!(inner_engine_of("CREATE MATERIALIZED VIEW a.mv (`d` Date) ENGINE = Log AS SELECT 1").as_deref(), Some("Log"));
        assert_eq!(inner_engine_of("CREATE MATERIALIZED VIEW a.mv TO a.t (`d` Date) AS SELECT 1"), None);
        assert!(is_refreshable("CREATE MATERIALIZED VIEW a.mv REFRESH EVERY 1 DAY ENGINE = Memory AS SELECT 1"));
        assert!(!is_refreshable(inner));
    }

    #[test]
    fn only_a_table_ttl_that_deletes_counts() {
        assert!(deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d + toIntervalDay(1) SETTINGS index_granularity = 8192"));
        assert!(deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d DELETE WHERE 1, d TO DISK 'x'"));
        assert!(!deletes_rows_by_ttl("CREATE TABLE t (`d` Date TTL d + toIntervalDay(1)) ENGINE = MergeTree ORDER BY d"));
        assert!(!deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d TTL d TO VOLUME 'cold'"));
        assert!(!deletes_rows_by_ttl("CREATE TABLE t (`d` Date) ENGINE = MergeTree ORDER BY d"));
    }
}
