//! Generated files are as the sources make them.

use crate::support::{TestEnvironment, root};

#[test]
fn schemas_and_reference_pages_are_up_to_date() {
    let output = TestEnvironment::new().run(&["dev", root().to_str().unwrap(), "--check"]);
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn the_published_schemas_accept_what_the_engine_accepts() {
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("schemas/runbook.v1.json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for entry in std::fs::read_dir(root().join("runbooks")).unwrap() {
        let path = entry.unwrap().path();
        let source = clickferry::diag::SourceFile::new("r", std::fs::read_to_string(&path).unwrap());
        let document = clickferry::model::yaml::parse(&source).unwrap().root.to_json();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            // A template stands for a value of any type; editors may mark it, the engine does not.
            .filter(|error| !error.instance().as_str().is_some_and(|text| text.contains("{{")))
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}
