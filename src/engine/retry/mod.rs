//! When another attempt may help: by the class of the error, within attempts, budget and deadline.
//!
//! Nothing here sends a changing statement again. The executor alone repeats one, after its probe has told that the
//! first one did nothing; what only reads is repeated by [`PatientReads`].

mod class;
mod reads;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use class::{class_of, class_of_code, class_of_keeper, class_of_objects};
pub use reads::PatientReads;

use crate::model::runbook::{ErrorClass, Retry};

/// Attempts where the step says nothing.
const DEFAULT_ATTEMPTS: u32 = 4;
/// First wait where the step says nothing.
const DEFAULT_BACKOFF: Duration = Duration::from_secs(1);
/// From the operation's first attempt on, where the step says nothing.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// How one step's operations are tried again.
pub struct Policy<'a> {
    retry: Option<&'a Retry>,
    spent: &'a Spent,
}

/// What one step has used up of its patience, over all its operations.
#[derive(Debug, Default)]
pub struct Spent {
    /// Repeated attempts.
    repeated: AtomicU32,
    /// When its first attempt began.
    first: OnceLock<Instant>,
}

impl<'a> Policy<'a> {
    /// The policy of a step; `spent` counts the repeated attempts of all its operations.
    #[must_use]
    pub fn new(retry: Option<&'a Retry>, spent: &'a Spent) -> Self {
        Self { retry, spent }
    }

    /// An attempt begins.
    pub fn attempts(&self) {
        self.spent.first.get_or_init(Instant::now);
    }

    /// The time that a deadline is compared with. One that the step names counts from the first attempt of all its
    /// operations in this process; where it names none, each operation has its own time.
    #[must_use]
    pub fn gone(&self, operation_began: Instant) -> Duration {
        let first = self.spent.first.get().filter(|_| self.deadline().is_some());
        first.copied().unwrap_or(operation_began).elapsed()
    }

    /// How long a server that does not answer is asked how an attempt ended, before a person is.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.deadline().unwrap_or(DEFAULT_DEADLINE)
    }

    fn deadline(&self) -> Option<Duration> {
        duration(self.retry.and_then(|retry| retry.deadline.as_ref()))
    }

    /// The wait before another attempt after `tries` of them, when so much of the time is [`Self::gone`]; `None` to give up.
    /// `chance` between 0 and 1 shortens the wait, so that many engines do not come back in the same moment.
    #[must_use]
    pub fn pause(&self, class: Option<ErrorClass>, tries: u32, gone: Duration, chance: f64) -> Option<Duration> {
        let class = class?;
        let attempts = self.retry.map_or(DEFAULT_ATTEMPTS, |retry| retry.attempts);
        let is_wanted = match self.retry {
            Some(Retry { on: Some(classes), .. }) => classes.contains(&class),
            Some(_) => true,
            None => class != ErrorClass::Other,
        };
        let first = duration(self.retry.and_then(|retry| retry.backoff.as_ref())).unwrap_or(DEFAULT_BACKOFF);
        let deadline = self.deadline().or_else(|| self.retry.is_none().then_some(DEFAULT_DEADLINE));
        let pause = first.saturating_mul(1 << tries.saturating_sub(1).min(6)).min(LONGEST_BACKOFF);
        let pause = pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0);
        let is_late = deadline.is_some_and(|deadline| gone + pause > deadline);
        if !is_wanted || tries >= attempts || is_late {
            return None;
        }
        let budget = self.retry.and_then(|retry| retry.budget).unwrap_or(u32::MAX);
        let take = |spent: u32| (spent < budget).then(|| spent + 1);
        self.spent.repeated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(|_| pause)
    }
}

fn duration(text: Option<&crate::model::formats::DurationText>) -> Option<Duration> {
    text.and_then(|text| text.duration())
}

