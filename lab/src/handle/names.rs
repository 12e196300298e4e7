//! Names that two tests never share.

use std::sync::atomic::{AtomicU32, Ordering};

/// The prefix, the process and a counter.
pub fn fresh(prefix: &str, between: char) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}{between}{}{between}{number}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        assert_ne!(fresh("a", '_'), fresh("a", '_'));
        assert!(fresh("a", '-').starts_with("a-"));
    }
}
