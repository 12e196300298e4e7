//! Passwords and keys that stand in definitions. Newer servers show `[HIDDEN]` instead; older ones show them, and a
//! few places no server hides (a password in a URL). What is saved or shown goes through [`mask`] first.

use std::borrow::Cow;
use std::ops::Range;

use super::ddl::Ddl;
use crate::plan::sql::{Token, TokenKind, tokenize};

/// What stands for a secret, in the server's own word.
pub const HIDDEN: &str = "[HIDDEN]";

/// Settings and keys whose value is a secret; so is everything that ends with `password`.
const KEYS: [&str; 11] = [
    "secret_access_key",
    "aws_secret_access_key",
    "session_token",
    "secret_key",
    "account_key",
    "sas_token",
    "connection_string",
    "private_key",
    "nats_token",
    "access_token",
    "key_hex",
];

/// Functions and engines that reach outside: what stands in their brackets may hold a secret.
const OUTSIDE: [&str; 33] = [
    "remote",
    "remotesecure",
    "mysql",
    "postgresql",
    "materializedpostgresql",
    "externaldistributed",
    "mongodb",
    "redis",
    "s3",
    "s3cluster",
    "s3queue",
    "gcs",
    "gcscluster",
    "oss",
    "cosn",
    "iceberg",
    "icebergs3",
    "icebergcluster",
    "icebergs3cluster",
    "deltalake",
    "deltalakes3",
    "deltalakecluster",
    "hudi",
    "hudicluster",
    "azureblobstorage",
    "azureblobstoragecluster",
    "azurequeue",
    "url",
    "urlcluster",
    "hdfs",
    "jdbc",
    "odbc",
    "arrowflight",
];

/// Parts of addresses and connection strings, up to the next `;` or `&`.
const PARTS: [&str; 9] = [
    "password=",
    "pwd=",
    "accountkey=",
    "sharedaccesssignature=",
    "x-amz-signature=",
    "x-amz-security-token=",
    "?sig=",
    "&sig=",
    "secret=",
];

/// The text with `[HIDDEN]` in the place of every secret that is recognised in it. A text that is no SQL stays.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let found = secrets(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        out.push_str(&text[at..range.start]);
        out.push_str(HIDDEN);
        at = range.end;
    }
    out.push_str(&text[at..]);
    Cow::Owned(out)
}

/// Bytes of each secret, in order, without overlaps.
#[must_use]
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    // A secret is a literal, and many definitions hold none.
    if !text.contains('\'') {
        return Vec::new();
    }
    let Ok(tokens) = tokenize(text) else { return Vec::new() };
    // In a query only what reaches outside can hold a secret: `WHERE password = 'x'` compares a column.
    let select = select(text, &tokens).unwrap_or(tokens.len());
    let mut found = Vec::new();
    let mut callers: Vec<Cow<'_, str>> = Vec::new();
    for at in 0..tokens.len() {
        let token = &tokens[at];
        // A bracket's depth is that of what stands around it.
        callers.truncate(token.depth);
        if token.kind == TokenKind::Symbol && matches!(token.text, "(" | "[" | "{") {
            let caller = at.checked_sub(1).and_then(|before| tokens[before].name_within()).unwrap_or_default();
            let caller = lower(caller);
            if token.text == "(" {
                let arguments = arguments(&tokens, at);
                found.extend(by_place(&caller, &tokens, &arguments));
            }
            callers.push(caller);
            continue;
        }
        if token.kind != TokenKind::Text {
            continue;
        }
        let within = |names: &[&str]| callers.iter().any(|caller| names.contains(&&**caller));
        let is_outside = within(&OUTSIDE);
        if at < select || is_outside {
            if is_named_secret(&tokens, at, &callers) {
                found.push(inside(token));
            }
            found.extend(of_address(token));
        }
        if is_outside || (at < select && within(&["source"])) {
            found.extend(of_parts(token));
        }
    }
    found.retain(|range| !range.is_empty() && !text[range.clone()].contains(HIDDEN));
    found.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    found.retain(|range| {
        let is_new = range.start >= end;
        end = end.max(range.end);
        is_new
    });
    found
}

/// The token before the query of a view.
fn select(text: &str, tokens: &[Token<'_>]) -> Option<usize> {
    // Only views have a query that is not a part of their brackets.
    let is_view = tokens.iter().take(5).any(|token| token.is_word("VIEW"));
    is_view.then(|| Ddl::of(text, tokens.to_vec()).ok()?.select()).flatten()
}

fn lower(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name }
}

/// Bytes of a literal without its quotes.
fn inside(token: &Token<'_>) -> Range<usize> {
    token.start + 1..token.end() - 1
}

