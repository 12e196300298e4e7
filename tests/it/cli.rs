//! The command line itself: help, exit codes, wrong calls.

use crate::support::TestEnvironment;

#[test]
fn the_version_and_the_manual_are_there() {
    let test = TestEnvironment::new();
    assert_eq!(test.run(&["--version"]).to_string(), format!("exit 0\n--- stdout\nclickferry {}\n", env!("CARGO_PKG_VERSION")));
    assert!(test.run(&["man"]).stdout.contains(".TH clickferry"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(test.run(&["completions", shell]).stdout.contains("clickferry"));
    }
    for schema in ["runbook", "environment"] {
        let output = test.run(&["schema", schema]);
        assert!(serde_json::from_str::<serde_json::Value>(&output.stdout).is_ok(), "{output}");
    }
}

#[test]
fn a_missing_environment_is_told_with_what_to_do() {
    let test = TestEnvironment::new();
    test.run(&["init", "backup"]);
    insta::assert_snapshot!(test.run(&["plan", "backup.yaml"]), @r"");
}

#[test]
fn secrets_that_cannot_be_read_are_told_all_at_once() {
    let test = TestEnvironment::new();
    test.run(&["init", "backup"]);
    insta::assert_snapshot!(test.run(&["plan", "backup.yaml", "-e", "environment.yaml"]), @r"");
}

#[test]
fn there_are_no_runs_in_an_empty_state() {
    let test = TestEnvironment::new();
    insta::assert_snapshot!(test.run(&["runs"]), @r"");
    insta::assert_snapshot!(test.run(&["status"]), @r"");
}
