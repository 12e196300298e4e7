//! Reads the outline of a CREATE statement: kind, name, engine with its arguments, where the SELECT begins.

use std::ops::Range;

use crate::plan::sql::{Token, TokenKind, tokenize};

/// What a CREATE statement makes, in the order of creation among objects that do not depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A dictionary.
    Dictionary,
    /// A plain view.
    View,
    /// A materialized view.
    MaterializedView,
}

/// A CREATE statement with its outline.
#[derive(Clone, Debug)]
pub struct Ddl<'a> {
    /// The statement.
    pub text: &'a str,
    /// Its tokens.
    pub tokens: Vec<Token<'a>>,
    /// What it makes.
    pub kind: ObjectKind,
    /// Database named in it.
    pub database: Option<String>,
    /// Name of the object.
    pub name: String,
    /// Token behind the name and its UUID.
    pub body: usize,
    /// Bytes that belong to this server only: `UUID '...'`, `TO INNER UUID '...'`, `IF NOT EXISTS`.
    pub own: Vec<Range<usize>>,
}

/// The engine clause of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Name, without quotes (26.7 writes ``ENGINE = `Null` ``).
    pub name: String,
    /// Token of the name.
    pub at: usize,
    /// Bytes from the name to the end of the arguments.
    pub span: Range<usize>,
    /// Bytes of each argument, in order; empty also where there are no brackets.
    pub arguments: Vec<Range<usize>>,
    /// Token behind the arguments.
    pub behind: usize,
}

impl<'a> Ddl<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// Why it is not understood, as a fragment of a sentence.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let tokens = tokenize(text).map_err(|(at, reason)| format!("at character {at}: {reason}"))?;
        Self::of(text, tokens)
    }

    /// As [`Self::parse`], of a statement whose tokens are known.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(super) fn of(text: &'a str, tokens: Vec<Token<'a>>) -> Result<Self, String> {
        let mut reader = Reader { tokens: &tokens, at: 0 };
        if !reader.take("CREATE") {
            return Err("it does not begin with CREATE".to_owned());
        }
        if reader.take("OR") {
            reader.take("REPLACE");
        }
        let kind = reader.kind()?;
        let mut own = Vec::new();
        let start = reader.at;
        if reader.take("IF") {
            reader.at += 2;
            own.push(reader.bytes(start));
        }
        let first = reader.name()?;
        let (database, name) = if reader.symbol(".") { (Some(first), reader.name()?) } else { (None, first) };
        let start = reader.at;
        if reader.take("UUID") {
            reader.at += 1;
            own.push(reader.bytes(start));
        }
        let body = reader.at;
        let inner = tokens[body.min(tokens.len())..]
            .windows(4)
            .position(|four| {
                four[0].depth == 0 && four[0].is_word("TO") && four[1].is_word("INNER") && four[2].is_word("UUID")
            })
            .map(|at| body + at);
        if let Some(at) = inner {
            own.push(tokens[at].start..tokens[at + 3].end());
        }
        Ok(Self { text, kind, database, name, body, own, tokens })
    }

    /// The token `AS` before the SELECT of a view.
    #[must_use]
    pub fn select(&self) -> Option<usize> {
        if !matches!(self.kind, ObjectKind::View | ObjectKind::MaterializedView) {
            return None;
        }
        // A column may be called `as`; the one that is followed by a query is meant.
        (self.body..self.tokens.len()).find(|&at| {
            let next = self.tokens.get(at + 1);
            self.tokens[at].depth == 0
                && self.tokens[at].is_word("AS")
                && next.is_some_and(|next| next.is_word("SELECT") || next.is_word("WITH") || next.is_symbol("("))
        })
    }

    /// The engine clause; views with a target and tables made by a table function have none.
    #[must_use]
    pub fn engine(&self) -> Option<Engine> {
        let end = self.select().unwrap_or(self.tokens.len());
        let at = (self.body..end).find(|&at| {
            self.tokens[at].depth == 0
                && self.tokens[at].is_word("ENGINE")
                && self.tokens.get(at + 1).is_some_and(|next| next.is_symbol("="))
        })? + 2;
        let name = self.tokens.get(at)?.name()?;
        let start = self.tokens[at].start;
        let opens = self.tokens.get(at + 1).is_some_and(|next| next.is_symbol("("));
        if !opens {
            let span = start..self.tokens[at].end();
            return Some(Engine { name, at, span, arguments: Vec::new(), behind: at + 1 });
        }
        let close = self.closing(at + 1)?;
        Some(Engine {
            name,
            at,
            span: start..self.tokens[close].end(),
            arguments: self
                .split(at + 2..close)
                .into_iter()
                .map(|part| self.tokens[part.start].start..self.tokens[part.end - 1].end())
                .collect(),
            behind: close + 1,
        })
    }

    /// The target of a materialized view, `TO database.table`.
    #[must_use]
    pub fn target(&self) -> Option<(Option<String>, String)> {
        let end = self.select()?;
        let at = (self.body..end).find(|&at| {
            self.tokens[at].depth == 0
                && self.tokens[at].is_word("TO")
                && !self.tokens.get(at + 1).is_some_and(|next| next.is_word("INNER"))
        })?;
        let mut reader = Reader { tokens: &self.tokens, at: at + 1 };
        let first = reader.name().ok()?;
        if reader.symbol(".") {
            return Some((Some(first), reader.name().ok()?));
        }
        Some((None, first))
    }

    /// Names of the columns, in order; empty where the statement lists none.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.column_parts().into_iter().filter_map(|part| self.tokens[part.start].name()).collect()
    }

    /// The tokens of each column, in order.
    pub(super) fn column_parts(&self) -> Vec<Range<usize>> {
        let end = self.engine().map_or(self.tokens.len(), |engine| engine.at);
        let Some(open) = (self.body..end).find(|&at| self.tokens[at].depth == 0 && self.tokens[at].is_symbol("("))
        else {
            return Vec::new();
        };
        let Some(close) = self.closing(open) else { return Vec::new() };
        let mut parts = self.split(open + 1..close);
        parts.retain(|part| !self.is_no_column(part.start));
        parts
    }

    /// Whether a word stands outside all brackets between two tokens.
    #[must_use]
    pub fn has_word(&self, range: Range<usize>, word: &str) -> bool {
        self.tokens[range].iter().any(|token| token.depth == 0 && token.is_word(word))
    }

    /// Server-written column names stand in backquotes; bare words begin the other entries of the list.
    fn is_no_column(&self, at: usize) -> bool {
        ["INDEX", "CONSTRAINT", "PROJECTION", "PRIMARY", "FOREIGN"].iter().any(|word| self.tokens[at].is_word(word))
    }

    /// The bracket that closes the one at a token.
    fn closing(&self, open: usize) -> Option<usize> {
        let depth = self.tokens[open].depth;
        (open + 1..self.tokens.len())
            .find(|&at| self.tokens[at].depth == depth && self.tokens[at].kind == TokenKind::Symbol)
    }

    /// Cuts a range of tokens at its own commas.
    fn split(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let Some(first) = self.tokens.get(range.start) else { return Vec::new() };
        let depth = first.depth;
        let mut parts = Vec::new();
        let mut start = range.start;
        for at in range.clone() {
            if self.tokens[at].depth == depth && self.tokens[at].is_symbol(",") {
                parts.push(start..at);
                start = at + 1;
            }
        }
        parts.push(start..range.end);
        parts.retain(|part| !part.is_empty());
        parts
    }
}

