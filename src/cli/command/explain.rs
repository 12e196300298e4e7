//! `explain`: the page on a code.

use serde_json::json;

use crate::cli::args::{Common, ExplainArgs, Format};
use crate::cli::printer::Printer;
use crate::diag::{Diagnostic, Diagnostics, Failure};
use crate::engine::error_pages::{Page, find, nearest, pages};
use crate::exit_code::Exit;
use crate::report::page_view::{render_list, render_page};

/// Runs the command. Contacts nobody.
///
/// # Errors
/// A code that no page is about.
pub fn run(args: &ExplainArgs, common: &Common, printer: &Printer) -> Result<Exit, Failure> {
    let Some(code) = &args.code else {
        match common.format {
            Format::Text => printer.result(&render_list(&pages(), printer.width(), printer.style())),
            Format::Json => {
                let all: Vec<_> = pages().iter().map(as_json).collect();
                printer.result(&format!("{:#}\n", json!({ "version": 1, "pages": all })));
            }
        }
        return Ok(Exit::Done);
    };
    let Some(page) = find(code) else { return Err(unknown(code).into()) };
    match common.format {
        Format::Text => printer.result(&render_page(&page, printer.width(), printer.style())),
        Format::Json => {
            let mut json = as_json(&page);
            json["version"] = json!(1);
            json["text"] = json!(page.text);
            printer.result(&format!("{json:#}\n"));
        }
    }
    Ok(Exit::Done)
}

fn as_json(page: &Page) -> serde_json::Value {
    json!({ "codes": page.codes, "summary": page.summary })
}

fn unknown(code: &str) -> Diagnostics {
    let near = nearest(code).map(|hint| format!("{hint} ")).unwrap_or_default();
    Diagnostic::new("unknown-code", format!("there is no page on `{code}`"))
        .help(format!(
            "{near}`clickferry explain` lists all codes; for another code of ClickHouse look at the server's log around \
             that time, and let `clickferry resume` ask before anything is repeated"
        ))
        .into()
}
