//! Why an execution ends early, and what of several reasons is told.

use crate::diag::{Failure, Refusal};
use crate::engine::action::{RunError, RunErrorKind};
use crate::engine::journal::WriteError;

/// Why an execution ends early.
pub(super) enum Stop {
    /// With a failure to report.
    Failure(Failure),
    /// Checks of a step that may fail did not hold; the run goes on.
    Passed(Vec<Refusal>),
}

impl From<WriteError> for Stop {
    fn from(error: WriteError) -> Self {
        Self::Failure(Failure::error(Refusal {
            what: error.to_string(),
            expected: "every record is written before the next operation starts".to_owned(),
            found: "the journal could not be written, so nothing more was started".to_owned(),
            evidence: "clickferry status RUN".to_owned(),
            action: "repair the cause, then `clickferry resume`".to_owned(),
        }))
    }
}

pub(super) fn stop_for(error: RunError) -> Stop {
    Stop::Failure(match error.kind {
        RunErrorKind::Differs => Failure::Differs(vec![error.refusal]),
        RunErrorKind::NotSent | RunErrorKind::AskProbe | RunErrorKind::Broken => Failure::error(error.refusal),
    })
}

/// The worst of what the lanes say: unknown before errors before differences before passing.
pub(super) fn merge(results: Vec<Result<(), Stop>>) -> Result<(), Stop> {
    let rank = |stop: &Stop| match stop {
        Stop::Failure(Failure::Unknown(_)) => 0,
        Stop::Failure(Failure::Error(_)) => 1,
        Stop::Failure(Failure::Refused(_) | Failure::Input(_)) => 2,
        Stop::Failure(Failure::Differs(_)) => 3,
        Stop::Failure(Failure::Cancelled(_) | Failure::TakenBack { .. }) => 4,
        Stop::Passed(_) => 5,
    };
    let mut stops: Vec<Stop> = results.into_iter().filter_map(Result::err).collect();
    stops.sort_by_key(rank);
    let mut stops = stops.into_iter();
    let Some(mut worst) = stops.next() else { return Ok(()) };
    // Failures of the same kind on several hosts are told together.
    for other in stops {
        match (&mut worst, other) {
            (Stop::Passed(all), Stop::Passed(more))
            | (Stop::Failure(Failure::Unknown(all)), Stop::Failure(Failure::Unknown(more)))
            | (Stop::Failure(Failure::Error(all)), Stop::Failure(Failure::Error(more)))
            | (Stop::Failure(Failure::Differs(all)), Stop::Failure(Failure::Differs(more))) => all.extend(more),
            _ => {}
        }
    }
    Err(worst)
}

pub(super) fn reason_of(failure: &Failure) -> String {
    match failure {
        Failure::Error(all) | Failure::Refused(all) | Failure::Unknown(all) | Failure::Differs(all) => {
            all.first().map(|refusal| format!("{}: {}", refusal.what, refusal.found)).unwrap_or_default()
        }
        Failure::Cancelled(reason) => reason.clone(),
        Failure::TakenBack { failure, .. } => reason_of(failure),
        Failure::Input(_) => "bad input".to_owned(),
    }
}
