//! The only place that writes to the terminal: results to standard output, everything else to standard error,
//! and no secret to either.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex};

use console::Term;
use indicatif::MultiProgress;

use super::args::Colour;
use crate::adapter::redact::Redactor;
use crate::diag::Refusal;
use crate::report::text::{self, Style, wrap};

/// Writes for the user. Clones write to the same streams.
#[derive(Clone)]
pub struct Printer {
    out_style: Style,
    err_style: Style,
    width: usize,
    redactor: Redactor,
    bars: Arc<Mutex<Option<MultiProgress>>>,
}

impl Printer {
    /// A printer for this process's streams.
    #[must_use]
    pub fn new(colour: Colour) -> Self {
        let wanted = |is_terminal: bool| match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let columns = Term::stdout()
            .size_checked()
            .or_else(|| Term::stderr().size_checked())
            .map(|(_, columns)| usize::from(columns));
        let from_environment = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        Self {
            out_style: Style { colour: wanted(std::io::stdout().is_terminal()) },
            err_style: Style { colour: wanted(std::io::stderr().is_terminal()) },
            width: columns.or(from_environment).unwrap_or(100).clamp(60, 160),
            redactor: Redactor::default(),
            bars: Arc::new(Mutex::new(None)),
        }
    }

    /// The same printer, to be shared with what runs beside.
    #[must_use]
    pub fn shared(&self) -> Arc<Self> {
        Arc::new(self.clone())
    }

    /// Style of standard output.
    #[must_use]
    pub fn style(&self) -> Style {
        self.out_style
    }

    /// Style of standard error.
    #[must_use]
    pub fn err_style(&self) -> Style {
        self.err_style
    }

    /// Columns of the terminal, or 100.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// A command for standard output: in lines of the terminal that can be copied, else in one.
    #[must_use]
    pub fn command(&self, words: &[String], indent: &str) -> String {
        let width = if std::io::stdout().is_terminal() { self.width } else { usize::MAX };
        text::command(words, width, indent)
    }

    /// A refusal behind its label for standard error; wrapped on a terminal, in whole lines for a log.
    #[must_use]
    pub fn refusal(&self, label: &str, refusal: &Refusal) -> String {
        let text = format!("{label}: {refusal}");
        if std::io::stderr().is_terminal() { hanging(&text, self.width) } else { text }
    }

    /// Columns that a line on standard error may have: those of the terminal, or any.
    #[must_use]
    pub fn err_width(&self) -> usize {
        if std::io::stderr().is_terminal() { self.width } else { usize::MAX }
    }

    /// Learns the secrets that must never be written.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Whether standard error is a terminal, so that bars make sense.
    #[must_use]
    pub fn shows_bars(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Lines are written above these bars from now on.
    pub fn use_bars(&self, bars: MultiProgress) {
        *self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(bars);
    }

    /// Writes a result to standard output.
    pub fn result(&self, text: &str) {
        let text = self.redactor.scrub(text);
        self.around_bars(|| write_all(&mut std::io::stdout().lock(), &text));
    }

    /// Writes a large result to standard output as it is made. No line may be a part of a secret.
    pub fn result_in_lines(&self, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) {
        self.around_bars(|| {
            let mut lines = Lines { printer: self, waiting: Vec::new() };
            // A reader that went away is no failure of ours.
            let _ = write(&mut lines);
            let _ = lines.flush();
        });
    }

    /// Writes anything that is not a result to standard error.
    pub fn error(&self, text: &str) {
        let text = self.redactor.scrub(text);
        self.around_bars(|| write_all(&mut std::io::stderr().lock(), &text));
    }

    fn around_bars(&self, write: impl FnOnce()) {
        match &*self.bars.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

/// Passes whole lines on, without secrets, whenever enough have come together.
struct Lines<'p> {
    printer: &'p Printer,
    waiting: Vec<u8>,
}

/// Bytes that come together before they are passed on.
const ENOUGH: usize = 1 << 16;

impl Lines<'_> {
    fn pass_on(&mut self, end: usize) -> std::io::Result<()> {
        let text = self.printer.redactor.scrub(&String::from_utf8_lossy(&self.waiting[..end]));
        self.waiting.drain(..end);
        std::io::stdout().lock().write_all(text.as_bytes())
    }
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= ENOUGH
            && let Some(end) = self.waiting.iter().rposition(|byte| *byte == b'\n')
        {
            self.pass_on(end + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.pass_on(self.waiting.len())?;
        std::io::stdout().lock().flush()
    }
}

/// Wraps the lines of a refusal; what goes on stands below its text, not below its label.
fn hanging(text: &str, width: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let indent = if line.starts_with("  ") { " ".repeat(12) } else { "  ".to_owned() };
        if visible(line) <= width {
            out.push_str(line);
            out.push('\n');
            continue;
        }
        let (head, body) = line.split_at(line.char_indices().nth(indent.len()).map_or(line.len(), |(at, _)| at));
        let wrapped = wrap(body, width, &indent);
        out.push_str(head);
        out.push_str(wrapped.strip_prefix(indent.as_str()).unwrap_or(&wrapped));
    }
    out
}

/// Columns of a line without its colours.
fn visible(line: &str) -> usize {
    console::measure_text_width(line)
}

/// A reader that went away is no failure of ours.
fn write_all(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}
