//! ClickHouse's tokens, as far as finding the way through a statement needs them.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bare word or a number.
    Word,
    /// A text in single quotes.
    Text,
    /// A name in backquotes or double quotes.
    Name,
    /// Any other single character.
    Sign(char),
}

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the statement.
    pub range: Range<usize>,
    /// How many round brackets are open around it.
    pub depth: usize,
}

/// Splits a statement into tokens; space and comments are left out. An unclosed quote ends with the text.
pub fn tokens(sql: &str) -> Lexer<'_> {
    Lexer { sql, at: 0, depth: 0 }
}

/// The tokens of a statement, found one by one.
pub struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    depth: usize,
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let rest = &self.sql[self.at..];
            let first = rest.chars().next()?;
            let skipped = match first {
                c if c.is_whitespace() => c.len_utf8(),
                '-' if rest.starts_with("--") => line_length(rest),
                '#' if rest.starts_with("# ") || rest.starts_with("#!") => line_length(rest),
                '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                _ => break,
            };
            self.at += skipped;
        }
        let rest = &self.sql[self.at..];
        let first = rest.chars().next()?;
        let (kind, len) = match first {
            '\'' => (Kind::Text, quoted_length(rest, b'\'')),
            '`' | '"' => (Kind::Name, quoted_length(rest, first as u8)),
            c if is_word(c) => (Kind::Word, rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            c => (Kind::Sign(c), c.len_utf8()),
        };
        if first == ')' {
            self.depth = self.depth.saturating_sub(1);
        }
        let token = Token { kind, range: self.at..self.at + len, depth: self.depth };
        if first == '(' {
            self.depth += 1;
        }
        self.at += len;
        Some(token)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn line_length(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |end| end + 1)
}

/// Length of a quoted token; the quote inside is doubled or behind a backslash.
fn quoted_length(rest: &str, quote: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The text inside a quoted token, or the bare word itself.
pub fn unquote(token: &str) -> String {
    let Some(quote @ ('\'' | '`' | '"')) = token.chars().next() else { return token.to_owned() };
    let inner = token[1..].strip_suffix(quote).unwrap_or(&token[1..]);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        if c == quote && chars.peek() == Some(&quote) {
            chars.next();
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('0') => text.push('\0'),
            Some(other) => text.push(other),
            None => text.push('\\'),
        }
    }
    text
}

/// A text in single quotes.
pub fn quote_string(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A name in backquotes.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        tokens(sql).map(|token| &sql[token.range]).collect()
    }

    #[test]
    fn comments_and_quotes_are_whole() {
        assert_eq!(
            texts("SELECT 'a; ''b\\'' /* ; */ , `x``y` -- end ;\n FROM \"t\""),
            ["SELECT", "'a; ''b\\''", ",", "`x``y`", "FROM", "\"t\""]
        );
    }

    #[test]
    fn brackets_count() {
        let depths: Vec<usize> = tokens("f(a, (b)) c").map(|token| token.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 1, 2, 1, 0, 0]);
    }

    #[test]
    fn unclosed_quotes_end_with_the_text() {
        assert_eq!(texts("a 'b\\"), ["a", "'b\\"]);
        assert_eq!(texts("ä 'ö"), ["ä", "'ö"]);
    }

    #[test]
    fn quoting_goes_both_ways() {
        let text = "it's a \\ thing\n";
        assert_eq!(unquote(&quote_string(text)), text);
        assert_eq!(unquote("`a``b`"), "a`b");
        assert_eq!(unquote("bare"), "bare");
        assert_eq!(quote_identifier("a`b"), "`a\\`b`");
    }
}
