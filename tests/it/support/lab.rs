//! The laboratories of the tests.
//!
//! An engine refuses to drop or restore on a server where somebody else restores, so a laboratory serves one test at
//! a time. As many are shared as tests run side by side; tests that break parts start one of their own.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use clickferry_lab::{Lab, Options};

/// Names of the nodes of a laboratory.
pub const NODES: [&str; 3] = ["standalone", "replica1", "replica2"];
/// How long a test waits for anything that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

static POOL: [Mutex<Option<Lab>>; 2] = [Mutex::new(None), Mutex::new(None)];

/// A laboratory for as long as a test needs it.
pub enum LabInUse {
    Shared(MutexGuard<'static, Option<Lab>>),
    Own(Box<Lab>),
}

impl LabInUse {
    /// One of the shared laboratories, whole, for this test alone.
    pub fn shared() -> Self {
        let free = POOL.iter().find_map(|lab| match lab.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let mut guard = free.unwrap_or_else(|| POOL[0].lock().unwrap_or_else(PoisonError::into_inner));
        guard.get_or_insert_with(|| Lab::start(Options::default()).unwrap());
        Self::Shared(guard)
    }

    /// One that nobody else uses, now or later.
    pub fn own() -> Self {
        Self::Own(Box::new(Lab::start(Options::default()).unwrap()))
    }
}

impl Deref for LabInUse {
    type Target = Lab;
    fn deref(&self) -> &Lab {
        match self {
            Self::Shared(guard) => guard.as_ref().unwrap(),
            Self::Own(lab) => lab,
        }
    }
}

/// All files below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Asks until the answer is yes.
pub fn wait_until(what: &str, mut answer: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !answer() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}
