//! A run as a report: what the journal tells, in each form.

use serde_json::Value;

use crate::formats::{fixtures, state};
use crate::support::{TestEnvironment, fits_schema, root};

/// The newest fixture: a run with every action and every kind of record.
fn every_kind() -> (TestEnvironment, String) {
    let (_, folder) = fixtures().pop().unwrap();
    state(&folder, |plan| plan, |journal| journal)
}

fn json(test: &TestEnvironment) -> Value {
    let output = test.run(&["report", "--state", "state", "--format", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    serde_json::from_str(&output.stdout).unwrap()
}

/// Every text of a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Compares with a file under `tests/cases/reports/`; `UPDATE_VIEWS=1` writes it.
fn matches_file(name: &str, found: &str) {
    let path = root().join("tests/cases/reports").join(name);
    if std::env::var_os("UPDATE_VIEWS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == found,
        "{name} differs; look at it with `UPDATE_VIEWS=1 cargo test --test it report` and `git diff`:\n{}",
        similar::TextDiff::from_lines(&expected, found).unified_diff()
    );
}

#[test]
fn a_report_tells_what_was_done_when_on_whose_word_and_what_proves_it() {
    let (test, run) = every_kind();
    let default = test.run(&["report", "--state", "state"]);
    assert_eq!((default.code, default.stderr.as_str()), (Some(0), ""));
    assert_eq!(test.run(&["report", &run, "--state", "state", "--format", "markdown"]).stdout, default.stdout);
    matches_file("every-action.md", &default.stdout);
    let html = test.run(&["report", "--state", "state", "--format", "html"]).stdout;
    let (head, rest) = html.split_once("<style>").unwrap();
    let (style, body) = rest.split_once("</style>").unwrap();
    assert!(style.contains(".fail") && !style.contains("url("), "{style}");
    matches_file("every-action.html", &format!("{head}<style></style>{body}"));
}

#[test]
fn every_form_tells_the_same() {
    let (test, _) = every_kind();
    let report = json(&test);
    fits_schema("report.v1.json", &report);
    assert_eq!((&report["version"], &report["state"]), (&Value::from(1), &Value::from("undone")));
    let html = test.run(&["report", "--state", "state", "--format", "html"]).stdout;
    let markdown = test.run(&["report", "--state", "state", "--format", "markdown"]).stdout;
    let plain = |text: &str| -> String {
        // What is markup in either is left out of the comparison.
        let text = text.replace("<code>", "").replace("</code>", "").replace("&#39;", "'").replace("&quot;", "\"");
        let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#64;", "@").replace("&amp;", "&");
        text.chars().filter(|character| !matches!(character, '`' | '\\' | '\n' | ' ')).collect()
    };
    let (in_html, in_markdown) = (plain(&html), plain(&markdown));
    for text in texts(&report).into_iter().filter(|text| text.len() > 4) {
        assert!(in_html.contains(&plain(text)), "`{text}` is not in the html");
        assert!(in_markdown.contains(&plain(text)), "`{text}` is not in the markdown");
    }
    assert!(html.contains("default-src 'none'") && !html.contains("<script"), "a report needs no script");
}

#[test]
fn names_and_reasons_do_not_become_markup() {
    let (_, folder) = fixtures().pop().unwrap();
    let evil = "<img src=x> | ](http://e) @all";
    let (test, _) = state(&folder, |plan| plan, |journal| journal);
    let run = test.path().join("state/runs").read_dir().unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read(run.join("journal.jsonl")).unwrap();
    let mut records = clickferry::engine::journal::read_journal(&text, "j").unwrap().records;
    records.pop();
    let last = records.last().unwrap();
    let stopped = clickferry::engine::journal::Entry::Stopped { reason: evil.to_owned() };
    let added = clickferry::engine::journal::Record::new(last.seq + 1, last.at, stopped, &last.sum);
    records.push(added);
    let lines: String = records.iter().map(|record| format!("{}\n", serde_json::to_string(record).unwrap())).collect();
    std::fs::write(run.join("journal.jsonl"), lines).unwrap();
    for format in ["markdown", "html"] {
        let output = test.run(&["report", "--state", "state", "--format", format]);
        assert_eq!(output.code, Some(0), "{output}");
        assert!(output.stdout.contains("src=x") && !output.stdout.contains("<img"), "{format}: {output}");
        // In HTML that is no link, and no cell ends there.
        assert!(format == "html" || output.stdout.contains("src=x> \\| \\](http"), "{output}");
    }
}

#[test]
fn a_run_that_is_not_there_is_told() {
    let (test, _) = every_kind();
    let output = test.run(&["report", "20200101-000000-0000", "--state", "state"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("there is no run `20200101-000000-0000`"), "{output}");
}
