//! Hides secrets in statements before they are written anywhere.

use super::lexer::{Kind, Token, tokens, unquote};

const HIDDEN: &str = "'[HIDDEN]'";

/// Functions with secrets among their text arguments, and how many arguments come before the first of them.
const FUNCTIONS: [(&str, usize); 14] = [
    ("s3", 1),
    ("s3cluster", 2),
    ("gcs", 1),
    ("oss", 1),
    ("cosn", 1),
    ("deltalake", 1),
    ("iceberg", 1),
    ("iceberg_s3", 1),
    ("azureblobstorage", 1),
    ("remote", 3),
    ("remotesecure", 3),
    ("mysql", 3),
    ("postgresql", 3),
    ("mongodb", 3),
];

/// Keys whose value is a secret, in named collections, extra credentials, settings and user statements.
const KEYS: [&str; 10] = [
    "access_key_id",
    "secret_access_key",
    "session_token",
    "s3_session_token",
    "password",
    "by",
    "account_key",
    "sas_token",
    "secret",
    "key",
];

/// The statement with `[HIDDEN]` in the place of every secret.
pub fn masked(sql: &str) -> String {
    let all: Vec<Token> = tokens(sql).collect();
    let mut out = String::with_capacity(sql.len());
    let mut copied = 0;
    for (index, token) in all.iter().enumerate() {
        let secret = token.kind == Kind::Text && (is_argument(sql, &all, index) || is_value(sql, &all, index));
        if secret {
            out.push_str(&sql[copied..token.range.start]);
            out.push_str(HIDDEN);
            copied = token.range.end;
        }
    }
    out.push_str(&sql[copied..]);
    out
}

/// Whether the text is an argument of a function that takes secrets there.
fn is_argument(sql: &str, all: &[Token], index: usize) -> bool {
    let depth = all[index].depth;
    let Some(open) = all[..index].iter().rposition(|t| t.kind == Kind::Sign('(') && t.depth + 1 == depth) else {
        return false;
    };
    let Some(name) = open.checked_sub(1).map(|at| &all[at]).filter(|t| t.kind == Kind::Word) else { return false };
    let name = sql[name.range.clone()].to_lowercase();
    let before = all[open + 1..index].iter().filter(|t| t.kind == Kind::Sign(',') && t.depth == depth).count();
    FUNCTIONS.iter().any(|(function, first)| *function == name && before >= *first)
}

/// Whether the text is the value of a key that names a secret: `key = 'x'`, `BY 'x'`, `PASSWORD 'x'`.
fn is_value(sql: &str, all: &[Token], index: usize) -> bool {
    let mut before = all[..index].iter().rev().peekable();
    let equals = before.next_if(|token| token.kind == Kind::Sign('=')).is_some();
    let Some(key) = before.next().filter(|token| token.kind != Kind::Text || equals) else { return false };
    let key = unquote(&sql[key.range.clone()]).to_lowercase();
    KEYS.contains(&key.as_str()) && (equals || matches!(key.as_str(), "by" | "password"))
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn keys_of_buckets_are_hidden_and_urls_stay() {
        assert_eq!(
            masked("BACKUP DATABASE a TO S3('http://h/b', 'AKIA', 'sec''ret') SETTINGS id='x', password='p'"),
            "BACKUP DATABASE a TO S3('http://h/b', '[HIDDEN]', '[HIDDEN]') SETTINGS id='x', password='[HIDDEN]'"
        );
        assert_eq!(masked("SELECT * FROM s3('u', 'k', 's', 'CSV')").matches("[HIDDEN]").count(), 3);
    }

    #[test]
    fn collections_users_and_remote_servers() {
        assert_eq!(
            masked("CREATE NAMED COLLECTION c AS url = 'u', access_key_id = 'a', secret_access_key = 's'"),
            "CREATE NAMED COLLECTION c AS url = 'u', access_key_id = '[HIDDEN]', secret_access_key = '[HIDDEN]'"
        );
        assert_eq!(masked("CREATE USER u IDENTIFIED BY 'p'"), "CREATE USER u IDENTIFIED BY '[HIDDEN]'");
        assert_eq!(
            masked("SELECT 1 FROM remote('h', 'db', 't', 'user', 'pw')"),
            "SELECT 1 FROM remote('h', 'db', 't', '[HIDDEN]', '[HIDDEN]')"
        );
    }

    #[test]
    fn other_texts_stay() {
        let sql = "SELECT 'x' AS password, id = 'a' FROM t WHERE name = 'b' ORDER BY key";
        assert_eq!(masked(sql), sql);
    }
}
