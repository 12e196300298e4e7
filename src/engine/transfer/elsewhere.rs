//! Where a run lives. A run is copied from one state to another, and is carried on in one of them only: two copies that
//! both go on would each repeat what the other has done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diag::{Failure, Refusal};
use crate::engine::journal::Journal;
use crate::engine::ports::{StateError, StateStore};
use crate::engine::state_failure::state_failure;
use crate::model::ids::RunId;

/// Name of the mark among a run's documents.
pub const ELSEWHERE_DOCUMENT: &str = "elsewhere.json";

/// Why a run does not live where its mark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It is being copied here and is not complete.
    Arriving,
    /// This is a copy, to look at.
    Copied,
    /// It was moved away.
    Moved,
    /// It lives here again.
    Here,
}

/// The mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Format of this document.
    pub version: u32,
    /// Why it was written.
    pub why: Why,
    /// The state where the run lives.
    pub lives: String,
    /// When.
    pub at: Timestamp,
    /// User and host who did that.
    pub by: String,
}

impl Elsewhere {
    /// What was done, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self.why {
            Why::Arriving => format!("not complete: it is being copied from {}", self.lives),
            Why::Copied => format!("a copy of {}", self.lives),
            Why::Moved => format!("moved to {}", self.lives),
            Why::Here => "lives here".to_owned(),
        }
    }
}

/// The mark of a run, where it does not live here.
///
/// # Errors
/// A state that cannot be read, or a mark of a newer format.
pub async fn elsewhere(state: &dyn StateStore, run: &RunId) -> Result<Option<Elsewhere>, Failure> {
    let bytes = match state.get(run, ELSEWHERE_DOCUMENT).await {
        Ok(bytes) => bytes,
        Err(StateError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(state_failure(error)),
    };
    match serde_json::from_slice::<Elsewhere>(&bytes) {
        Ok(mark) if mark.why == Why::Here => Ok(None),
        Ok(mark) => Ok(Some(mark)),
        Err(error) => Err(Failure::simple(
            format!("{ELSEWHERE_DOCUMENT} of run {run} in {} cannot be read: {error}", state.describe()),
            "use the version of clickferry that copied the run, or a newer one",
        )),
    }
}

/// Refuses to carry a run on where it does not live.
///
/// # Errors
/// [`Failure::Refused`] with the place where it lives.
pub async fn check_lives_here(state: &dyn StateStore, run: &RunId, journal: &Journal) -> Result<(), Failure> {
    // A run that is over is not carried on anywhere.
    if journal.is_over() {
        return Ok(());
    }
    let Some(mark) = elsewhere(state, run).await? else { return Ok(()) };
    let action = match mark.why {
        Why::Arriving => "copy it again as before: `clickferry state push` or `state pull` completes it".to_owned(),
        _ => format!(
            "`clickferry resume {run}` with an environment whose state is there; or bring it back with `clickferry state push`"
        ),
    };
    Err(Failure::refused(Refusal {
        what: format!("run {run} in {} is not the one to carry on", state.describe()),
        expected: "a run is carried on where it lives, and nowhere else".to_owned(),
        found: format!("{}, {} by {}", mark.words(), mark.at.strftime("%Y-%m-%d %H:%M:%S UTC"), mark.by),
        evidence: "clickferry state ls".to_owned(),
        action,
    }))
}
