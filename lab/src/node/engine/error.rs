//! Errors of the engine: ClickHouse's code, name and text.

use std::fmt;
use std::path::Path;

/// One error as ClickHouse reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError {
    /// ClickHouse's error code, the key every client goes by.
    pub code: i32,
    /// Name of the code, `UNKNOWN_TABLE`.
    pub name: String,
    /// The text without `Code: N. DB::Exception:`, name and version.
    pub message: String,
}

impl EngineError {
    /// An error of the node itself, worded as ClickHouse does.
    pub fn new(code: i32, name: &str, message: impl Into<String>) -> Self {
        Self { code, name: name.to_owned(), message: message.into() }
    }

    pub(super) fn library(path: &Path, error: &dyn std::error::Error) -> Self {
        let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        Self::new(375, "CANNOT_DLOPEN", format!("cannot open `{}`: {error}{cause}", path.display()))
    }

    /// Reads the engine's text. Errors of the client half of libchdb are wrapped twice; the inner one counts.
    pub fn parse(text: &str) -> Self {
        let mut rest = text.trim();
        let mut code = 1002;
        while let Some((number, tail)) = split_prefix(rest) {
            code = number;
            rest = tail;
        }
        let mut name = None;
        loop {
            rest = rest.trim_end();
            if let Some(cut) = rest.rfind(" (version ").filter(|_| rest.ends_with(')')) {
                rest = rest[..cut].trim_end();
                continue;
            }
            match split_name(rest) {
                Some((head, found)) if name.is_none_or(|known| known == found) => {
                    name = Some(found);
                    rest = head;
                }
                _ => break,
            }
        }
        let name = name.unwrap_or("UNKNOWN_EXCEPTION").to_owned();
        Self { code, name, message: rest.trim_end().to_owned() }
    }

    /// The whole text as a server of this version writes it.
    pub fn text(&self, version: &str) -> String {
        format!("{self} (version {version} (official build))")
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code: {}. DB::Exception: {} ({})", self.code, self.message, self.name)
    }
}

impl std::error::Error for EngineError {}

/// `Code: 60. DB::Exception: text` into the number and the text.
fn split_prefix(text: &str) -> Option<(i32, &str)> {
    let (number, tail) = text.strip_prefix("Code: ")?.split_once(". ")?;
    let tail = tail.strip_prefix("DB::Exception: ").or_else(|| tail.split_once("Exception: ").map(|(_, t)| t))?;
    Some((number.parse().ok()?, tail))
}

/// `text (NAME_OF_CODE)` into the text and the name.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let open = text.rfind('(').filter(|at| text[..*at].ends_with(char::is_whitespace))?;
    let name = text[open + 1..].strip_suffix(')')?;
    let is_name = name.len() > 2 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    is_name.then(|| (text[..open].trim_end(), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_code_name_and_message() {
        let error = EngineError::parse("Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)");
        assert_eq!(error, EngineError::new(60, "UNKNOWN_TABLE", "Unknown table 'x'."));
        assert_eq!(
            error.text("26.7.2.1"),
            "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))"
        );
    }

    #[test]
    fn unwraps_errors_that_the_client_half_wrapped() {
        let error = EngineError::parse(
            "Code: 108. DB::Exception: Code: 108. DB::Exception: No data to insert. (NO_DATA_TO_INSERT) \
             (version 26.7.2.1). (NO_DATA_TO_INSERT)",
        );
        assert_eq!(error.code, 108);
        assert!(error.message.starts_with("No data to insert."), "{}", error.message);
        assert_eq!(error.name, "NO_DATA_TO_INSERT");
    }

    #[test]
    fn keeps_text_it_does_not_know() {
        let error = EngineError::parse("something odd");
        assert_eq!((error.code, error.message.as_str()), (1002, "something odd"));
    }
}
