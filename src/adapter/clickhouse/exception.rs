//! Reads ClickHouse's error texts, in every form that versions 18 to 26 send them.
//!
//! | form | seen in |
//! |---|---|
//! | `Code: 62. DB::Exception: text (SYNTAX_ERROR) (version 24.3.1 (official build))` | since 21.9 |
//! | `Code: 62, e.displayText() = DB::Exception: text (version 20.8.1 (official build))` | until 21.8; `, e.what() = ...` at the end of 18 and 19 |
//! | `Poco::Exception. Code: 1000, e.code() = 111, e.displayText() = ...`, `std::exception. Code: 1001, type: ...` | foreign exceptions |
//! | `__exception__`, line break, the first form | appended to a body, 25.3 to 25.10 |
//! | `__exception__`, tag, the first form, length and tag, `__exception__` | appended to a body, since 25.11 |
//! | `{..., "exception": "Code: ..."}` | JSON formats with `http_write_exception_in_output_format` |

use serde_json::Value;

/// A server's error in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Number, e.g. 60.
    pub code: i32,
    /// Name, e.g. `UNKNOWN_TABLE`.
    pub name: String,
    /// Text without class, name, version and stack trace.
    pub message: String,
}

/// The error in a text that a server sent, `None` when it is not one of ClickHouse's.
#[must_use]
pub fn parse(text: &str) -> Option<Exception> {
    let text = text.trim();
    if text.starts_with('{')
        && let Ok(Value::Object(object)) = serde_json::from_str::<Value>(text)
    {
        return object.get("exception").and_then(Value::as_str).and_then(parse);
    }
    let text = match text.find("__exception__") {
        Some(at) => text[at..].trim_start_matches("__exception__"),
        None => text,
    };
    let (code, rest) = find_code(text)?;
    let message = strip_class(rest);
    let message = strip_tail(message);
    let (message, name) = match split_name(message) {
        Some((message, name)) => (message, name.to_owned()),
        None => (message, name_of(code).to_owned()),
    };
    Some(Exception { code, name, message: message.trim().to_owned() })
}

/// The number after the first `Code: ` that an exception follows, and the rest of the text.
fn find_code(text: &str) -> Option<(i32, &str)> {
    const MARK: &str = "Code: ";
    let mut from = 0;
    while let Some(found) = text[from..].find(MARK) {
        let digits = from + found + MARK.len();
        let end = text[digits..]
            .find(|character: char| !character.is_ascii_digit())
            .map_or(text.len(), |length| digits + length);
        let rest = &text[end..];
        // The header `X-ClickHouse-Exception-Code` alone becomes "Code: N" without more.
        let whole = rest.is_empty() && digits == MARK.len();
        if let Ok(code) = text[digits..end].parse()
            && (whole || ["xception", "displayText", "e.what()"].iter().any(|mark| rest.contains(mark)))
        {
            return Some((code, rest));
        }
        from = end;
    }
    None
}

/// Cuts `. DB::Exception: `, `, e.displayText() = DB::Exception: ` and their kin.
fn strip_class(rest: &str) -> &str {
    let rest = match rest.split_once("e.displayText() = ") {
        Some((before, after)) if before.len() < 40 => after,
        _ => rest.trim_start_matches(['.', ',', ' ']),
    };
    for class in ["Exception: ", "exception: "] {
        if let Some(at) = rest.find(class)
            && rest[..at].chars().all(|character| character.is_alphanumeric() || character == ':')
        {
            return &rest[at + class.len()..];
        }
    }
    rest
}

/// Cuts version, `e.what()`, and stack trace.
fn strip_tail(message: &str) -> &str {
    let mut message = message;
    for mark in [", Stack trace", "Stack trace:", ", e.what() = "] {
        if let Some(at) = message.find(mark) {
            message = &message[..at];
        }
    }
    if let Some(at) = message.rfind(" (version ") {
        message = &message[..at];
    }
    message.trim_end()
}

/// Splits a trailing `(UNKNOWN_TABLE)` off.
fn split_name(message: &str) -> Option<(&str, &str)> {
    let open = message.rfind('(')?;
    let name = message[open + 1..].strip_suffix(')')?;
    let like_a_name = name.len() > 3
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    like_a_name.then(|| (&message[..open], name))
}

