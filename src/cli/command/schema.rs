//! `schema`: schemas for editors.

use crate::action::CATALOGUE;
use crate::cli::args::{SchemaArgs, SchemaOf};
use crate::cli::printer::Printer;
use crate::diag::Failure;
use crate::engine::event::event_schema;
use crate::engine::schema::{environment_schema, runbook_schema};
use crate::exit_code::Exit;
use crate::report::diff_view::diff_schema;
use crate::report::plan_json::plan_schema;
use crate::report::run_report::report_schema;

/// Runs the command.
///
/// # Errors
/// Never.
pub fn run(args: &SchemaArgs, printer: &Printer) -> Result<Exit, Failure> {
    let schema = match args.of {
        SchemaOf::Runbook => runbook_schema(CATALOGUE),
        SchemaOf::Environment => environment_schema(),
        SchemaOf::Diff => diff_schema(),
        SchemaOf::Plan => plan_schema(),
        SchemaOf::Event => event_schema(),
        SchemaOf::Report => report_schema(),
    };
    printer.result(&format!("{schema:#}\n"));
    Ok(Exit::Done)
}
