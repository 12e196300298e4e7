//! `dev`: writes the generated files of the repository, or says which are not up to date.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::action::CATALOGUE;
use crate::cli::args::{Cli, DevArgs};
use crate::cli::printer::Printer;
use crate::diag::{Failure, Refusal};
use crate::engine::event::event_schema;
use crate::engine::schema::{environment_schema, runbook_schema};
use crate::exit_code::Exit;
use crate::report::diff_view::diff_schema;
use crate::report::plan_json::plan_schema;
use crate::report::reference::{actions_page, commands_page};
use crate::report::run_report::report_schema;

/// Runs the command.
///
/// # Errors
/// With `--check`, each file that is not up to date.
pub fn run(args: &DevArgs, printer: &Printer) -> Result<Exit, Failure> {
    let files = [
        ("schemas/runbook.v1.json", format!("{:#}\n", runbook_schema(CATALOGUE))),
        ("schemas/environment.v1.json", format!("{:#}\n", environment_schema())),
        ("schemas/plan.v1.json", format!("{:#}\n", plan_schema())),
        ("schemas/diff.v1.json", format!("{:#}\n", diff_schema())),
        ("schemas/report.v1.json", format!("{:#}\n", report_schema())),
        ("schemas/event.v1.json", format!("{:#}\n", event_schema())),
        ("docs/reference/actions.md", actions_page(CATALOGUE)),
        ("docs/reference/commands.md", commands_page(Cli::command())),
    ];
    let mut stale = Vec::new();
    for (name, text) in files {
        let path: PathBuf = args.root.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        if args.check {
            stale.push(name);
            continue;
        }
        let write = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&path, &text)
        };
        write().map_err(|error| {
            Failure::simple(format!("{} cannot be written: {error}", path.display()), "run it in the repository")
        })?;
        printer.result(&format!("wrote {name}\n"));
    }
    if stale.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::refused(Refusal {
        what: "generated files are not up to date".to_owned(),
        expected: "files as the sources make them".to_owned(),
        found: stale.join(", "),
        evidence: String::new(),
        action: "run `clickferry dev` and commit what it wrote".to_owned(),
    }))
}
