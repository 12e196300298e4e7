//! Where things lie below the prefix.

/// The lock.
pub const LOCK: &str = "lock";
/// The object that shows what the store honours.
pub const PROBE: &str = "probe";
/// One object for each run lies below.
pub const INDEX: &str = "index/";

/// The object that says that a run exists.
pub fn index(run: &str) -> String {
    format!("{INDEX}{run}")
}

/// Everything of a run lies below.
pub fn run(run: &str) -> String {
    format!("runs/{run}/")
}

/// A document of a run.
pub fn document(run: &str, name: &str) -> String {
    format!("runs/{run}/{name}")
}

/// The records of a run lie below.
pub fn journal(run: &str) -> String {
    format!("runs/{run}/journal/")
}

/// One record; sorts by its number, as text does.
pub fn record(run: &str, number: u64) -> String {
    format!("runs/{run}/journal/{number:010}")
}

/// The number of a record's key.
pub fn number(key: &str) -> Option<u64> {
    key.rsplit('/').next()?.parse().ok()
}
