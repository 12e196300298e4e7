//! One finding about the user's input, and collections of them.

use std::sync::Arc;

use super::source::{SourceFile, Span};

/// What is wrong, where, and what to do. Several are reported in one go.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Short stable name of the kind of mistake, e.g. `unknown-key`.
    pub code: &'static str,
    /// One sentence without a final period.
    pub message: String,
    /// File the finding is about; absent for mistakes on the command line.
    pub source: Option<Arc<SourceFile>>,
    /// Marked places with what to say at each; the first is the main one.
    pub labels: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding without a place.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: None, labels: Vec::new(), help: None }
    }

    /// Sets the file and marks a place in it.
    #[must_use]
    pub fn at(mut self, source: &Arc<SourceFile>, span: Span, label: impl Into<String>) -> Self {
        self.source = Some(Arc::clone(source));
        self.labels.push((span, label.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Findings in the order they were made.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds all findings of another collection.
    pub fn extend(&mut self, other: Self) {
        self.found.extend(other.found);
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Number of findings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The findings by file and place, each once.
    #[must_use]
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        let key = |d: &Diagnostic| {
            let file = d.source.as_ref().map(|s| s.name.clone()).unwrap_or_default();
            (file, d.labels.first().map_or(0, |(span, _)| span.start), d.message.clone())
        };
        self.found.sort_by_key(key);
        self.found.dedup_by_key(|d| key(d));
        self.found
    }

    /// `Ok(value)` when nothing was found, else the findings.
    ///
    /// # Errors
    /// The collection itself when it is not empty.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { found: vec![diagnostic] }
    }
}
