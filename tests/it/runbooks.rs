//! Every bundled runbook and every example is valid, and `init` gives them out.

use crate::support::{TestEnvironment, root};

fn yaml_files(folder: &str) -> Vec<String> {
    let mut files: Vec<String> = std::fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".yaml"))
        .collect();
    files.sort();
    files
}

#[test]
fn every_bundled_file_is_valid() {
    let test = TestEnvironment::new();
    let files: Vec<String> = yaml_files("runbooks").into_iter().chain(yaml_files("examples")).collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let output = test.run(&["validate", &file]);
        assert_eq!(output.code, Some(0), "{file}: {output}");
    }
}

#[test]
fn every_bundled_file_tells_editors_its_schema() {
    for file in yaml_files("runbooks").into_iter().chain(yaml_files("examples")) {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# yaml-language-server: $schema=../schemas/"), "{file}");
    }
}

#[test]
fn init_writes_a_valid_runbook_and_never_overwrites() {
    let test = TestEnvironment::new();
    for name in ["standalone-to-replicated", "backup", "restore-same-engine", "clean-replicas", "mark-migration-clean"]
    {
        let first = test.run(&["init", name, "--into", name]);
        assert_eq!(first.code, Some(0), "{first}");
        let valid = test.run(&["validate", &format!("{name}/{name}.yaml"), &format!("{name}/environment.yaml")]);
        assert_eq!(valid.code, Some(0), "{valid}");
        let again = test.run(&["init", name, "--into", name]);
        assert_eq!(again.code, Some(3), "{again}");
    }
    assert_eq!(test.run(&["init", "bakup"]).code, Some(1));
}