/// `key = 'secret'`, `PASSWORD 'secret'` of a dictionary's source, a header's value.
fn is_named_secret(tokens: &[Token<'_>], at: usize, callers: &[Cow<'_, str>]) -> bool {
    let is_in = |name: &str| callers.iter().any(|caller| caller == name);
    let before = |steps: usize| at.checked_sub(steps).map(|at| &tokens[at]);
    let Some(previous) = before(1) else { return false };
    if previous.is_word("PASSWORD") || (previous.is_word("VALUE") && is_in("header")) {
        return true;
    }
    if !previous.is_symbol("=") {
        return false;
    }
    let Some(key) = before(2).and_then(Token::name_within).map(lower) else {
        return is_in("headers");
    };
    key.ends_with("password") || KEYS.contains(&&*key) || (key == "key" && is_in("disk"))
}

/// The arguments behind an open bracket, as ranges of tokens.
fn arguments(tokens: &[Token<'_>], open: usize) -> Vec<Range<usize>> {
    let depth = tokens[open].depth;
    let close = (open + 1..tokens.len())
        .find(|&at| tokens[at].depth == depth && tokens[at].kind == TokenKind::Symbol)
        .unwrap_or(tokens.len());
    let mut parts = Vec::new();
    let mut start = open + 1;
    for (at, token) in tokens.iter().enumerate().take(close).skip(open + 1) {
        if token.depth == depth + 1 && token.is_symbol(",") {
            parts.push(start..at);
            start = at + 1;
        }
    }
    parts.push(start..close);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Secrets that are told by their place among the arguments.
fn by_place(caller: &str, tokens: &[Token<'_>], arguments: &[Range<usize>]) -> Vec<Range<usize>> {
    let text = |at: usize| {
        let part = arguments.get(at)?;
        let token = &tokens[part.start];
        (part.len() == 1 && token.kind == TokenKind::Text).then_some(token)
    };
    let is_key = |at: usize| text(at).is_some_and(|token| !is_format(token.text.trim_matches('\'')));
    let mut places = Vec::new();
    match caller {
        "remote" | "remotesecure" => {
            // `db.table`, 'db.table' and a table function are one argument, `db, table` are two.
            let is_one = arguments.get(1).is_some_and(|part| {
                tokens[part.clone()].iter().any(|token| token.is_symbol(".") || token.is_symbol("("))
                    || text(1).is_some_and(|token| token.text.contains('.'))
            });
            let user = if is_one { 2 } else { 3 };
            places.extend(text(user).is_some().then_some(user + 1));
        }
        "mysql" | "postgresql" | "mongodb" | "materializedpostgresql" => places.push(4),
        "externaldistributed" => places.push(5),
        "arrowflight" => places.push(3),
        "redis" => {
            let is_engine = arguments.get(1).is_some_and(|part| tokens[part.start].kind == TokenKind::Number);
            places.push(if is_engine { 2 } else { 4 });
        }
        "encrypt" | "decrypt" | "trydecrypt" | "aes_encrypt_mysql" | "aes_decrypt_mysql" => places.push(2),
        "azureblobstorage" | "azureblobstoragecluster" | "azurequeue" => {
            let name = if caller.ends_with("cluster") { 4 } else { 3 };
            places.extend((is_key(name) && is_key(name + 1)).then_some(name + 1));
        }
        _ if OUTSIDE.contains(&caller) && !matches!(caller, "url" | "urlcluster" | "hdfs" | "jdbc" | "odbc") => {
            let key = if caller.ends_with("cluster") { 2 } else { 1 };
            if is_key(key) && is_key(key + 1) {
                places.push(key + 1);
                places.extend(is_key(key + 2).then_some(key + 2));
            }
        }
        _ => {}
    }
    places.into_iter().filter_map(text).map(inside).collect()
}

/// `'CSV'` in the place of a key is the format, and what follows it the structure.
fn is_format(word: &str) -> bool {
    const FORMATS: [&str; 22] = [
        "auto",
        "csv",
        "tsv",
        "tabseparated",
        "json",
        "parquet",
        "orc",
        "arrow",
        "avro",
        "native",
        "rowbinary",
        "values",
        "line",
        "raw",
        "protobuf",
        "capnproto",
        "msgpack",
        "template",
        "regexp",
        "xml",
        "bson",
        "one",
    ];
    let word = word.to_ascii_lowercase();
    FORMATS.iter().any(|format| word.starts_with(format))
}

/// The password in `scheme://user:password@host`.
fn of_address(token: &Token<'_>) -> Option<Range<usize>> {
    let text = token.text.trim_end_matches('\'');
    let from = text.find("://")? + 3;
    let authority = text[from..].split(['/', '?', '#']).next().unwrap_or_default();
    let (user, _) = authority.rsplit_once('@')?;
    let at = user.find(':')? + 1;
    Some(token.start + from + at..token.start + from + user.len())
}

/// Secrets in a connection string or in the query of an address.
fn of_parts(token: &Token<'_>) -> Vec<Range<usize>> {
    let lower = token.text.to_ascii_lowercase();
    let mut found = Vec::new();
    for part in PARTS {
        for (at, _) in lower.match_indices(part) {
            let from = at + part.len();
            let length = lower[from..].find([';', '&', '\'', ' ']).unwrap_or(lower.len() - from);
            found.push(token.start + from..token.start + from + length);
        }
    }
    found
}

#[cfg(test)]
mod tests;
