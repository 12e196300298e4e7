//! The lock of a state folder: a lock of the operating system on `lock`, freed when the process ends however
//! it ends; `lock.json` beside it tells people who holds it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::files;
use crate::engine::ports::{LockGuard, LockHolder};

/// Attempts to read who holds the lock: it is written a moment after the lock is taken.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);
/// A lock met so often in a row is held: whoever only asks who holds it has it for a moment.
const BELIEVED: u32 = 3;

/// The lock, or who holds it.
pub fn take(folder: &Path, holder: &LockHolder) -> io::Result<Result<FolderLock, LockHolder>> {
    files::make_folders(folder)?;
    let path = folder.join("lock");
    let told = folder.join("lock.json");
    for attempt in 1..=ATTEMPTS {
        // The file is never deleted by us: whoever deleted it could let two processes lock two files.
        let file = files::private().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) if same_file(&file, &path) => {
                files::replace(&told, &serde_json::to_vec(holder)?)?;
                return Ok(Ok(FolderLock { run: holder.run.clone(), path, told, file: Mutex::new(Some(file)) }));
            }
            // Locked a file that somebody deleted meanwhile: once more with the new one.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if attempt >= BELIEVED
                    && let Some(other) = told_holder(&told)
                {
                    return Ok(Err(other));
                }
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Err(unknown()))
}

/// Whether the name still leads to the open file.
fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Who holds the lock of a folder now; the file alone tells nothing, it outlives its writer.
pub fn holder(folder: &Path) -> io::Result<Option<LockHolder>> {
    let file = match File::open(folder.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Shared, so that two who only ask do not take each other for a holder.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(Some(told_holder(&folder.join("lock.json")).unwrap_or_else(unknown))),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn told_holder(path: &Path) -> Option<LockHolder> {
    std::fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok())
}

fn unknown() -> LockHolder {
    LockHolder {
        run: "(unknown)".to_owned(),
        owner: "(unknown)".to_owned(),
        pid: 0,
        since: "(unknown)".to_owned(),
        machine: String::new(),
    }
}

/// A held lock; free when dropped.
pub struct FolderLock {
    run: String,
    path: PathBuf,
    told: PathBuf,
    file: Mutex<Option<File>>,
}

impl FolderLock {
    /// The run that it was taken for.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Whether the lock is still the one that others would meet.
    pub fn is_held(&self) -> bool {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.as_ref().is_some_and(|file| same_file(file, &self.path))
    }

    fn free(&self) {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file {
            if same_file(&file, &self.path) {
                // Before unlocking: afterwards it may be the next holder's.
                let _ = std::fs::remove_file(&self.told);
            }
            // Closing the file would do; a forked command may hold a copy of it open for a moment.
            let _ = file.unlock();
        }
    }
}

/// The lock as its holder has it; the store looks at it before each write.
pub struct FolderGuard(pub Arc<FolderLock>);

#[async_trait]
impl LockGuard for FolderGuard {
    fn is_held(&self) -> bool {
        self.0.is_held()
    }

    async fn release(&self) {
        self.0.free();
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        self.free();
    }
}
