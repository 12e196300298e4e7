//! `init`: a runbook and an environment to start from.

use std::path::Path;

use crate::action::CATALOGUE;
use crate::cli::args::InitArgs;
use crate::cli::printer::Printer;
use crate::diag::{Failure, Refusal};
use crate::engine::schema::{environment_schema, runbook_schema};
use crate::exit_code::Exit;
use crate::model::schema_check::did_you_mean;
use crate::report::text::pad;

/// The bundled runbooks: name and text.
pub const BUNDLED: &[(&str, &str)] = &[
    ("standalone-to-replicated", include_str!("../../../runbooks/standalone-to-replicated.yaml")),
    ("backup", include_str!("../../../runbooks/backup.yaml")),
    ("restore-same-engine", include_str!("../../../runbooks/restore-same-engine.yaml")),
    ("clean-replicas", include_str!("../../../runbooks/clean-replicas.yaml")),
    ("mark-migration-clean", include_str!("../../../runbooks/mark-migration-clean.yaml")),
];

/// The environment to start from.
const ENVIRONMENT: &str = include_str!("../../../examples/environment.yaml");

/// Runs the command. Never overwrites a runbook or an environment; schemas are this version's own.
///
/// # Errors
/// An unknown name, or a file that exists already.
pub fn run(args: &InitArgs, printer: &Printer) -> Result<Exit, Failure> {
    if args.list {
        for (name, text) in BUNDLED {
            printer.result(&format!("{}  {}\n", pad(name, 26), summary(text)));
        }
        return Ok(Exit::Done);
    }
    let Some((name, text)) = BUNDLED.iter().find(|(name, _)| *name == args.name) else {
        let known: Vec<String> = BUNDLED.iter().map(|(name, _)| (*name).to_owned()).collect();
        let help = did_you_mean(&args.name, &known).unwrap_or_else(|| format!("one of: {}", known.join(", ")));
        return Err(Failure::simple(format!("there is no bundled runbook `{}`", args.name), help));
    };
    // In the repository schemas lie beside the folder of the runbooks; here they are written below it.
    let local = |text: &str| text.replacen("$schema=../schemas/", "$schema=schemas/", 1);
    let files = [
        (args.into.join(format!("{name}.yaml")), local(text)),
        (args.into.join("environment.yaml"), local(ENVIRONMENT)),
    ];
    let schemas = [
        (args.into.join("schemas/runbook.v1.json"), format!("{:#}\n", runbook_schema(CATALOGUE))),
        (args.into.join("schemas/environment.v1.json"), format!("{:#}\n", environment_schema())),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(Failure::refused(Refusal {
            what: format!("{} exists already", path.display()),
            expected: "files that are not there yet".to_owned(),
            found: "a file that may hold your work".to_owned(),
            evidence: String::new(),
            action: "move it away, or write to another folder with `--into`".to_owned(),
        }));
    }
    for (path, text) in files.iter().chain(&schemas) {
        write(path, text)?;
        printer.result(&format!("wrote {}\n", path.display()));
    }
    printer.result(&format!(
        "Next: edit environment.yaml, then\n  clickferry validate {0} -e {1}\n  clickferry plan {0} -e {1}\n",
        files[0].0.display(),
        files[1].0.display()
    ));
    Ok(Exit::Done)
}

fn summary(text: &str) -> &str {
    text.lines().find_map(|line| line.trim().strip_prefix("summary:")).unwrap_or_default().trim()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text)
    };
    write().map_err(|error| {
        Failure::simple(format!("{} cannot be written: {error}", path.display()), "give another folder with `--into`")
    })
}
