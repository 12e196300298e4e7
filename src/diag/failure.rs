//! Why a command could not do what it was asked.

use std::fmt;

use super::diagnostic::Diagnostics;
use crate::exit_code::Exit;

/// A refusal or a failed operation with its evidence: what was expected, what was found,
/// the read-only statement that shows it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One sentence: what is refused or what failed.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What is.
    pub found: String,
    /// A read-only statement (or command) that shows it, with the host to ask.
    pub evidence: String,
    /// What to do.
    pub action: String,
}

impl Refusal {
    /// The same with the read-only statement or command that shows it.
    #[must_use]
    pub fn shown_by(mut self, evidence: impl Into<String>) -> Self {
        self.evidence = evidence.into();
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        for (label, text) in [
            ("expected", &self.expected),
            ("found", &self.found),
            ("see it", &self.evidence),
            ("do this", &self.action),
        ] {
            if text.is_empty() {
                continue;
            }
            let mut lines = text.lines();
            writeln!(f, "  {label:<9} {}", lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(f, "  {:<9} {line}", "")?;
            }
        }
        Ok(())
    }
}

/// Why a command ended without doing what it was asked; each kind has its exit code.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The runbook, the environment or the command line is wrong.
    Input(Diagnostics),
    /// Something went wrong: a host does not answer, a statement failed.
    Error(Vec<Refusal>),
    /// A guard, a lock, a moved world or missing consent. Nothing was changed.
    Refused(Vec<Refusal>),
    /// The outcome of an operation is unknown; a person has to decide.
    Unknown(Vec<Refusal>),
    /// A verification or expectation did not hold.
    Differs(Vec<Refusal>),
    /// Stopped at a safe point by the user.
    Cancelled(String),
    /// A step failed, and its run was taken back, as the step says.
    TakenBack {
        /// Id of the run.
        run: String,
        /// Id of the run that took it back.
        by: String,
        /// Why the step failed.
        failure: Box<Self>,
    },
}

impl Failure {
    /// An error with its evidence.
    #[must_use]
    pub fn error(refusal: Refusal) -> Self {
        Self::Error(vec![refusal])
    }

    /// A refusal with its evidence.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        Self::Refused(vec![refusal])
    }

    /// An error told in one sentence, with what to do.
    #[must_use]
    pub fn simple(what: impl Into<String>, action: impl Into<String>) -> Self {
        Self::Error(vec![Refusal {
            what: what.into(),
            expected: String::new(),
            found: String::new(),
            evidence: String::new(),
            action: action.into(),
        }])
    }

    /// The exit code of this kind.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Input(_) | Self::Error(_) => Exit::Error,
            Self::Refused(_) => Exit::Refused,
            Self::Unknown(_) => Exit::Unknown,
            Self::Differs(_) => Exit::Differs,
            Self::Cancelled(_) => Exit::Cancelled,
            Self::TakenBack { failure, .. } => failure.exit(),
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Input(diagnostics)
    }
}
