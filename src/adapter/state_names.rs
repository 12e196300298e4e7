//! What may name a run or a document, whatever keeps it: nothing outside a run can be reached.

use std::path::{Component, Path};

/// Name of a run's journal.
pub const JOURNAL: &str = "journal.jsonl";

/// Why a text is no id of a run.
pub fn check_run(run: &str) -> Result<(), String> {
    if run.is_empty() || run.starts_with('.') || run.contains(['/', '\\', '\0']) {
        return Err(format!("{run:?} is not a run id"));
    }
    Ok(())
}

/// Why a text is no name of a document: plain names only, with folders at most.
pub fn check_document(name: &str) -> Result<(), String> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !plain || name.starts_with("./") || name.contains(['\0', '\\']) || name.ends_with('/') {
        return Err(format!("{name:?} is not a document's name"));
    }
    Ok(())
}

/// Why a document cannot be written as a whole.
pub fn check_written(name: &str) -> Result<(), String> {
    check_document(name)?;
    if name == JOURNAL { Err("the journal is only ever appended to".to_owned()) } else { Ok(()) }
}

/// Why a document cannot be written by somebody who does not hold the lock.
pub fn check_left(name: &str) -> Result<(), String> {
    check_written(name)?;
    if name.starts_with("requests/") { Ok(()) } else { Err("only requests are written without the lock".to_owned()) }
}
