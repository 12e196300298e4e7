//! The one table of exit codes. Every command ends with one of these.

use std::process::ExitCode;

/// How a command ended, as a shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// An error: bad input, an unreachable host, a failed operation.
    Error,
    /// The plan has changes, or a verification failed its expectation.
    Differs,
    /// Refused by a guard, a lock, a stale plan or missing consent. Nothing was changed.
    Refused,
    /// Stopped for a person: the outcome of an operation is unknown.
    Unknown,
    /// Cancelled at a safe point.
    Cancelled,
}

impl Exit {
    /// The number the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Differs => 2,
            Self::Refused => 3,
            Self::Unknown => 4,
            Self::Cancelled => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
