//! The gates before an apply: what a runbook limits, what a plan was consented to, and a world that may have moved.

mod another;
mod approvals;
mod before;
mod budget;
mod consent;
mod definition;
mod freeze;
mod moved;
mod space;
#[cfg(test)]
pub(crate) mod tests;
mod versions;
mod window;

pub use approvals::{SIGNATURE_NAMESPACE, signed_text, signers_facts};
pub use before::{check_demands, check_start};
pub use budget::check_budget;
pub use consent::{CONSENT_LENGTH, check_consent, consent_text, shown_again};
pub use definition::read_guards;
pub use moved::{Now, check_unmoved};
pub use space::Space;
pub use versions::check_versions;
pub use window::{check_window, predicted, time_words};
