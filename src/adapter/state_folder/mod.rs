//! State in a folder: `<folder>/runs/<run>/{plan.json,journal.jsonl,...}` and one lock for all of it.
//!
//! Everything is durable when a call returns: content is synced, and so is every folder that got a new name.
//! Files are readable by their owner only; plans and exports show what a database holds.

mod files;
mod journal;
mod lock;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;

use self::journal::{Journal, Refused};
use self::lock::{FolderGuard, FolderLock};
use super::state_names::{JOURNAL, check_document, check_left, check_run, check_written};
use crate::engine::ports::{Document, Held, Life, LockGuard, LockHolder, StateError, StateStore};
use crate::model::ids::RunId;

/// State in a folder of this machine.
#[derive(Clone)]
pub struct StateFolder {
    folder: PathBuf,
    journals: Arc<Mutex<BTreeMap<RunId, Arc<Mutex<Journal>>>>>,
    lock: Arc<Mutex<Weak<FolderLock>>>,
}

impl StateFolder {
    /// State in this folder, which is made when something is first written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), journals: Arc::default(), lock: Arc::default() }
    }

    fn run_folder(&self, run: &RunId) -> Result<PathBuf, StateError> {
        check_run(run.as_str()).map_err(|reason| self.refused("finding the run", reason))?;
        Ok(self.folder.join("runs").join(run.as_str()))
    }

    /// Nothing is written without the lock, and nothing to another run than the one it was taken for.
    fn check_lock(&self, run: &RunId, action: &str) -> Result<(), StateError> {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let reason = match lock {
            None => "this process does not hold its lock".to_owned(),
            Some(lock) if !lock.is_held() => "the lock was given back, or its file was deleted or replaced".to_owned(),
            Some(lock) if lock.run() != run.as_str() => format!("its lock was taken for run {}", lock.run()),
            Some(_) => return Ok(()),
        };
        Err(self.lock_lost(action, reason))
    }

    fn lock_lost(&self, action: &str, reason: String) -> StateError {
        StateError::LockLost { action: action.to_owned(), location: self.describe(), reason }
    }

    fn refused(&self, action: &str, reason: String) -> StateError {
        StateError::Io { action: action.to_owned(), location: self.describe(), reason }
    }

    fn missing(&self, what: String) -> StateError {
        StateError::Missing { what, location: self.describe() }
    }

    fn journal(&self, run: &RunId, folder: &Path) -> Arc<Mutex<Journal>> {
        let mut journals = self.journals.lock().unwrap_or_else(PoisonError::into_inner);
        let journal =
            journals.entry(run.clone()).or_insert_with(|| Arc::new(Mutex::new(Journal::new(folder.join(JOURNAL)))));
        Arc::clone(journal)
    }

    async fn write_document(&self, run: &RunId, name: &str, content: &[u8], action: String) -> Result<(), StateError> {
        let folder = self.run_folder(run)?;
        let (path, content) = (folder.join(name), content.to_owned());
        let exists = self
            .blocking(action, move || {
                if !folder.is_dir() {
                    return Ok(false);
                }
                files::make_folders(path.parent().unwrap_or(&folder))?;
                files::replace(&path, &content)?;
                Ok(true)
            })
            .await?;
        if exists { Ok(()) } else { Err(self.missing(format!("run {run}"))) }
    }

    /// Runs file operations where they may block.
    async fn blocking<T: Send + 'static>(
        &self,
        action: String,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, StateError> {
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.refused(&action, files::explain(&error))),
            Err(error) => Err(self.refused(&action, error.to_string())),
        }
    }
}

