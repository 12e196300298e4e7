//! What a SQL statement does, told from its text: whether it reads, writes or destroys, and whom.
//!
//! Only the beginning of a statement and its top-level words are looked at. What is not known counts as destroying
//! something unknown, so that the author has to say what is lost.

use super::operation::Effect;
use super::sql::{Token, TokenKind, tokenize};

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
    super::classify_verbs::forbidden(&tokens)?;
    Ok(super::classify_verbs::by_verb(&Words(&tokens)))
}

/// Tokens with questions about them.
pub(super) struct Words<'a>(pub(super) &'a [Token<'a>]);

impl Words<'_> {
    /// Whether the tokens from `at` on are these words.
    pub(super) fn are(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(step, word)| self.0.get(at + step).is_some_and(|token| token.is_word(word)))
    }

    /// Place behind the words if they stand at `at`, else `at`.
    pub(super) fn skip(&self, at: usize, words: &[&str]) -> (usize, bool) {
        if self.are(at, words) { (at + words.len(), true) } else { (at, false) }
    }

    /// The token's word in capitals; empty for other tokens.
    pub(super) fn word(&self, at: usize) -> String {
        self.0
            .get(at)
            .filter(|token| token.kind == TokenKind::Word)
            .map(|token| token.text.to_ascii_uppercase())
            .unwrap_or_default()
    }

    /// The first place at the top level where these words stand.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.0.len()).find(|at| self.0[*at].depth == 0 && self.are(*at, words))
    }

    /// Whether a word stands anywhere, in brackets too.
    pub(super) fn holds(&self, word: &str) -> bool {
        self.0.iter().any(|token| token.is_word(word))
    }

    /// A name and the place behind it.
    pub(super) fn name(&self, at: usize) -> Option<(Name, usize)> {
        let first = self.0.get(at)?.name()?;
        let dotted = self.0.get(at + 1).is_some_and(|token| token.is_symbol("."));
        match (dotted, self.0.get(at + 2).and_then(Token::name)) {
            (true, Some(second)) => Some((Name { database: Some(first), name: second }, at + 3)),
            (true, None) => None,
            (false, _) => Some((Name { database: None, name: first }, at + 1)),
        }
    }

    /// Names with commas between them and the place behind them.
    pub(super) fn names(&self, at: usize) -> Option<(Vec<Name>, usize)> {
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
    pub(super) fn engine(&self) -> Option<String> {
        let at = self.find(&["ENGINE"])? + 1;
        let at = if self.0.get(at)?.is_symbol("=") { at + 1 } else { at };
        self.0.get(at)?.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statement: &str) -> Classified {
        classify(statement).expect("allowed")
    }

    fn name(database: &str, name: &str) -> Name {
        Name { database: (!database.is_empty()).then(|| database.to_owned()), name: name.to_owned() }
    }

    #[test]
    fn reading_statements() {
        for statement in [
            "SELECT 1",
            "select 1",
            "/* DROP */ SELECT 1",
            "(SELECT 1) UNION ALL (SELECT 2)",
            "((WITH 1 AS x SELECT x))",
            "WITH t AS (SELECT 1) SELECT * FROM t",
            "FROM t SELECT *",
            "SHOW TABLES",
            "DESC d.t",
            "EXISTS TABLE d.t",
            "EXPLAIN SELECT 1",
            "CHECK TABLE d.t",
        ] {
            assert_eq!(of(statement).effect, Effect::Read, "{statement}");
        }
    }

    #[test]
    fn writing_statements() {
        for statement in [
            "INSERT INTO d.t VALUES (1)",
            "WITH 1 AS x INSERT INTO d.t SELECT x",
            "CREATE TABLE d.t (a Int8) ENGINE = Memory",
            "CREATE USER u",
            "ALTER TABLE d.t ADD COLUMN b Int8",
            "ALTER TABLE d.t UPDATE a = 1 WHERE b = 'DROP PARTITION'",
            "ALTER TABLE d.t ADD COLUMN c Int8 COMMENT 'DELETE WHERE'",
            "ALTER TABLE d.t DROP INDEX i",
            "OPTIMIZE TABLE d.t FINAL",
            "RENAME TABLE a.a TO a.b",
            "SYSTEM SYNC REPLICA d.t",
            "SYSTEM FLUSH LOGS",
            "SYSTEM STOP MERGES",
            "SYSTEM DROP MARK CACHE",
            "DETACH TABLE d.t",
            "GRANT SELECT ON d.* TO u",
        ] {
            let found = of(statement);
            assert_eq!((found.effect, found.losing), (Effect::Write, Losing::Nothing), "{statement}");
        }
    }

    #[test]
    fn destroying_statements_with_a_bound() {
        for (statement, verb) in [
            ("ALTER TABLE d.t DELETE WHERE 1", "ALTER TABLE"),
            ("ALTER TABLE IF EXISTS d.t DROP PARTITION 1", "ALTER TABLE"),
            ("ALTER TABLE d.`t` ADD COLUMN a Int8, DROP COLUMN b", "ALTER TABLE"),
            ("ALTER TABLE d.t CLEAR COLUMN b IN PARTITION 1", "ALTER TABLE"),
            ("ALTER TABLE d.t MODIFY TTL x + INTERVAL 1 DAY", "ALTER TABLE"),
            ("ALTER TABLE d.t REPLACE PARTITION 1 FROM d.u", "ALTER TABLE"),
            ("DELETE FROM d.t WHERE a = 1", "DELETE FROM"),
            ("DETACH TABLE d.t PERMANENTLY", "DETACH TABLE"),
            ("OPTIMIZE TABLE d.t DEDUPLICATE", "OPTIMIZE TABLE"),
            ("REPLACE TABLE d.t (a Int8) ENGINE = Memory", "REPLACE TABLE"),
            ("CREATE OR REPLACE TABLE d.t (a Int8) ENGINE = Memory", "CREATE OR REPLACE TABLE"),
        ] {
            let found = of(statement);
            assert_eq!(found.losing, Losing::AtMost(name("d", "t")), "{statement}");
            assert_eq!((found.effect, found.verb.as_str()), (Effect::Destroy, verb), "{statement}");
        }
    }

    #[test]
    fn what_is_dropped_and_created() {
        assert_eq!(
            of("DROP TABLE IF EXISTS d.a, `b.c` SYNC").change,
            Change::DropTables { names: vec![name("d", "a"), name("", "b.c")], if_exists: true }
        );
        assert_eq!(
            of("DROP DATABASE d SYNC").change,
            Change::DropDatabase { name: "d".to_owned(), if_exists: false }
        );
        assert_eq!(
            of("TRUNCATE d.t").change,
            Change::Truncate { name: name("d", "t"), if_exists: false }
        );
        assert_eq!(
            of("TRUNCATE ALL TABLES FROM IF EXISTS d").change,
            Change::TruncateDatabase { name: "d".to_owned(), if_exists: true }
        );
        assert_eq!(
            of("CREATE DATABASE IF NOT EXISTS d ENGINE = Atomic").change,
            Change::CreateDatabase { name: "d".to_owned(), if_not_exists: true, engine: "Atomic".to_owned() }
        );
        assert_eq!(
            of("CREATE MATERIALIZED VIEW d.v ENGINE = Log POPULATE AS SELECT 1").change,
            Change::CreateTable {
                name: name("d", "v"),
                if_not_exists: false,
                engine: "MaterializedView".to_owned(),
                filled: true
            }
        );
    }

    #[test]
    fn what_is_not_known_must_be_declared() {
        for statement in ["FROBNICATE d.t", "ALTER TABLE d.t DROP DETACHED PARTITION ALL", "DROP SOMETHING x"] {
            let found = of(statement);
            assert_eq!((found.effect, found.losing), (Effect::Destroy, Losing::Unclear), "{statement}");
        }
    }

    #[test]
    fn what_has_no_place_in_a_runbook() {
        for statement in [
            "BACKUP DATABASE d TO S3('x')",
            "RESTORE TABLE d.t FROM S3('x')",
            "DROP TABLE d.t ON CLUSTER c",
            "SET a = 1",
            "USE d",
            "SELECT 1 FORMAT JSON",
            "SELECT 1 INTO OUTFILE 'x'",
            "DROP TABLE a PARALLEL WITH DROP TABLE b",
            "SELECT 'open",
            "",
        ] {
            assert!(classify(statement).is_err(), "{statement}");
        }
        assert!(classify("SELECT 'ON CLUSTER', `FORMAT` FROM t").is_ok());
    }

    #[test]
    fn only_a_single_object_without_data_fails_as_a_whole() {
        assert!(of("DROP TABLE d.t").all_or_nothing);
        assert!(of("CREATE DATABASE d").all_or_nothing);
        assert!(!of("DROP TABLE d.t, d.u").all_or_nothing);
        assert!(!of("INSERT INTO d.t VALUES (1)").all_or_nothing);
        assert!(!of("RENAME TABLE a TO b, c TO d").all_or_nothing);
    }
}