/// Names of the codes met here, for servers before 21.9, which send the number alone.
fn name_of(code: i32) -> &'static str {
    match code {
        36 => "BAD_ARGUMENTS",
        42 => "NUMBER_OF_ARGUMENTS_DOESNT_MATCH",
        46 => "UNKNOWN_FUNCTION",
        47 => "UNKNOWN_IDENTIFIER",
        48 => "NOT_IMPLEMENTED",
        57 => "TABLE_ALREADY_EXISTS",
        60 => "UNKNOWN_TABLE",
        62 => "SYNTAX_ERROR",
        73 => "UNKNOWN_FORMAT",
        81 => "UNKNOWN_DATABASE",
        82 => "DATABASE_ALREADY_EXISTS",
        115 => "UNKNOWN_SETTING",
        159 => "TIMEOUT_EXCEEDED",
        164 => "READONLY",
        193 => "WRONG_PASSWORD",
        194 => "REQUIRED_PASSWORD",
        192 => "UNKNOWN_USER",
        202 => "TOO_MANY_SIMULTANEOUS_QUERIES",
        209 => "SOCKET_TIMEOUT",
        210 => "NETWORK_ERROR",
        216 => "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
        225 => "NO_ZOOKEEPER",
        241 => "MEMORY_LIMIT_EXCEEDED",
        242 => "TABLE_IS_READ_ONLY",
        243 => "NOT_ENOUGH_SPACE",
        252 => "TOO_MANY_PARTS",
        253 => "REPLICA_ALREADY_EXISTS",
        279 => "ALL_CONNECTION_TRIES_FAILED",
        359 => "TABLE_SIZE_EXCEEDS_MAX_DROP_SIZE_LIMIT",
        394 => "QUERY_WAS_CANCELLED",
        497 => "ACCESS_DENIED",
        516 => "AUTHENTICATION_FAILED",
        999 => "KEEPER_EXCEPTION",
        1000 => "POCO_EXCEPTION",
        1001 => "STD_EXCEPTION",
        1002 => "UNKNOWN_EXCEPTION",
        _ => "(name not sent)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: i32, name: &str, message: &str) {
        let expected = Exception { code, name: name.to_owned(), message: message.to_owned() };
        assert_eq!(parse(text), Some(expected), "{text}");
    }

    #[test]
    fn current_form() {
        check(
            "Code: 60. DB::Exception: Table default.x does not exist. (UNKNOWN_TABLE) (version 24.3.1.1 (official build))\n",
            60,
            "UNKNOWN_TABLE",
            "Table default.x does not exist.",
        );
        check(
            "Code: 210. DB::NetException: Connection refused (ch:9000). (NETWORK_ERROR), Stack trace (when copying this message, always include the lines below):\n\n0. x\n (version 22.8)",
            210,
            "NETWORK_ERROR",
            "Connection refused (ch:9000).",
        );
        check(
            "Code: 999. Coordination::Exception: No node, path /x. (KEEPER_EXCEPTION) (version 25.1)",
            999,
            "KEEPER_EXCEPTION",
            "No node, path /x.",
        );
    }

    #[test]
    fn the_outer_code_of_a_distributed_statement_counts() {
        check(
            "Code: 159. DB::Exception: There was an error on [ch:9000]: Code: 60. DB::Exception: no table. (UNKNOWN_TABLE) (version 24.3). (TIMEOUT_EXCEEDED) (version 24.3)",
            159,
            "TIMEOUT_EXCEEDED",
            "There was an error on [ch:9000]: Code: 60. DB::Exception: no table. (UNKNOWN_TABLE) (version 24.3).",
        );
    }

    #[test]
    fn old_forms() {
        check(
            "Code: 62, e.displayText() = DB::Exception: Syntax error: failed at position 1: SELEC. Expected one of: SHOW, e.what() = DB::Exception\n",
            62,
            "SYNTAX_ERROR",
            "Syntax error: failed at position 1: SELEC. Expected one of: SHOW",
        );
        check(
            "Code: 60, e.displayText() = DB::Exception: Table t doesn't exist. (version 20.8.1.1 (official build))",
            60,
            "UNKNOWN_TABLE",
            "Table t doesn't exist.",
        );
        check(
            "Poco::Exception. Code: 1000, e.code() = 111, e.displayText() = Connection refused (version 21.3.1)",
            1000,
            "POCO_EXCEPTION",
            "Connection refused",
        );
        check(
            "std::exception. Code: 1001, type: std::bad_alloc, e.what() = std::bad_alloc",
            1001,
            "STD_EXCEPTION",
            "type: std::bad_alloc",
        );
    }

    #[test]
    fn appended_forms() {
        check(
            "{\"meta\":[]\n__exception__\r\nCode: 395. DB::Exception: Value passed. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 25.8.1)\n",
            395,
            "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
            "Value passed.",
        );
        check(
            "[1],\r\n__exception__\r\nrnywyenlaeqynhmu\r\nCode: 159. DB::Exception: Timeout exceeded. (TIMEOUT_EXCEEDED) (version 25.12.1.649 (official build))\n142 rnywyenlaeqynhmu\r\n__exception__\r\n",
            159,
            "TIMEOUT_EXCEEDED",
            "Timeout exceeded.",
        );
        check(
            r#"{"meta": [], "data": [], "rows": 0, "exception": "Code: 395. DB::Exception: Oh. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 24.8.1)"}"#,
            395,
            "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO",
            "Oh.",
        );
    }

    #[test]
    fn the_code_alone_and_foreign_texts() {
        check("Code: 241", 241, "MEMORY_LIMIT_EXCEEDED", "");
        assert_eq!(parse("502 Bad Gateway"), None);
        assert_eq!(parse("<html>Error Code: 1234</html>"), None);
        assert_eq!(parse(r#"{"meta":[],"data":[["Code: 1. DB::Exception: x"]],"rows":1}"#), None);
    }
}
