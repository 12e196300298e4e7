//! Where a backup lies: the `S3(...)` of a statement, and which paths can be one.

use crate::engine::action::ArgumentError;
use crate::model::environment::S3Binding;
use crate::plan::sql::literal;

/// Endings that make ClickHouse write an archive instead of a folder.
const ARCHIVES: [&str; 13] = [
    ".zip",
    ".zipx",
    ".tar",
    ".tar.gz",
    ".tgz",
    ".tar.bz2",
    ".tbz2",
    ".tar.xz",
    ".txz",
    ".tar.lzma",
    ".tlz",
    ".tar.zst",
    ".tzst",
];

/// `S3('url', key, secret)` for a path below the storage's prefix; the keys are late values. Without keys in the
/// environment the server uses its own configuration.
pub(crate) fn destination(role: &str, binding: &S3Binding, path: &str) -> String {
    let endpoint = binding.endpoint_for_servers.as_ref().unwrap_or(&binding.endpoint).trim_end_matches('/');
    let prefix = binding.prefix.as_deref().map(|prefix| prefix.trim_matches('/')).filter(|prefix| !prefix.is_empty());
    let below = prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default();
    let url = literal(&format!("{endpoint}/{}/{below}{path}", binding.bucket));
    match &binding.credentials {
        Some(_) => format!("S3({url}, ${{secret storage.{role}.access_key}}, ${{secret storage.{role}.secret_key}})"),
        None => format!("S3({url})"),
    }
}

/// Mistakes in a path.
pub(crate) fn check_path(pointer: &str, path: &str) -> Vec<ArgumentError> {
    let problem = path_problem(path);
    problem
        .map(|(message, help)| ArgumentError { pointer: pointer.to_owned(), message, help: Some(help.to_owned()) })
        .into_iter()
        .collect()
}

fn path_problem(path: &str) -> Option<(String, &'static str)> {
    let mut bare = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((token, behind)) = after.split_once('}') else {
            return Some(("a `${` is not closed".to_owned(), "correct the template"));
        };
        bare.push_str(before);
        // The format of a time becomes part of the path; ids consist of harmless characters.
        bare.push_str(token.strip_prefix("run.started ").unwrap_or("x"));
        rest = behind;
    }
    bare.push_str(rest);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=' | ':' | '%');
    if bare.is_empty() {
        return Some((
            "the path is empty".to_owned(),
            "give every backup a path of its own, e.g. with `{{ run.started | date('%Y-%m-%d_%H%M%S') }}`",
        ));
    }
    if let Some(bad) = bare.chars().find(|c| !allowed(*c)) {
        return Some((
            format!("the character {bad:?} cannot stand in the path of a backup"),
            "use letters, digits, `-`, `_`, `.`, `=`, `:` and `/`",
        ));
    }
    // `%` is part of the format of a time only.
    if path.split("${").enumerate().any(|(at, piece)| {
        if at == 0 { piece } else { piece.split_once('}').map_or("", |(_, after)| after) }.contains('%')
    }) {
        return Some((
            "the character '%' cannot stand in the path of a backup".to_owned(),
            "use letters, digits, `-`, `_`, `.`, `=`, `:` and `/`",
        ));
    }
    if bare.starts_with('/') || bare.ends_with('/') || bare.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Some((
            "the path has an empty part, `.` or `..`".to_owned(),
            "write it without slashes at its ends, e.g. `clickhouse-backup/weekly`",
        ));
    }
    if ARCHIVES.iter().any(|ending| bare.to_ascii_lowercase().ends_with(ending)) {
        return Some((
            "this ending makes ClickHouse write an archive, which cannot be checked from the bucket".to_owned(),
            "remove the ending",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(json: serde_json::Value) -> S3Binding {
        serde_json::from_value(json).expect("binding")
    }

    #[test]
    fn the_servers_own_address_and_the_prefix_are_used() {
        let keys = serde_json::json!({ "access_key": { "env": "A" }, "secret_key": { "env": "B" } });
        let with = binding(
            serde_json::json!({ "endpoint": "http://a:1/", "endpoint_for_servers": "http://b:2/", "bucket": "k", "prefix": "/p/", "credentials": keys }),
        );
        assert_eq!(
            destination("r", &with, "x${attempt}"),
            "S3('http://b:2/k/p/x${attempt}', ${secret storage.r.access_key}, ${secret storage.r.secret_key})"
        );
        let without = binding(serde_json::json!({ "endpoint": "http://a:1", "bucket": "k" }));
        assert_eq!(destination("r", &without, "x"), "S3('http://a:1/k/x')");
    }

    #[test]
    fn paths_that_would_not_be_what_they_look_like() {
        for good in ["a", "a/b_c-1.d", "x/${run.started %Y-%m-%d_%H%M%S}", "${run.id}/x"] {
            assert!(check_path("/path", good).is_empty(), "{good}");
        }
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a b",
            "a'b",
            "a.zip",
            "a.tar.gz",
            "a?b",
            "a%2fb",
            "é",
            "x/${run.started %Y'}",
        ] {
            assert_eq!(check_path("/path", bad).len(), 1, "{bad}");
        }
    }
}
