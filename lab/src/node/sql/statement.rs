//! A statement and the questions the node asks about it.

use std::ops::Range;

use super::insert::InsertParts;
use super::lexer::{Kind, Token, quote_string, tokens, unquote};

/// A statement without the data of an INSERT.
pub struct Statement {
    text: String,
    tokens: Vec<Token>,
    insert: Option<InsertParts>,
}

impl Statement {
    /// Takes a statement apart. `text` may carry (the begin of) the data of an INSERT.
    pub fn new(text: &str) -> Self {
        let insert = InsertParts::find(text);
        let head = insert.as_ref().map_or(text, |parts| text[..parts.data_at].trim_end());
        Self { text: head.to_owned(), tokens: tokens(head).collect(), insert }
    }

    /// The statement; of an INSERT with data, up to the data.
    pub fn head(&self) -> &str {
        &self.text
    }

    /// The parts of an INSERT with data.
    pub fn insert(&self) -> Option<&InsertParts> {
        self.insert.as_ref()
    }

    /// Whether there is no statement at all.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Whether the statement begins with these words, in any case.
    pub fn begins_with(&self, words: &[&str]) -> bool {
        self.tokens.len() >= words.len() && words.iter().zip(&self.tokens).all(|(word, token)| self.is(token, word))
    }

    /// Whether the statement leaves no trace: a query, or a change of the session alone.
    pub fn only_reads(&self) -> bool {
        const READING: [&str; 9] = ["SELECT", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "USE", "SET"];
        let with = self.begins_with(&["WITH"]) && self.word("INSERT").is_none();
        with || self.begins_with_bracket() || READING.iter().any(|word| self.begins_with(&[word]))
    }

    /// Whether the result can come in chunks.
    pub fn is_query(&self) -> bool {
        let with = self.begins_with(&["WITH"]) && self.word("INSERT").is_none();
        (with || self.begins_with(&["SELECT"]) || self.begins_with_bracket()) && self.word("OUTFILE").is_none()
    }

    /// The format of the result the statement asks for.
    pub fn format(&self) -> Option<String> {
        if self.insert.is_some() {
            return None;
        }
        let last = self.tokens.iter().rposition(|token| self.is(token, "FORMAT") && token.depth == 0)?;
        let name = self.tokens.get(last + 1).filter(|token| token.kind == Kind::Word)?;
        Some(self.of(name).to_owned())
    }

    /// Whether a second statement follows the first.
    pub fn has_several(&self) -> bool {
        let end = self.tokens.iter().position(|token| token.kind == Kind::Sign(';'));
        end.is_some_and(|end| self.tokens[end..].iter().any(|token| token.kind != Kind::Sign(';')))
    }

    /// The cluster of `ON CLUSTER`, and the statement without the clause.
    pub fn on_cluster(&self) -> Option<(String, String)> {
        if self.only_reads() || self.begins_with(&["INSERT"]) {
            return None;
        }
        let at = self.tokens.windows(3).position(|three| {
            self.is(&three[0], "ON") && self.is(&three[1], "CLUSTER") && !matches!(three[2].kind, Kind::Sign(_))
        })?;
        let range = self.tokens[at].range.start..self.tokens[at + 2].range.end;
        let cluster = unquote(self.of(&self.tokens[at + 2]));
        let without = format!("{} {}", self.text[..range.start].trim_end(), self.text[range.end..].trim_start());
        Some((cluster, without.trim_end().to_owned()))
    }

    /// The name behind the first words: the table of `ALTER TABLE`, as (database, table).
    pub fn table_after(&self, words: usize) -> Option<(Option<String>, String)> {
        let mut at = words;
        if self.word_at(at, "IF") {
            at += if self.word_at(at + 1, "NOT") { 3 } else { 2 };
        }
        let first = unquote(self.of(self.tokens.get(at)?));
        match self.tokens.get(at + 1) {
            Some(dot) if dot.kind == Kind::Sign('.') => Some((Some(first), unquote(self.of(self.tokens.get(at + 2)?)))),
            _ => Some((None, first)),
        }
    }

    /// The statement with `UUID '...'` behind the name of its table.
    pub fn with_table_uuid(&self, words: usize, uuid: &str) -> String {
        let mut at = words + if self.word_at(words, "IF") { 3 } else { 0 };
        if self.tokens.get(at + 1).is_some_and(|token| token.kind == Kind::Sign('.')) {
            at += 2;
        }
        let end = self.tokens.get(at).map_or(self.text.len(), |token| token.range.end);
        format!("{} UUID '{uuid}'{}", &self.text[..end], &self.text[end..])
    }

