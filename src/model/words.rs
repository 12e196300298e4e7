//! Numbers as people read them, in every text that the tool writes.

pub use crate::diag::grouped as number;

/// `1 table`, `2 tables`, `2 entries`.
#[must_use]
pub fn count(value: u64, one: &str) -> String {
    format!("{} {}", number(value), noun(value, one))
}

/// `table` or `tables`, for a number that stands elsewhere in the sentence.
#[must_use]
pub fn noun(value: u64, one: &str) -> String {
    match one.strip_suffix('y') {
        _ if value == 1 => one.to_owned(),
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{one}s"),
    }
}

/// As [`count`], for a length.
#[must_use]
pub fn count_of(value: usize, one: &str) -> String {
    count(value as u64, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_the_others_are_many() {
        assert_eq!(number(2_000_000), "2 000 000");
        assert_eq!(number(999), "999");
        assert_eq!(count(0, "table"), "0 tables");
        assert_eq!(count(1, "table"), "1 table");
        assert_eq!(count_of(1200, "detached part"), "1 200 detached parts");
        assert_eq!(count(2, "dictionary"), "2 dictionaries");
        assert_eq!(count(2, "day"), "2 days");
    }
}
