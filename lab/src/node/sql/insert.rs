//! Finds the data behind an INSERT.

use super::lexer::{Kind, Token, tokens, unquote};

/// An INSERT with data: what the engine is told, the format of the data, and where the data begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InsertParts {
    /// The statement up to FORMAT or VALUES.
    pub statement: String,
    /// Format of the data.
    pub format: String,
    /// Where the data begins in the text the client sent.
    pub data_at: usize,
}

impl InsertParts {
    /// Splits an INSERT that carries data; `None` for every other statement, an `INSERT ... SELECT` included.
    pub fn find(sql: &str) -> Option<Self> {
        let is = |token: &Token, word: &str| {
            token.kind == Kind::Word && token.depth == 0 && sql[token.range.clone()].eq_ignore_ascii_case(word)
        };
        let mut rest = tokens(sql).peekable();
        if !is(&rest.next()?, "INSERT") {
            return None;
        }
        rest.next_if(|token| is(token, "INTO"));
        rest.next_if(|token| is(token, "TABLE"));
        // The table's name may be a word such as `format`; skip one token and what hangs on it by a dot.
        rest.next()?;
        while rest.next_if(|token| token.kind == Kind::Sign('.')).is_some() {
            rest.next()?;
        }
        while let Some(token) = rest.next() {
            if is(&token, "SELECT") || is(&token, "WITH") || is(&token, "WATCH") || is(&token, "INFILE") {
                return None;
            }
            if token.kind == Kind::Sign('(') && rest.peek().is_some_and(|next| is_query_start(sql, next)) {
                return None;
            }
            if is(&token, "VALUES") {
                return Some(Self::at(sql, &token, "Values", token.range.end));
            }
            if is(&token, "FORMAT") {
                let name = rest.next()?;
                let format = unquote(&sql[name.range.clone()]);
                // `FORMAT Values` and `VALUES` are followed by data at once, the others by one line end at most.
                let data_at = data_start(sql, name.range.end);
                return Some(Self::at(sql, &token, &format, data_at));
            }
        }
        None
    }

    fn at(sql: &str, keyword: &Token, format: &str, data_at: usize) -> Self {
        Self { statement: sql[..keyword.range.start].trim_end().to_owned(), format: format.to_owned(), data_at }
    }
}

/// A bracket with a query in it, `INSERT INTO t (SELECT 1)`, and not a list of columns.
fn is_query_start(sql: &str, token: &Token) -> bool {
    let word = &sql[token.range.clone()];
    token.kind == Kind::Word && (word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("WITH"))
}

/// Data begins behind the spaces and the first line end after the name of the format.
fn data_start(sql: &str, from: usize) -> usize {
    let rest = &sql[from..];
    let trimmed = rest.trim_start_matches([' ', '\t', '\u{c}']);
    let trimmed = trimmed.strip_prefix('\r').unwrap_or(trimmed);
    let trimmed = trimmed.strip_prefix('\n').unwrap_or(trimmed);
    sql.len() - trimmed.len()
}

#[cfg(test)]
mod tests {
    use super::InsertParts;

    fn split(sql: &str) -> Option<(String, String, &str)> {
        InsertParts::find(sql).map(|parts| (parts.statement, parts.format, &sql[parts.data_at..]))
    }

    #[test]
    fn data_begins_behind_the_format() {
        assert_eq!(
            split("INSERT INTO d.t (a, b) SETTINGS x=1 FORMAT JSONEachRow\n{\"a\":1}\n\n{}"),
            Some(("INSERT INTO d.t (a, b) SETTINGS x=1".into(), "JSONEachRow".into(), "{\"a\":1}\n\n{}"))
        );
        assert_eq!(split("insert into t values (1)"), Some(("insert into t".into(), "Values".into(), " (1)")));
        assert_eq!(split("INSERT INTO t FORMAT CSV"), Some(("INSERT INTO t".into(), "CSV".into(), "")));
        assert_eq!(split("INSERT INTO t FORMAT TSV \t\r\n\n1"), Some(("INSERT INTO t".into(), "TSV".into(), "\n1")));
    }

    #[test]
    fn names_may_be_keywords() {
        assert_eq!(
            split("INSERT INTO format.`values` (format) FORMAT CSV 1"),
            Some(("INSERT INTO format.`values` (format)".into(), "CSV".into(), "1"))
        );
        assert_eq!(
            split("INSERT INTO FUNCTION null('a Int8') VALUES (1)"),
            Some(("INSERT INTO FUNCTION null('a Int8')".into(), "Values".into(), " (1)"))
        );
    }

    #[test]
    fn inserts_of_queries_have_no_data() {
        for sql in [
            "INSERT INTO t SELECT 1",
            "INSERT INTO t (a) SELECT 'x FORMAT CSV'",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t WITH 1 AS x SELECT x",
            "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
            "SELECT 1 FORMAT CSV",
        ] {
            assert_eq!(split(sql), None, "{sql}");
        }
    }
}
