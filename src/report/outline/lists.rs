//! Lists of names, short enough to be read.

use super::family::Family;
use super::told::Told;

/// Names in a list before `and 12 more`.
pub const A_DOZEN: usize = 12;

/// A text, for which hosts and for which of the items.
#[must_use]
pub fn told_words(family: &Family<'_>, told: &Told) -> String {
    let hosts = told.hosts.as_ref().map(|hosts| format!("on {}: ", hosts.join(", "))).unwrap_or_default();
    let which = which(family, &told.items);
    format!("{hosts}{}{which}", told.text)
}

/// Names, at most a dozen.
#[must_use]
pub fn a_dozen(labels: &[&str]) -> String {
    // One more name is not longer than the words on it.
    if labels.len() <= A_DOZEN + 1 {
        return labels.join(", ");
    }
    format!("{} and {} more", labels[..A_DOZEN].join(", "), labels.len() - A_DOZEN)
}

/// For which of a family's items something holds: nothing where it holds for all.
#[must_use]
pub fn which(family: &Family<'_>, items: &[usize]) -> String {
    if items.len() == family.items.len() {
        return String::new();
    }
    let labels = family.labels(items.iter().copied());
    if labels.len() <= 4 {
        format!(" ({})", labels.join(", "))
    } else {
        format!(" ({} of {})", labels.len(), family.items.len())
    }
}
