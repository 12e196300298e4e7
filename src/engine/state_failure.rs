//! What the state store and the journal said, as failures of a command.

use super::journal::WriteError;
use super::ports::StateError;
use crate::diag::{Failure, Refusal};

/// A failure of the state store.
#[must_use]
pub fn state_failure(error: StateError) -> Failure {
    let refusal = |expected: &str, action: &str| Refusal {
        what: error.to_string(),
        expected: expected.to_owned(),
        found: String::new(),
        evidence: "clickferry runs".to_owned(),
        action: action.to_owned(),
    };
    match &error {
        StateError::Locked { .. } => Failure::refused(refusal(
            "no other engine works with this state",
            "wait for that run to end, or stop its process",
        )),
        StateError::LockLost { .. } => Failure::error(refusal(
            "the lock of the state is held for as long as the run lasts",
            "nothing more was started; `clickferry resume` takes the lock again and asks what happened",
        )),
        StateError::Unfit { expected, found, .. } => Failure::refused(Refusal {
            found: found.clone(),
            evidence: String::new(),
            ..refusal(
                expected,
                "two engines could not be kept apart here; keep the state in a store that honours conditional writes, \
                 or in a folder (`state: { directory: ... }`)",
            )
        }),
        StateError::Missing { .. } => Failure::error(refusal("", "`clickferry runs` lists what is there")),
        StateError::Io { .. } => Failure::error(refusal(
            "the state can be read and written",
            "repair its place (rights, space, network); nothing more was started",
        )),
    }
}

pub(super) fn write_failure(error: WriteError) -> Failure {
    match error {
        WriteError::Store(error) => state_failure(error),
        WriteError::LockLost(name) => Failure::simple(
            format!("the lock on {name} was lost"),
            "`clickferry resume` takes it again and asks what happened",
        ),
        WriteError::Ended(_) => {
            Failure::simple(error.to_string(), "repair the cause of the first error, then `clickferry resume`")
        }
    }
}