/// A number between 0 and 1 that differs from process to process and call to call.
#[must_use]
pub fn chance() -> f64 {
    let bytes = uuid::Uuid::now_v7().into_bytes();
    f64::from(u16::from_be_bytes([bytes[14], bytes[15]])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(retry: Option<&Retry>, class: Option<ErrorClass>, tries: u32, gone: u64) -> Option<u64> {
        let spent = Spent::default();
        Policy::new(retry, &spent).pause(class, tries, Duration::from_secs(gone), 0.0).map(|pause| pause.as_secs())
    }

    fn retry(text: &str) -> Retry {
        serde_json::from_str(text).expect("a retry block")
    }

    #[test]
    fn waits_double_up_to_a_minute_and_end_with_the_attempts() {
        let many = retry(r#"{"attempts": 12, "backoff": "2s"}"#);
        let waits: Vec<_> = (1..=12).map(|tries| pause(Some(&many), Some(ErrorClass::Keeper), tries, 0)).collect();
        let expected = [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60].map(Some).into_iter().chain([None]);
        assert_eq!(waits, expected.collect::<Vec<_>>());
    }

    #[test]
    fn chance_only_shortens() {
        let spent = Spent::default();
        let wait = |chance| Policy::new(None, &spent).pause(Some(ErrorClass::Busy), 1, Duration::ZERO, chance);
        assert_eq!((wait(0.0), wait(1.0)), (Some(Duration::from_secs(1)), Some(Duration::from_millis(500))));
    }

    #[test]
    fn what_cannot_heal_is_never_tried_again() {
        assert_eq!(pause(Some(&retry(r#"{"attempts": 9}"#)), None, 1, 0), None);
        assert_eq!(pause(None, None, 1, 0), None);
    }

    #[test]
    fn an_unknown_error_is_tried_again_only_where_the_runbook_says_so() {
        assert_eq!(pause(None, Some(ErrorClass::Other), 1, 0), None);
        assert_eq!(pause(Some(&retry(r#"{"attempts": 2}"#)), Some(ErrorClass::Other), 1, 0), Some(1));
        let on = retry(r#"{"attempts": 2, "on": ["keeper", "busy"]}"#);
        assert_eq!(pause(Some(&on), Some(ErrorClass::Other), 1, 0), None);
        assert_eq!(pause(Some(&on), Some(ErrorClass::Keeper), 1, 0), Some(1));
    }

    #[test]
    fn the_deadline_counts_the_wait_before_the_attempt() {
        let retry = retry(r#"{"attempts": 9, "backoff": "10s", "deadline": "30s"}"#);
        assert_eq!(pause(Some(&retry), Some(ErrorClass::Busy), 1, 20), Some(10));
        assert_eq!(pause(Some(&retry), Some(ErrorClass::Busy), 1, 21), None);
    }

    #[test]
    fn the_budget_is_one_for_all_operations_of_a_step() {
        let retry = retry(r#"{"attempts": 9, "budget": 2}"#);
        let spent = Spent::default();
        let policy = Policy::new(Some(&retry), &spent);
        let told: Vec<bool> =
            (0..4).map(|_| policy.pause(Some(ErrorClass::Busy), 1, Duration::ZERO, 0.0).is_some()).collect();
        assert_eq!(told, [true, true, false, false]);
    }

    #[test]
    fn a_named_deadline_counts_from_the_first_attempt_of_the_step() {
        let (now, spent) = (Instant::now(), Spent::default());
        let earlier = now.checked_sub(Duration::from_secs(100)).expect("a machine that runs for minutes");
        spent.first.set(earlier).expect("the first one");
        let named = retry(r#"{"attempts": 9, "deadline": "30s"}"#);
        // An operation that has just begun, in a step that began long ago.
        assert!(Policy::new(Some(&named), &spent).gone(now) >= Duration::from_secs(100));
        assert!(Policy::new(None, &spent).gone(now) < Duration::from_secs(50));
        assert_eq!(Policy::new(Some(&named), &spent).patience(), Duration::from_secs(30));
        assert_eq!(Policy::new(None, &spent).patience(), Duration::from_secs(300));
    }

    #[test]
    fn codes_have_their_classes() {
        let denied = "The AWS access key is wrong: AccessDenied";
        let cases = [
            (202, "", Some(ErrorClass::Overload)),
            (999, "Coordination::Exception: Session expired", Some(ErrorClass::Keeper)),
            (999, "Coordination::Exception: Node exists", None),
            (499, denied, None),
            (499, "Please reduce your request rate: SlowDown", Some(ErrorClass::Storage)),
            (608, "already contains some data", None),
            (49, "Logical error", Some(ErrorClass::Other)),
        ];
        for (code, message, class) in cases {
            assert_eq!(class_of_code(code, message), class, "{code} {message}");
        }
    }
}