struct Reader<'t, 'a> {
    tokens: &'t [Token<'a>],
    at: usize,
}

impl Reader<'_, '_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn name(&mut self) -> Result<String, String> {
        let name = self.tokens.get(self.at).and_then(Token::name);
        self.at += 1;
        name.ok_or_else(|| "a name is missing behind CREATE".to_owned())
    }

    fn kind(&mut self) -> Result<ObjectKind, String> {
        if self.take("TABLE") {
            return Ok(ObjectKind::Table);
        }
        if self.take("DICTIONARY") {
            return Ok(ObjectKind::Dictionary);
        }
        if self.take("VIEW") {
            return Ok(ObjectKind::View);
        }
        if self.take("MATERIALIZED") && self.take("VIEW") {
            return Ok(ObjectKind::MaterializedView);
        }
        let word = self.tokens.get(self.at).map_or("nothing", |token| token.text);
        Err(format!("`CREATE {word}` is not a table, dictionary, view or materialized view"))
    }

    /// Bytes from a token to the one before the current.
    fn bytes(&self, start: usize) -> Range<usize> {
        let last = self.at.min(self.tokens.len()).saturating_sub(1);
        self.tokens[start].start..self.tokens[last].end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outline_is_not_fooled_by_names() {
        let text = "CREATE TABLE d.engine UUID 'u' (`engine` UInt8, `ENGINE` String, INDEX ix engine TYPE minmax) ENGINE = Replacing(a, f(b, c)) ORDER BY engine COMMENT 'ENGINE = Log'";
        let ddl = Ddl::parse(text).expect("valid");
        assert_eq!((ddl.database.as_deref(), ddl.name.as_str()), (Some("d"), "engine"));
        assert_eq!(ddl.columns(), ["engine", "ENGINE"]);
        let engine = ddl.engine().expect("there");
        assert_eq!(engine.name, "Replacing");
        let arguments: Vec<&str> = engine.arguments.iter().map(|range| &text[range.clone()]).collect();
        assert_eq!(arguments, ["a", "f(b, c)"]);
        assert_eq!(&text[ddl.own[0].clone()], "UUID 'u'");
    }

    #[test]
    fn a_views_query_ends_its_outline() {
        let text = "CREATE MATERIALIZED VIEW d.v TO d.t (`as` UInt8) AS SELECT 1 AS as WHERE engine = 'x'";
        let ddl = Ddl::parse(text).expect("valid");
        assert_eq!(ddl.kind, ObjectKind::MaterializedView);
        assert_eq!(ddl.engine(), None);
        assert_eq!(ddl.target(), Some((Some("d".into()), "t".into())));
        assert_eq!(ddl.columns(), ["as"]);
    }

    #[test]
    fn quoted_engines_and_missing_brackets() {
        let ddl = Ddl::parse("CREATE TABLE d.as (`a` UInt8) ENGINE = `Null`").expect("valid");
        assert_eq!(ddl.engine().map(|engine| engine.name), Some("Null".to_owned()));
        assert!(Ddl::parse("CREATE LIVE VIEW d.v AS SELECT 1").is_err());
        assert!(Ddl::parse("CREATE TABLE").is_err());
        assert!(Ddl::parse("").is_err());
        assert!(Ddl::parse("CREATE TABLE IF").is_err());
        assert!(Ddl::parse("CREATE TABLE d UUID").is_ok());
    }
}
