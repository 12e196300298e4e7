//! Broken runbooks: each file under `tests/cases/invalid` with the whole report it must give beside it.
//! `UPDATE_CASES=1 cargo test` writes the reports anew; read the difference before committing it.

use crate::support::{TestEnvironment, root};

#[test]
fn every_broken_file_is_reported_with_place_and_help_and_in_one_go() {
    let folder = root().join("tests/cases/invalid");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() >= 8);
    let mut differing = Vec::new();
    for file in files {
        let test = TestEnvironment::new();
        let name = file.file_name().unwrap().to_str().unwrap();
        test.write(name, &std::fs::read_to_string(&file).unwrap());
        let output = test.run(&["validate", name]).to_string();
        assert!(output.starts_with("exit 1\n"), "{name}: {output}");
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&expected, &output).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != output {
            differing.push(format!("{name}:\n{output}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
