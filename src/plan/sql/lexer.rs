//! A lexer for ClickHouse SQL: enough to find clauses at the top level without being fooled by strings,
//! quoted names, comments or brackets.

use std::borrow::Cow;

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A bare word: keyword or identifier.
    Word,
    /// An identifier in backquotes or double quotes.
    Quoted,
    /// A string literal.
    Text,
    /// A number.
    Number,
    /// Any other single character.
    Symbol,
}

/// One token with its place and its depth of brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// What it is.
    pub kind: TokenKind,
    /// Its text, quotes included.
    pub text: &'a str,
    /// First byte in the statement.
    pub start: usize,
    /// Number of round, square and curly brackets open around it; a bracket itself counts as outside.
    pub depth: usize,
}

impl<'a> Token<'a> {
    /// Whether this is the given keyword, in any case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// Whether this is the given symbol.
    #[must_use]
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == TokenKind::Symbol && self.text == symbol
    }

    /// The name that a word or a quoted identifier stands for; `None` for other tokens.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        self.name_within().map(Cow::into_owned)
    }

    /// As [`Self::name`], without a copy where it stands in the statement as it is.
    #[must_use]
    pub fn name_within(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            TokenKind::Word => Some(self.text.into()),
            TokenKind::Quoted => {
                let body = &self.text[1..self.text.len() - 1];
                Some(if body.contains('\\') { unescape(body).into() } else { body.into() })
            }
            _ => None,
        }
    }

    /// First byte behind the token.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

fn unescape(body: &str) -> String {
    let mut out = String::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            out.extend(characters.next());
        } else {
            out.push(character);
        }
    }
    out
}

/// Cuts a text into tokens; blanks and comments are left out.
///
/// # Errors
/// Byte offset and reason where a string, a quoted name, a comment or a bracket is not closed.
pub fn tokenize(sql: &str) -> Result<Vec<Token<'_>>, (usize, &'static str)> {
    let bytes = sql.as_bytes();
    // Four bytes are what a token of a definition takes on average, with the blank behind it.
    let mut tokens = Vec::with_capacity(bytes.len() / 4 + 1);
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b if b.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                at = line_end(bytes, at);
                continue;
            }
            b'#' if matches!(bytes.get(at + 1), Some(b' ' | b'!')) => {
                at = line_end(bytes, at);
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                at = sql[at + 2..]
                    .find("*/")
                    .map(|end| at + 2 + end + 2)
                    .ok_or((start, "this comment is not closed"))?;
                continue;
            }
            b'\'' => {
                at = quoted_end(bytes, at).ok_or((start, "this string is not closed"))?;
                TokenKind::Text
            }
            b'`' | b'"' => {
                at = quoted_end(bytes, at).ok_or((start, "this quoted name is not closed"))?;
                TokenKind::Quoted
            }
            b if b.is_ascii_digit() => {
                at = run_end(bytes, at, |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
                TokenKind::Number
            }
            b if is_word_byte(b) => {
                at = run_end(bytes, at, is_word_byte);
                TokenKind::Word
            }
            b'(' | b'[' | b'{' => {
                tokens.push(Token { kind: TokenKind::Symbol, text: &sql[at..=at], start, depth: open.len() });
                open.push(start);
                at += 1;
                continue;
            }
            b')' | b']' | b'}' => {
                open.pop().ok_or((start, "this bracket closes nothing"))?;
                at += 1;
                TokenKind::Symbol
            }
            _ => {
                at += 1;
                TokenKind::Symbol
            }
        };
        tokens.push(Token { kind, text: &sql[start..at], start, depth: open.len() });
    }
    match open.last() {
        Some(&start) => Err((start, "this bracket is not closed")),
        None => Ok(tokens),
    }
}

/// Cuts a text at the semicolons outside strings, comments and brackets; empty statements are left out.
///
/// # Errors
/// As [`tokenize`].
pub fn split_statements(sql: &str) -> Result<Vec<&str>, (usize, &'static str)> {
    let tokens = tokenize(sql)?;
    let mut statements = Vec::new();
    let mut start = 0;
    let mut filled = false;
    for token in &tokens {
        if token.is_symbol(";") && token.depth == 0 {
            if filled {
                statements.push(sql[start..token.start].trim());
            }
            start = token.end();
            filled = false;
        } else {
            filled = true;
        }
    }
    if filled {
        statements.push(sql[start..].trim());
    }
    Ok(statements)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    run_end(bytes, at, |byte| byte != b'\n')
}

fn run_end(bytes: &[u8], at: usize, mut belongs: impl FnMut(u8) -> bool) -> usize {
    bytes[at..].iter().position(|&byte| !belongs(byte)).map_or(bytes.len(), |length| at + length)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// The first byte behind a quoted run, where a backslash and a doubled quote escape.
fn quoted_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' {
            at += 2;
        } else if byte == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return Some(at + 1);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_names_comments_and_brackets_hide_semicolons() {
        let sql = "SELECT ';', `a;b` -- x;\n, (1) /* ; */; ; INSERT INTO t VALUES (';')";
        assert_eq!(
            split_statements(sql),
            Ok(vec!["SELECT ';', `a;b` -- x;\n, (1) /* ; */", "INSERT INTO t VALUES (';')"])
        );
    }

    #[test]
    fn what_is_open_is_reported_with_its_place() {
        assert_eq!(tokenize("SELECT 'a").map(|_| ()), Err((7, "this string is not closed")));
        assert_eq!(tokenize("f(").map(|_| ()), Err((1, "this bracket is not closed")));
        assert_eq!(tokenize("a)").map(|_| ()), Err((1, "this bracket closes nothing")));
    }

    #[test]
    fn depth_and_names() {
        let tokens = tokenize("a(b, 'c''d') `x\\`y`").expect("valid");
        let depths: Vec<usize> = tokens.iter().map(|token| token.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 1, 0, 0]);
        assert_eq!(tokens[6].name().as_deref(), Some("x`y"));
    }
}
