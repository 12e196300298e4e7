//! `validate`: every mistake of every file, offline.

use std::path::PathBuf;

use serde_json::json;

use crate::action::CATALOGUE;
use crate::cli::args::{Common, Format, ValidateArgs};
use crate::cli::printer::Printer;
use crate::cli::session::{given_parameters, read_source};
use crate::diag::{Diagnostics, Failure};
use crate::engine::compile::{CompileOptions, compile};
use crate::engine::environment_file::load_environment;
use crate::exit_code::Exit;
use crate::model::yaml::{self, Node};
use crate::report::text::count;

/// Runs the command.
///
/// # Errors
/// [`Failure::Input`] with every mistake.
pub fn run(args: &ValidateArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let given = given_parameters(common)?;
    let mut found = Diagnostics::default();
    for path in args.files.iter().chain(&common.environment) {
        if let Err(mistakes) = check(path, &given) {
            found.extend(mistakes);
        }
    }
    match common.format {
        Format::Text if found.is_empty() => {
            let number = args.files.len() + usize::from(common.environment.is_some());
            printer.result(&format!("{} {}: valid.\n", count(number as u64, "file"), names(&args.files)));
        }
        Format::Text => return Err(found.into()),
        Format::Json => {
            let is_empty = found.is_empty();
            printer.result(&format!("{:#}\n", as_json(found)));
            return Ok(if is_empty { Exit::Done } else { Exit::Error });
        }
    }
    Ok(Exit::Done)
}

fn names(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn check(path: &std::path::Path, given: &std::collections::BTreeMap<String, String>) -> Result<(), Diagnostics> {
    let source = read_source(path)?;
    let document = yaml::parse(&source)?;
    if document.root.get("kind").and_then(Node::text) == Some("Environment") {
        return load_environment(&source, PathBuf::new()).map(|_| ());
    }
    let options = CompileOptions { catalogue: CATALOGUE, given, environment: "environment", allow_missing: true };
    compile(&source, &options).map(|_| ())
}

fn as_json(found: Diagnostics) -> serde_json::Value {
    let mistakes: Vec<_> = found
        .sorted()
        .into_iter()
        .map(|diagnostic| {
            let place = diagnostic.source.as_ref().zip(diagnostic.labels.first()).map(|(source, (span, label))| {
                let (line, column) = source.line_column(span.start);
                json!({ "file": source.name, "line": line, "column": column, "label": label })
            });
            json!({ "code": diagnostic.code, "message": diagnostic.message, "place": place, "help": diagnostic.help })
        })
        .collect();
    json!({ "version": 1, "valid": mistakes.is_empty(), "mistakes": mistakes })
}
