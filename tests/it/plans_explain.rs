//! The pages of `clickferry explain`: complete, consistent with what refusals say, and safe to follow.

use std::collections::BTreeSet;
use std::path::Path;

use clickferry::adapter::clickhouse::{ClickHouse, Host};
use clickferry::adapter::redact::Redactor;
use clickferry::engine::error_pages::{Page, file_names, find, pages};
use clickferry::engine::errors::{explain_look, explain_sql};
use clickferry::engine::ports::{Call, Sql, SqlError};

use crate::support::scene::Scene;
use crate::support::{TestEnvironment, root};

fn source(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// The codes that `advice` knows.
fn advised() -> BTreeSet<i32> {
    let text = source("src/engine/errors.rs");
    let body = &text[text.find("fn advice(").unwrap()..text.find("fn is_denied(").unwrap()];
    let arms = body.lines().filter_map(|line| line.trim().split_once("=>")).map(|(arm, _)| arm.to_owned());
    arms.flat_map(|arm| {
        let codes = arm.split(" if ").next().unwrap().to_owned();
        codes.split('|').filter_map(|code| code.trim().parse::<i32>().ok()).collect::<Vec<_>>()
    })
    .collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = |path: std::path::PathBuf| match path.is_dir() {
        true => sources(&path),
        false => vec![std::fs::read_to_string(path).unwrap()],
    };
    entries.flat_map(texts).collect()
}

/// The quoted words right behind each place where a diagnostic is made.
fn diagnostics() -> BTreeSet<String> {
    let mut codes = BTreeSet::from(["unknown-reference".to_owned(), "bad-value".to_owned()]);
    for text in sources(&root().join("src")) {
        let product = text.split("#[cfg(test)]").next().unwrap();
        for maker in ["Diagnostic::new(", ".report("] {
            for (at, _) in product.match_indices(maker) {
                let rest = product[at + maker.len()..].trim_start();
                if let Some(code) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    codes
}

fn section<'a>(page: &'a Page, name: &str) -> &'a str {
    let Some((_, rest)) = page.text.split_once(&format!("\n## {name}\n")) else { return "" };
    rest.split("\n## ").next().unwrap()
}

/// What a page tells to do, in small letters and without its line breaks.
fn told(page: &Page) -> String {
    section(page, "Do").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

#[test]
fn every_file_is_compiled_in() {
    let mut files: Vec<String> = std::fs::read_dir(root().join("docs/errors"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".md").to_owned())
        .collect();
    files.sort();
    let mut known = file_names();
    known.sort_unstable();
    assert_eq!(files, known);
}

#[test]
fn every_code_that_is_told_has_a_page() {
    let advised = advised();
    assert!(advised.len() > 30 && advised.contains(&608), "{advised:?}");
    let diagnostics = diagnostics();
    assert!(diagnostics.len() > 20 && diagnostics.contains("unknown-key"), "{diagnostics:?}");
    let exits = ["exit-0", "exit-1", "exit-2", "exit-3", "exit-4", "exit-130"].map(str::to_owned);
    let codes = advised.iter().map(i32::to_string).chain(diagnostics).chain(exits);
    let missing: Vec<String> = codes.filter(|code| find(code).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn refusals_and_pages_say_the_same() {
    for code in advised() {
        let page = find(&code.to_string()).unwrap();
        let error = SqlError::Server { host: "h".into(), code, name: "NAME".to_owned(), message: "text".to_owned() };
        let refusal = explain_sql("what".to_owned(), &error);
        assert_eq!(refusal.action.lines().last(), Some(format!("clickferry explain {code}").as_str()), "{refusal}");
        let words = refusal.evidence.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.'));
        for table in words.filter(|word| word.starts_with("system.")) {
            assert!(section(&page, "See it").contains(table), "{code}: the page does not ask {table}");
        }
        for step in ["clickferry resume", "plan again", "clear_keeper", "max_table_size_to_drop"] {
            let is_advised = refusal.action.contains(step);
            assert!(!is_advised || told(&page).contains(step), "{code}: the page does not tell to {step}");
        }
    }
}

/// The codes that bear on migrations and restores.
const KNOWN: &[i32] = &[
    36, 42, 47, 48, 57, 60, 62, 81, 82, 115, 159, 164, 198, 202, 209, 210, 216, 218, 219, 224, 225, 236, 241, 242, 243,
    252, 253, 254, 279, 285, 286, 289, 305, 319, 359, 372, 373, 394, 415, 478, 479, 497, 499, 516, 521, 571, 587, 598,
    599, 600, 601, 602, 603, 604, 605, 606, 607, 608, 627, 630, 647, 653, 654, 655, 663, 664, 669, 697, 733, 735, 745,
    774, 999, 1000, 1001, 1002, 1009,
];

#[test]
fn every_known_code_is_told_with_a_statement_and_a_step_of_its_own() {
    let generic = "look at the server's log around this time, repair the cause, then `clickferry resume`";
    for &code in KNOWN {
        let page = find(&code.to_string()).unwrap_or_else(|| panic!("{code} has no page"));
        let error = SqlError::Server { host: "h".into(), code, name: "NAME".to_owned(), message: "text".to_owned() };
        let refusal = explain_sql("what".to_owned(), &error);
        let asks = ["SELECT ", "SHOW ", "EXPLAIN "].iter().any(|word| refusal.evidence.contains(word));
        assert!(asks && refusal.evidence.starts_with("on h: "), "{code}: {refusal}");
        assert!(!refusal.action.starts_with(generic) && refusal.action.len() > 30, "{code}: {refusal}");
        assert!(refusal.action.ends_with(&format!("clickferry explain {code}")), "{code}: {refusal}");
        assert!(!page.steps().is_empty() && !page.statements().is_empty(), "{code}");
        // Where only reads were sent there is no run to carry on with.
        let look = explain_look("what".to_owned(), &error);
        assert!(!look.action.contains("resume") && !look.action.contains("it asks"), "{code}: {look}");
        assert_eq!(look.evidence, refusal.evidence);
    }
    let lost = SqlError::Lost { host: "h".into(), reason: "cut".to_owned() };
    assert!(!explain_look("what".to_owned(), &lost).action.contains("resume"));
}

#[test]
fn the_servers_own_hints_are_cut_off() {
    for (code, message, kept) in [
        (
            359,
            "Table or Partition in d.t was not dropped. Reason: 1. Size (60.00 GB) is greater than max_[table/partition]_size_to_drop (50.00 GB). How to fix this: 1. Either create forcing file /var/lib/clickhouse/flags/force_drop_table with permissions for writing",
            "60.00 GB",
        ),
        (
            608,
            "Cannot restore the table d.t because it already contains some data. You can set structure_only=true or allow_non_empty_tables=true to overcome that",
            "already contains",
        ),
    ] {
        let message = message.to_owned();
        let error = SqlError::Server { host: "h".into(), code, name: "NAME".to_owned(), message };
        let refusal = explain_sql("what".to_owned(), &error);
        assert!(refusal.found.contains(kept), "{refusal}");
        for hint in UNSAFE_HINTS {
            assert!(!refusal.to_string().contains(hint), "{refusal}");
        }
    }
}

const UNSAFE_HINTS: [&str; 5] = [
    "allow_non_empty_tables",
    "force_drop_table",
    "check_table_dependencies",
    "restore_broken_parts",
    "replace_running_query",
];

/// Texts between quotes in the product's code, with the line they stand in; comments are none.
fn literals() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for text in sources(&root().join("src")) {
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if product.starts_with("use super::*;") || product.contains("#![cfg(test)]") {
            continue;
        }
        for line in product.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let parts: Vec<&str> = line.split('"').collect();
            found.extend(parts.iter().skip(1).step_by(2).map(|part| ((*part).to_owned(), line.trim().to_owned())));
        }
    }
    found
}

#[test]
fn no_refusal_hints_at_what_is_unsafe_or_at_a_command_that_is_not_there() {
    let help = TestEnvironment::new().run(&["--help"]).stdout;
    let commands: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|word| word.chars().all(|character| character.is_ascii_lowercase()))
        .collect();
    assert!(commands.contains("resume") && commands.contains("inspect"), "{commands:?}");
    let literals = literals();
    assert!(literals.len() > 3000, "{}", literals.len());
    for (text, line) in &literals {
        // A name alone is a setting; words around it are advice.
        for hint in UNSAFE_HINTS {
            assert!(!(text.contains(hint) && text.contains(' ')), "{line}");
        }
        let starts = text.strip_prefix("clickferry ").into_iter();
        for rest in starts.chain(text.split("`clickferry ").skip(1)) {
            let word = rest.split(|character: char| !character.is_ascii_lowercase()).next().unwrap();
            // An option, the command for those who work on the product, a sentence about it.
            let is_other = ["", "dev", "always", "asks", "gives"].contains(&word);
            assert!(is_other || commands.contains(word), "no command `{word}`: {line}");
        }
    }
}

#[test]
fn no_page_tells_to_do_what_is_unsafe() {
    for page in pages() {
        for hint in UNSAFE_HINTS {
            assert!(!told(&page).contains(hint), "{}: {hint}", page.title());
        }
    }
    assert!(section(&find("608").unwrap(), "Do not").contains("allow_non_empty_tables"));
}

#[test]
fn the_overview_and_the_pages_are_about_the_same_codes() {
    let overview = source("docs/errors.md");
    for file in file_names() {
        assert!(overview.contains(&format!("(errors/{file}.md)")), "docs/errors.md does not link errors/{file}.md");
    }
}

#[test]
fn a_page_is_printed_and_an_unknown_code_is_told() {
    let test = TestEnvironment::new();
    insta::assert_snapshot!("explain_608", test.run(&["explain", "cannot_restore_table"]));
    insta::assert_snapshot!("explain_unknown", test.run(&["explain", "unknwon-key"]));
    let list = test.run(&["explain"]);
    assert_eq!(list.code, Some(0), "{list}");
    assert!(pages().iter().all(|page| list.stdout.contains(&page.title())), "{list}");
    let json: serde_json::Value =
        serde_json::from_str(&test.run(&["explain", "608", "--format", "json"]).stdout).unwrap();
    assert_eq!(json["codes"][1], "608 CANNOT_RESTORE_TABLE");
}

/// As a user who may only read: a statement that changes something, or that is wrong, fails. The engine of the
/// laboratory lacks a few tables (60) and parts of the configuration (139) that servers have; those statements are only
/// parsed.
#[test]
fn every_statement_of_the_pages_only_reads_and_is_understood() {
    let scene = Scene::new("pages");
    let host = Host {
        name: "r1".into(),
        url: scene.lab.node("replica1").unwrap().url,
        user: scene.lab.reader().to_owned(),
        password: Some(scene.lab.password().to_owned().into()),
    };
    let client = ClickHouse::new(vec![host], Redactor::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |sql: &str| runtime.block_on(client.call(&"r1".into(), Call::read(sql)));
    let (mut asked, mut parsed, mut wrong) = (0, Vec::new(), Vec::new());
    for page in pages() {
        for line in section(&page, "See it").lines() {
            if !["SELECT", "SHOW", "EXPLAIN"].iter().any(|word| line.starts_with(word)) {
                continue;
            }
            asked += 1;
            match ask(line) {
                Ok(_) => {}
                Err(SqlError::Server { code: 60 | 139, message, .. }) => {
                    parsed.push(message);
                    if let Err(error) = ask(&format!("EXPLAIN AST {line}")) {
                        wrong.push(format!("{}: {line}: {error:?}", page.title()));
                    }
                }
                Err(error) => wrong.push(format!("{}: {line}: {error:?}", page.title())),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 70 && parsed.len() < asked / 4, "{asked} asked, of which only parsed: {parsed:#?}");
}
