//! Renders diagnostics through miette: graphical with a snippet, or plain where colour is off.

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::clip::clip;
use super::diagnostic::{Diagnostic, Diagnostics};

/// The text of all findings, in order of place, for a terminal of `width` columns.
#[must_use]
pub fn render(diagnostics: Diagnostics, width: usize, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false).with_context_lines(1);
    let found = diagnostics.sorted();
    let count = found.len();
    let mut out = String::new();
    for diagnostic in &found {
        let report = to_report(diagnostic, width);
        let mut text = String::new();
        // Writing into a String cannot fail; a report that cannot be drawn falls back to its text.
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text = format!("{}\n", diagnostic.message);
        }
        out.push('\n');
        out.push_str(&placed(text, diagnostic));
    }
    if count > 1 {
        out.push_str(&format!("\n{count} mistakes found; nothing was sent to any server.\n"));
    }
    out
}

/// The place as it is in the file: the column in a line that was cut is another one.
fn placed(text: String, diagnostic: &Diagnostic) -> String {
    let Some((source, (span, _))) = diagnostic.source.as_ref().zip(diagnostic.labels.first()) else { return text };
    let (line, column) = source.line_column(span.start);
    let head = format!("{}:{line}:", source.name);
    let Some(at) = text.find(&head).map(|at| at + head.len()) else { return text };
    let digits = text[at..].chars().take_while(char::is_ascii_digit).count();
    format!("{}{column}{}", &text[..at], &text[at + digits..])
}

fn to_report(diagnostic: &Diagnostic, width: usize) -> Report {
    let mut inner = MietteDiagnostic::new(diagnostic.message.clone()).with_code(diagnostic.code);
    if let Some(help) = &diagnostic.help {
        inner = inner.with_help(help.clone());
    }
    let source = diagnostic.source.as_deref();
    let clipped = source.and_then(|source| clip(source, &diagnostic.labels, width));
    let labels = diagnostic.labels.iter().enumerate().map(|(at, (span, text))| {
        let span = clipped.as_ref().map_or(*span, |clipped| clipped.spans[at]);
        LabeledSpan::new(Some(text.clone()), span.start, span.len.max(1))
    });
    let report = Report::new(inner.with_labels(labels));
    match source {
        Some(source) => {
            let text = clipped.as_ref().map_or(source.text.as_str(), |clipped| clipped.text.as_str());
            // A span at the very end needs a character to point at.
            report.with_source_code(NamedSource::new(&source.name, format!("{text}\n")))
        }
        None => report,
    }
}