    /// Whether any of the words stands in the statement outside of brackets.
    pub fn contains_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.word(word).is_some())
    }

    /// A KILL as the engine can answer it: without SYNC, which never returns in libchdb, and with the ids the engine
    /// knows in the place of the clients'.
    pub fn kill(&self, engine_id: impl Fn(&str) -> Option<String>) -> String {
        self.replaced(|token| match token.kind {
            Kind::Text => engine_id(&unquote(self.of(token))).map(|id| quote_string(&id)),
            Kind::Word if token.depth == 0 && self.of(token).eq_ignore_ascii_case("SYNC") => Some("ASYNC".to_owned()),
            _ => None,
        })
    }

    /// The statement with the ids the engine knows in the place of the clients'.
    pub fn with_ids(&self, engine_id: impl Fn(&str) -> Option<String>) -> String {
        self.replaced(|token| {
            let id = Some(token).filter(|token| token.kind == Kind::Text).map(|token| unquote(self.of(token)))?;
            engine_id(&id).map(|id| quote_string(&id))
        })
    }

    /// Whether this is an INSERT of a query that reads data sent with it.
    pub fn reads_input(&self) -> bool {
        let calls_input = |pair: &[Token]| self.is(&pair[0], "input") && pair[1].kind == Kind::Sign('(');
        self.begins_with(&["INSERT"]) && self.insert.is_none() && self.tokens.windows(2).any(calls_input)
    }

    /// The statement with some tokens replaced.
    fn replaced(&self, with: impl Fn(&Token) -> Option<String>) -> String {
        let mut out = String::with_capacity(self.text.len());
        let mut copied = 0;
        for token in &self.tokens {
            if let Some(text) = with(token) {
                out.push_str(&self.text[copied..token.range.start]);
                out.push_str(&text);
                copied = token.range.end;
            }
        }
        out.push_str(&self.text[copied..]);
        out
    }

    fn begins_with_bracket(&self) -> bool {
        let first = self.tokens.iter().find(|token| token.kind != Kind::Sign('('));
        self.tokens.first().is_some_and(|token| token.kind == Kind::Sign('('))
            && first.is_some_and(|token| self.is(token, "SELECT") || self.is(token, "WITH"))
    }

    fn word(&self, word: &str) -> Option<Range<usize>> {
        self.tokens.iter().find(|token| token.depth == 0 && self.is(token, word)).map(|token| token.range.clone())
    }

    fn word_at(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| self.is(token, word))
    }

    fn is(&self, token: &Token, word: &str) -> bool {
        token.kind == Kind::Word && self.of(token).eq_ignore_ascii_case(word)
    }

    fn of(&self, token: &Token) -> &str {
        &self.text[token.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_reads_and_what_can_be_streamed() {
        let of = |sql| (Statement::new(sql).only_reads(), Statement::new(sql).is_query());
        assert_eq!(of("-- c\nselect 1"), (true, true));
        assert_eq!(of("WITH 1 AS x SELECT x"), (true, true));
        assert_eq!(of("(SELECT 1) UNION ALL (SELECT 2)"), (true, true));
        assert_eq!(of("SHOW TABLES"), (true, false));
        assert_eq!(of("WITH 1 AS x INSERT INTO t SELECT x"), (false, false));
        assert_eq!(of("INSERT INTO t VALUES (1)"), (false, false));
        assert_eq!(of("BACKUP DATABASE a TO Disk('b', 'c')"), (false, false));
    }

    #[test]
    fn finds_format_and_several_statements() {
        assert_eq!(Statement::new("SELECT 'FORMAT x' FORMAT JSON SETTINGS a=1").format().as_deref(), Some("JSON"));
        assert_eq!(Statement::new("SELECT 1").format(), None);
        assert!(Statement::new("SELECT 1; SELECT 2").has_several());
        assert!(!Statement::new("SELECT ';' ; -- end").has_several());
    }

    #[test]
    fn takes_on_cluster_out() {
        let of = |sql| Statement::new(sql).on_cluster();
        assert_eq!(
            of("CREATE TABLE a.b on cluster 'lab' (x Int8) ENGINE = Memory"),
            Some(("lab".into(), "CREATE TABLE a.b (x Int8) ENGINE = Memory".into()))
        );
        assert_eq!(of("DROP TABLE t ON CLUSTER lab SYNC"), Some(("lab".into(), "DROP TABLE t SYNC".into())));
        assert_eq!(
            of("SYSTEM SYNC REPLICA ON CLUSTER `lab` a.b"),
            Some(("lab".into(), "SYSTEM SYNC REPLICA a.b".into()))
        );
        assert_eq!(of("CREATE TABLE t (x String DEFAULT 'ON CLUSTER lab')"), None);
        assert_eq!(of("SELECT 1 FROM a JOIN b ON cluster = x"), None);
    }

    #[test]
    fn kills_without_sync_and_by_the_engines_id() {
        let statement = Statement::new("KILL QUERY WHERE query_id = 'mine' SYNC");
        let text = statement.kill(|id| (id == "mine").then(|| "its".to_owned()));
        assert_eq!(text, "KILL QUERY WHERE query_id = 'its' ASYNC");
    }

    #[test]
    fn reads_the_table_of_an_alter() {
        let of = |sql| Statement::new(sql).table_after(2);
        assert_eq!(of("ALTER TABLE a.`b` ADD COLUMN c Int8"), Some((Some("a".into()), "b".into())));
        assert_eq!(of("OPTIMIZE TABLE t FINAL"), Some((None, "t".into())));
        assert_eq!(of("TRUNCATE TABLE IF EXISTS t"), Some((None, "t".into())));
        let created = Statement::new("CREATE TABLE IF NOT EXISTS a.b (x Int8)").with_table_uuid(2, "u");
        assert_eq!(created, "CREATE TABLE IF NOT EXISTS a.b UUID 'u' (x Int8)");
    }
}
