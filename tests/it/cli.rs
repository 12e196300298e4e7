//! The command line itself: help, exit codes, wrong calls.

use crate::support::TestEnvironment;

#[test]
fn the_version_and_the_manual_are_there() {
    let test = TestEnvironment::new();
    assert_eq!(
        test.run(&["--version"]).to_string(),
        format!("exit 0\n--- stdout\nclickferry {}\n", env!("CARGO_PKG_VERSION"))
    );
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
    insta::assert_snapshot!(test.run(&["plan", "backup.yaml"]), @"
    exit 1
    --- stderr

    no-environment

      × no environment is given
      help: add `-e environment.yaml`, or set CLICKFERRY_ENVIRONMENT
    ");
}

#[test]
fn secrets_that_cannot_be_read_are_told_all_at_once() {
    let test = TestEnvironment::new();
    test.run(&["init", "backup"]);
    insta::assert_snapshot!(test.run(&["plan", "backup.yaml", "-e", "environment.yaml"]), @"
    exit 1
    --- stderr
    error: the password of target source cannot be read
      expected  a value in environment variable CLICKHOUSE_PASSWORD
      found     it is not set
      see it    printenv CLICKHOUSE_PASSWORD | wc -c
      do this   provide the secret there, or name another source in the environment file
    error: the access key of storage backups cannot be read
      expected  a value in environment variable AWS_ACCESS_KEY_ID
      found     it is not set
      see it    printenv AWS_ACCESS_KEY_ID | wc -c
      do this   provide the secret there, or name another source in the environment file
    error: the secret key of storage backups cannot be read
      expected  a value in environment variable AWS_SECRET_ACCESS_KEY
      found     it is not set
      see it    printenv AWS_SECRET_ACCESS_KEY | wc -c
      do this   provide the secret there, or name another source in the environment file
    ");
}

#[test]
fn there_are_no_runs_in_an_empty_state() {
    let test = TestEnvironment::new();
    insta::assert_snapshot!(test.run(&["runs"]), @"
    exit 0
    --- stdout
    No runs in .clickferry.
    ");
    insta::assert_snapshot!(test.run(&["status"]), @"
    exit 1
    --- stderr
    error: there is no run in .clickferry
      do this   begin one with `clickferry apply`; or name the state folder of another environment with `-e` or `--state`
    ");
}
