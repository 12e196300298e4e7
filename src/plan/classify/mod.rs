//! What a SQL statement does, told from its text: whether it reads, writes or destroys, and whom.
//!
//! Only the beginning of a statement and its top-level words are looked at. What is not known counts as destroying
//! something unknown, so that the author has to say what is lost.

mod verbs;

use crate::plan::operation::Effect;
use crate::plan::sql::{Token, TokenKind, tokenize};

/// A name as a statement writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Database, where one is written.
    pub database: Option<String>,
    /// Name of the object.
    pub name: String,
}

/// What a statement does to objects the simulated world knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is simulated.
    Other,
    /// `DROP TABLE | VIEW | DICTIONARY`.
    DropTables {
        /// Dropped.
        names: Vec<Name>,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `DROP DATABASE`.
    DropDatabase {
        /// Dropped.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `TRUNCATE TABLE`.
    Truncate {
        /// Emptied.
        name: Name,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `TRUNCATE DATABASE` or `TRUNCATE ALL TABLES FROM`.
    TruncateDatabase {
        /// Database.
        name: String,
        /// `IF EXISTS`.
        if_exists: bool,
    },
    /// `CREATE TABLE | VIEW | MATERIALIZED VIEW | DICTIONARY`.
    CreateTable {
        /// Created.
        name: Name,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
        /// Engine as written, `View` and the like for views; empty where the server picks one.
        engine: String,
        /// Whether the statement also fills it (`AS SELECT`, `POPULATE`), so that existing does not mean done.
        filled: bool,
    },
    /// `CREATE DATABASE`.
    CreateDatabase {
        /// Created.
        name: String,
        /// `IF NOT EXISTS`.
        if_not_exists: bool,
        /// Engine; `Atomic` where none is written (the server's default since 20.10).
        engine: String,
    },
    /// `INSERT INTO`.
    Insert {
        /// Filled.
        name: Name,
    },
}

/// What may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Losing {
    /// No rows.
    Nothing,
    /// What the objects of [`Change`] hold.
    Objects,
    /// At most all rows of a table, if it exists.
    AtMost(Name),
    /// It cannot be told from the text.
    Unclear,
}

/// What is known about a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    /// What it does.
    pub effect: Effect,
    /// Its first words, e.g. `DROP TABLE`.
    pub verb: String,
    /// The object it is about, for people; empty where it is not recognised.
    pub object: Option<Name>,
    /// What happens to objects.
    pub change: Change,
    /// What may be lost.
    pub losing: Losing,
    /// Whether an error answer of the kind "unknown table", "already exists", "not allowed" proves that nothing
    /// happened: one object, and no data read or written on the way.
    pub all_or_nothing: bool,
}

/// A statement that a runbook must not hold, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub help: String,
}

/// Tells what one statement does.
///
/// # Errors
/// [`Forbidden`] for what has no place in a runbook.
pub fn classify(statement: &str) -> Result<Classified, Forbidden> {
    let tokens = tokenize(statement).map_err(|(at, reason)| Forbidden {
        message: format!("{reason} (at byte {at})"),
        help: "close it".to_owned(),
    })?;
    verbs::forbidden(&tokens)?;
    Ok(verbs::by_verb(&Words(&tokens)))
}

/// Tokens with questions about them.
struct Words<'a>(&'a [Token<'a>]);

impl Words<'_> {
    /// Whether the tokens from `at` on are these words.
    fn are(&self, at: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(step, word)| self.0.get(at + step).is_some_and(|token| token.is_word(word)))
    }

    /// Place behind the words if they stand at `at`, else `at`.
    fn skip(&self, at: usize, words: &[&str]) -> (usize, bool) {
        if self.are(at, words) { (at + words.len(), true) } else { (at, false) }
    }

    /// The token's word in capitals; empty for other tokens.
    fn word(&self, at: usize) -> String {
        self.0
            .get(at)
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text.to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// The first place at the top level where these words stand.
    fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.0.len()).find(|at| self.0[*at].depth == 0 && self.are(*at, words))
    }

    /// Whether a word stands anywhere, in brackets too.
    fn holds(&self, word: &str) -> bool {
        self.0.iter().any(|token| token.is_word(word))
    }

    /// A name and the place behind it.
    fn name(&self, at: usize) -> Option<(Name, usize)> {
        let first = self.0.get(at)?.name()?;
        let dotted = self.0.get(at + 1).is_some_and(|token| token.is_symbol("."));
        match (dotted, self.0.get(at + 2).and_then(Token::name)) {
            (true, Some(second)) => Some((Name { database: Some(first), name: second }, at + 3)),
            (true, None) => None,
            (false, _) => Some((Name { database: None, name: first }, at + 1)),
        }
    }

    /// Names with commas between them and the place behind them.
    fn names(&self, at: usize) -> Option<(Vec<Name>, usize)> {
        let (first, mut at) = self.name(at)?;
        let mut names = vec![first];
        while self.0.get(at).is_some_and(|token| token.is_symbol(",")) {
            let (next, after) = self.name(at + 1)?;
            names.push(next);
            at = after;
        }
        Some((names, at))
    }

    /// The word behind `ENGINE` (and an optional `=`) at the top level.
    fn engine(&self) -> Option<String> {
        let at = self.find(&["ENGINE"])? + 1;
        let at = if self.0.get(at)?.is_symbol("=") { at + 1 } else { at };
        self.0.get(at)?.name()
    }
}

#[cfg(test)]
mod tests;
