//! Lines of a statement for people: broken only at blanks outside strings, so that the text stays the same but for
//! the line breaks.

use super::sql::{Token, tokenize};

/// Words that begin a line at the top level of a statement.
const CLAUSES: [&str; 24] = [
    "ENGINE",
    "PARTITION",
    "PRIMARY",
    "ORDER",
    "SAMPLE",
    "TTL",
    "SETTINGS",
    "COMMENT",
    "SOURCE",
    "LAYOUT",
    "LIFETIME",
    "FROM",
    "SELECT",
    "WHERE",
    "PREWHERE",
    "GROUP",
    "HAVING",
    "LIMIT",
    "UNION",
    "REFRESH",
    "TO",
    "AS",
    "VALUES",
    "ARRAY",
];

/// Those of them that begin a line of a query.
const QUERY_CLAUSES: [&str; 10] =
    ["ORDER", "FROM", "SELECT", "WHERE", "PREWHERE", "GROUP", "HAVING", "LIMIT", "UNION", "SETTINGS"];

/// The lines of a statement. A text with line breaks of its own, or one that is no SQL, keeps its lines.
///
/// ```
/// assert_eq!(clickferry::plan::layout::lines("CREATE TABLE t (a Int8, b Int8) ENGINE = Log"), [
///     "CREATE TABLE t",
///     "  (a Int8,",
///     "  b Int8)",
///     "ENGINE = Log",
/// ]);
/// ```
#[must_use]
pub fn lines(sql: &str) -> Vec<String> {
    if sql.contains('\n') {
        return sql.lines().map(str::to_owned).collect();
    }
    let Ok(tokens) = tokenize(sql) else { return vec![sql.to_owned()] };
    let creates = tokens.first().is_some_and(|first| first.is_word("CREATE") || first.is_word("ATTACH"));
    let columns = if creates { columns_of(&tokens) } else { None };
    // Of many queries in one, each stands on a line.
    let unites = !creates && tokens.iter().any(|token| token.depth == 0 && token.is_word("UNION"));
    let mut out = Vec::new();
    let (mut start, mut indent) = (0, "");
    for (at, token) in tokens.iter().enumerate().skip(1) {
        let previous = &tokens[at - 1];
        let in_columns = columns.is_some_and(|(open, close)| at > open && at < close);
        let begins = match columns {
            Some((open, _)) if at == open => true,
            _ if in_columns => previous.is_symbol(",") && previous.depth == 1,
            _ if unites => token.depth == 0 && (token.is_word("UNION") || token.is_word("SETTINGS")),
            _ => token.depth == 0 && begins_clause(&tokens, at),
        };
        // Only at blanks: a break anywhere else would show another text than the one that is sent.
        if begins && sql[..token.start].ends_with(' ') {
            out.push(format!("{indent}{}", sql[start..token.start].trim_end()));
            start = token.start;
            indent = if in_columns || columns.is_some_and(|(open, _)| at == open) { "  " } else { "" };
        }
    }
    out.push(format!("{indent}{}", sql[start..].trim_end()));
    out
}

/// First and last bracket around the columns of a definition.
fn columns_of(tokens: &[Token<'_>]) -> Option<(usize, usize)> {
    let open = tokens.iter().position(|token| token.depth == 0 && (token.is_symbol("(") || ends_head(token)))?;
    if !tokens[open].is_symbol("(") {
        return None;
    }
    let close = tokens[open + 1..].iter().position(|token| token.depth == 0)? + open + 1;
    Some((open, close))
}

fn ends_head(token: &Token<'_>) -> bool {
    ["ENGINE", "AS", "SELECT"].iter().any(|word| token.is_word(word))
}

fn begins_clause(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    if !CLAUSES.iter().any(|word| token.is_word(word)) {
        return false;
    }
    // In a query the other words are names of columns.
    if tokens[0].is_word("SELECT") && !QUERY_CLAUSES.iter().any(|word| token.is_word(word)) {
        return false;
    }
    let previous = &tokens[at - 1];
    let next = |word: &str| tokens.get(at + 1).is_some_and(|next| next.is_word(word));
    // `count() AS errors` goes on, `AS SELECT` begins; `(a) TO b` begins, `RENAME a TO b` goes on.
    if token.is_word("AS") {
        return next("SELECT") || next("WITH");
    }
    if token.is_word("SELECT") {
        return !previous.is_word("AS") && !previous.is_symbol("(");
    }
    if token.is_word("TO") {
        return tokens[0].is_word("CREATE") || tokens[0].is_word("BACKUP");
    }
    if token.is_word("COMMENT") {
        return tokens[0].is_word("CREATE");
    }
    !["DROP", "TRUNCATE", "SYSTEM", "ALTER", "DELETE"].iter().any(|word| tokens[0].is_word(word))
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn the_text_is_the_same_but_for_line_breaks() {
        for sql in [
            "CREATE TABLE d.t (`a b` String DEFAULT 'x, y  z', c Tuple(Int8, Int8)) ENGINE = MergeTree ORDER BY (a, c) SETTINGS x = 1",
            "CREATE MATERIALIZED VIEW d.m TO d.t (`a` Int8) AS SELECT a AS b, sum(c) AS s FROM d.x WHERE y IN (SELECT 1 FROM z) GROUP BY a",
            "BACKUP DATABASE `d` TO S3('a b', ${secret x.access_key}) SETTINGS id='${operation.id}' ASYNC",
            "DROP DATABASE `d` SYNC",
            "rmr /clickhouse/tables/01/d",
            "SELECT 0, count() FROM d.t UNION ALL SELECT 1, count() FROM (SELECT * FROM d.v LIMIT 0) SETTINGS x = 0",
            "it's open",
        ] {
            let joined: Vec<String> = lines(sql).iter().map(|line| line.trim().to_owned()).collect();
            assert_eq!(joined.join(" "), sql);
        }
    }

    #[test]
    fn clauses_and_columns_begin_lines() {
        assert_eq!(
            lines("CREATE MATERIALIZED VIEW d.m TO d.t (`a` Int8, b Int8) AS SELECT a, count() AS b FROM x GROUP BY a"),
            [
                "CREATE MATERIALIZED VIEW d.m",
                "TO d.t",
                "  (`a` Int8,",
                "  b Int8)",
                "AS SELECT a, count() AS b",
                "FROM x",
                "GROUP BY a"
            ]
        );
        assert_eq!(lines("RENAME TABLE a TO b"), ["RENAME TABLE a TO b"]);
        assert_eq!(lines("SELECT 1\nFROM x"), ["SELECT 1", "FROM x"]);
        assert_eq!(
            lines("SELECT name, engine, comment FROM system.tables WHERE x"),
            ["SELECT name, engine, comment", "FROM system.tables", "WHERE x"]
        );
    }
}