#[async_trait]
impl StateStore for StateFolder {
    async fn runs(&self) -> Result<Vec<RunId>, StateError> {
        let folder = self.folder.join("runs");
        self.blocking("listing the runs".to_owned(), move || {
            let entries = match std::fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            let mut runs = Vec::new();
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name().into_string().unwrap_or_default();
                if !name.is_empty() && !name.starts_with('.') && entry.file_type()?.is_dir() {
                    runs.push(RunId(name));
                }
            }
            // Ids begin with the time of the start.
            runs.sort();
            Ok(runs)
        })
        .await
    }

    async fn create_run(&self, run: &RunId) -> Result<(), StateError> {
        let folder = self.run_folder(run)?;
        let action = format!("creating run {run}");
        self.check_lock(run, &action)?;
        self.blocking(action, move || {
            let parent = folder.parent().map(Path::to_path_buf).unwrap_or_default();
            files::make_folders(&parent)?;
            files::make_folder(&folder)?;
            files::create_empty(&folder.join(JOURNAL))
        })
        .await
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        let action = format!("writing {name} of run {run}");
        check_written(name).map_err(|reason| self.refused(&action, reason))?;
        self.check_lock(run, &action)?;
        self.write_document(run, name, content, action).await
    }

    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        let action = format!("writing {name} of run {run}");
        check_left(name).map_err(|reason| self.refused(&action, reason))?;
        self.write_document(run, name, content, action).await
    }

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        let action = format!("reading {name} of run {run}");
        check_document(name).map_err(|reason| self.refused(&action, reason))?;
        let folder = self.run_folder(run)?;
        let path = folder.join(name);
        let read = self
            .blocking(action, move || match std::fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err(folder.is_dir())),
                content => content.map(Ok),
            })
            .await?;
        read.map_err(|run_exists| {
            self.missing(if run_exists { format!("{name} of run {run}") } else { format!("run {run}") })
        })
    }

    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        let folder = self.run_folder(run)?;
        let found = self
            .blocking(format!("listing the documents of run {run}"), move || {
                if !folder.is_dir() {
                    return Ok(None);
                }
                let mut found = Vec::new();
                files::walk(&folder, &mut |path, size| {
                    let name = path.strip_prefix(&folder).unwrap_or(path).to_string_lossy().into_owned();
                    found.push(Document { name, size });
                })?;
                found.sort_by(|left, right| left.name.cmp(&right.name));
                Ok(Some(found))
            })
            .await?;
        found.ok_or_else(|| self.missing(format!("run {run}")))
    }

    async fn append(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError> {
        let journal = self.journal(run, &self.run_folder(run)?);
        let action = format!("appending to the journal of run {run}");
        self.check_lock(run, &action)?;
        let line = line.to_owned();
        let appended = self
            .blocking(action.clone(), move || {
                match journal.lock().unwrap_or_else(PoisonError::into_inner).append(number, &line) {
                    Ok(()) => Ok(Ok(())),
                    Err(Refused::Foreign(reason)) => Ok(Err(reason)),
                    Err(Refused::System(error)) => Err(error),
                }
            })
            .await?;
        appended.map_err(|reason| self.lock_lost(&action, reason))
    }

    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        let journal = self.journal(run, &self.run_folder(run)?);
        let action = format!("cutting the journal of run {run}");
        self.check_lock(run, &action)?;
        self.blocking(action, move || journal.lock().unwrap_or_else(PoisonError::into_inner).truncate(length)).await
    }

    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        let (folder, holder) = (self.folder.clone(), holder.clone());
        let taken = self.blocking("taking the lock".to_owned(), move || lock::take(&folder, &holder)).await?;
        let lock = match taken {
            Ok(lock) => Arc::new(lock),
            Err(holder) => return Err(StateError::Locked { location: self.describe(), holder, is_alive: true }),
        };
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&lock);
        // Somebody may have written between this process's earlier lock and this one.
        self.journals.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(Box::new(FolderGuard(lock)))
    }

    async fn holder(&self) -> Result<Option<Held>, StateError> {
        let folder = self.folder.clone();
        let holder = self.blocking("looking at the lock".to_owned(), move || lock::holder(&folder)).await?;
        Ok(holder.map(|holder| Held { holder, life: Life::Process }))
    }

    async fn remove_lock(&self, _holder: &LockHolder) -> Result<(), StateError> {
        match self.holder().await? {
            None => Ok(()),
            Some(held) => Err(StateError::Locked { location: self.describe(), holder: held.holder, is_alive: true }),
        }
    }

    fn describe(&self) -> String {
        self.folder.display().to_string()
    }
}

#[cfg(test)]
mod tests;
