//! The borders of the modules, read from the sources: who may use whom, and who may use which crate.

use std::path::{Path, PathBuf};

use crate::support::root;

/// Module, our modules it may use, and whether it may know servers, terminals and clocks.
const BORDERS: &[(&str, &[&str])] = &[
    ("diag", &["diag", "exit_code"]),
    ("model", &["model", "diag"]),
    ("plan", &["plan", "model", "diag"]),
    ("engine", &["engine", "plan", "model", "diag"]),
    ("action", &["action", "engine", "plan", "model", "diag"]),
    ("report", &["report", "engine", "plan", "model", "diag"]),
    ("adapter", &["adapter", "engine::ports", "model", "diag"]),
];

/// Crates that only the adapters and the command line may name.
const OUTSIDE: &[&str] = &[
    "clickhouse",
    "aws_sdk_s3",
    "aws_config",
    "zookeeper_client",
    "hyper",
    "hyper_util",
    "hyper_rustls",
    "rustls",
    "indicatif",
    "clap",
    "console",
    "dialoguer",
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry_otlp",
];

/// What a pure module must not touch.
const IMPURE: &[&str] =
    &["tokio::", "std::fs", "std::net", "std::process", "std::env", "SystemTime", "Instant::now", "Timestamp::now"];

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// The lines of a file that are compiled into the product.
fn product_lines(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    text[..end].lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn modules_use_only_what_stands_below_them() {
    let mut broken = Vec::new();
    for (module, allowed) in BORDERS {
        for (path, text) in sources(&root().join("src").join(module)) {
            for line in product_lines(&text) {
                for used in line.match_indices("crate::").map(|(at, _)| &line[at + "crate::".len()..]) {
                    if !allowed.iter().any(|name| used.starts_with(name)) {
                        broken.push(format!("{}: {line}", path.display()));
                    }
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn servers_and_terminals_are_known_to_adapters_and_the_command_line_only() {
    let mut broken = Vec::new();
    for (module, _) in BORDERS.iter().filter(|(module, _)| *module != "adapter") {
        for (path, text) in sources(&root().join("src").join(module)) {
            for line in product_lines(&text) {
                let names =
                    |name: &&&str| line.starts_with(&format!("use {name}")) || line.contains(&format!(" {name}::"));
                // The page on commands is made from the command line's definition.
                if let Some(name) =
                    OUTSIDE.iter().find(names).filter(|name| !(**name == "clap" && path.ends_with("reference.rs")))
                {
                    broken.push(format!("{}: {name}: {line}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn model_and_plan_are_pure() {
    let mut broken = Vec::new();
    for module in ["diag", "model", "plan"] {
        for (path, text) in sources(&root().join("src").join(module)) {
            for line in product_lines(&text) {
                if let Some(name) = IMPURE.iter().find(|name| line.contains(*name)) {
                    broken.push(format!("{}: {name}: {line}", path.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_yaml_module_names_the_yaml_crate() {
    let named: Vec<PathBuf> = sources(&root().join("src"))
        .into_iter()
        .filter(|(path, text)| {
            !path.ends_with("model/yaml.rs") && product_lines(text).any(|line| line.contains("serde_yaml"))
        })
        .map(|(path, _)| path)
        .collect();
    assert!(named.is_empty(), "{named:?}");
}
