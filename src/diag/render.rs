//! Renders diagnostics through miette: graphical with a snippet, or plain where colour is off.

use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::source::SourceFile;

/// The text of all findings, in order of place, for a terminal of `width` columns.
#[must_use]
pub fn render(diagnostics: Diagnostics, width: usize, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false).with_context_lines(1);
    let found = diagnostics.sorted();
    let count = found.len();
    let mut out = String::new();
    for diagnostic in &found {
        let report = to_report(diagnostic);
        out.push('\n');
        // Writing into a String cannot fail; a report that cannot be drawn falls back to its text.
        if handler.render_report(&mut out, report.as_ref()).is_err() {
            out.push_str(&diagnostic.message);
            out.push('\n');
        }
    }
    if count > 1 {
        out.push_str(&format!("\n{count} mistakes found; nothing was sent to any server.\n"));
    }
    out
}

fn to_report(diagnostic: &Diagnostic) -> Report {
    let mut inner = MietteDiagnostic::new(diagnostic.message.clone()).with_code(diagnostic.code);
    if let Some(help) = &diagnostic.help {
        inner = inner.with_help(help.clone());
    }
    let labels =
        diagnostic.labels.iter().map(|(span, text)| LabeledSpan::new(Some(text.clone()), span.start, span.len.max(1)));
    let report = Report::new(inner.with_labels(labels));
    match &diagnostic.source {
        Some(source) => report.with_source_code(named(source)),
        None => report,
    }
}

fn named(source: &Arc<SourceFile>) -> NamedSource<String> {
    // A span at the very end needs a character to point at.
    NamedSource::new(&source.name, format!("{}\n", source.text))
}
