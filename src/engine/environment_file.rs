//! The environment file: read, checked, and kept free of secrets that were written into it by mistake.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::compile::{check, check_kind};
use super::schema::environment_schema;
use crate::diag::{Diagnostic, Diagnostics, SourceFile};
use crate::model::environment::Environment;
use crate::model::schema_check::Names;
use crate::model::yaml::{self, Document, Node, NodeKind};

/// A checked environment and the folder its relative paths start from.
#[derive(Clone, Debug)]
pub struct LoadedEnvironment {
    /// The environment.
    pub environment: Environment,
    /// Folder of its file.
    pub base: PathBuf,
}

/// Checks an environment.
///
/// # Errors
/// Every mistake found.
pub fn load_environment(source: &Arc<SourceFile>, base: PathBuf) -> Result<LoadedEnvironment, Diagnostics> {
    let document = yaml::parse(source)?;
    // A secret written into the file by mistake must not come back in the report on that mistake.
    let source = &without_secrets(&document);
    let document = Document { source: Arc::clone(source), ..document };
    let mut found = Diagnostics::default();
    let schema = environment_schema();
    check(&schema, &schema, &document.root, source, &Names::default(), "the environment", &mut found);
    check_kind(&document, "Environment", &mut found);
    check_hosts(&document, &mut found);
    check_state(&document, &mut found);
    found.into_result(())?;
    match Environment::deserialize(&document.root.to_json()) {
        Ok(environment) => Ok(LoadedEnvironment { environment, base }),
        Err(error) => Err(Diagnostic::new("environment", format!("the environment cannot be read: {error}"))
            .at(source, document.root.span, "in this file")
            .into()),
    }
}

/// The same file with the same places, but for secrets written where a reference belongs.
fn without_secrets(document: &Document) -> Arc<SourceFile> {
    let mut bytes = document.source.text.clone().into_bytes();
    hide(&document.root, &document.source.text, false, &mut bytes);
    // Whole characters are replaced, so it stays UTF-8.
    let text = String::from_utf8(bytes).unwrap_or_default();
    SourceFile::new(document.source.name.clone(), text)
}

fn hide(node: &Node, text: &str, is_secret: bool, bytes: &mut [u8]) {
    match &node.kind {
        NodeKind::Map(entries) => {
            for (key, child) in entries {
                hide(child, text, matches!(key.name.as_str(), "password" | "access_key" | "secret_key"), bytes);
            }
        }
        NodeKind::List(items) => items.iter().for_each(|item| hide(item, text, is_secret, bytes)),
        NodeKind::Text(value) => {
            let range = node.span.start..node.span.start + node.span.len;
            let slice = &text[range.clone()];
            let end =
                if is_secret { slice.len() } else { slice.find('@').filter(|_| value.contains("://")).unwrap_or(0) };
            let begin = if is_secret { 0 } else { slice.find("://").map_or(0, |at| at + 3).min(end) };
            bytes[range][begin..end].fill(b'*');
        }
        NodeKind::Number(_) if is_secret => bytes[node.span.start..node.span.start + node.span.len].fill(b'*'),
        _ => {}
    }
}

/// A bucket for state is named fully: a wrong place would look like an empty state.
fn check_state(document: &Document, found: &mut Diagnostics) {
    let Some(state) = document.root.get("state") else { return };
    let Some(s3) = state.get("s3") else { return };
    let mut bad = |key: &str, is_good: &dyn Fn(&str) -> bool, message: &str, help: &str| {
        let Some(node) = s3.get(key) else { return };
        if node.text().is_some_and(|text| !is_good(text)) {
            let place = Diagnostic::new("bad-value", message).at(&document.source, node.span, "this value");
            found.push(place.help(help));
        }
    };
    bad(
        "endpoint",
        &|text| {
            let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
            rest.is_some_and(|rest| !rest.trim_end_matches('/').is_empty() && !rest.contains(['@', '?', ' ']))
        },
        "this is not the address of a store",
        "write `https://host` or `http://host:9000`, without keys and without the bucket",
    );
    bad(
        "bucket",
        &|text| !text.is_empty() && !text.contains(['/', ' ']),
        "this is not the name of a bucket",
        "the name alone; what lies in front of the keys belongs into `prefix`",
    );
    bad(
        "prefix",
        &|text| {
            let parts: Vec<&str> = text.trim_matches('/').split('/').collect();
            parts.iter().all(|part| !part.is_empty() && *part != "." && *part != "..")
        },
        "this is not a prefix",
        "name a place of this environment alone, such as `clickferry/production`",
    );
}

fn check_hosts(document: &Document, found: &mut Diagnostics) {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (_, target) in document.root.get("targets").into_iter().flat_map(Node::entries) {
        let hosts = target.get("hosts");
        if let Some(node) = hosts.filter(|node| node.items().is_empty()) {
            found.push(Diagnostic::new("too-few", "a target has at least one host").at(
                &document.source,
                node.span,
                "no host is listed",
            ));
        }
        for host in hosts.map(Node::items).unwrap_or_default() {
            let Some(url_node) = host.get("url") else { continue };
            let url = url_node.text().unwrap_or_default().trim_end_matches('/');
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '@', '?', ' '])) {
                found.push(
                    Diagnostic::new("bad-value", "this is not the address of a ClickHouse HTTP interface")
                        .at(&document.source, url_node.span, "this address")
                        .help("write `http://host:8123` or `https://host:8443`, without user, password or path"),
                );
                continue;
            }
            let name = host
                .get("name")
                .and_then(Node::text)
                .map_or_else(|| rest.unwrap_or_default().to_owned(), str::to_owned);
            if let Some(other) = names.insert(name.clone(), url.to_owned())
                && other != url
            {
                found.push(
                    Diagnostic::new("duplicate-name", format!("two hosts are called `{name}`"))
                        .at(&document.source, url_node.span, format!("another address than {other}"))
                        .help("give each server a `name` of its own"),
                );
            }
        }
    }
}
