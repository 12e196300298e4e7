//! State in a folder: `<folder>/runs/<run>/{plan.json,journal.jsonl,...}` and one lock for all of it.
//!
//! Everything is durable when a call returns: content is synced, and so is every folder that got a new name.
//! Files are readable by their owner only; plans and exports show what a database holds.

mod files;
mod journal;
mod lock;

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::journal::Journal;
use crate::engine::ports::{LockGuard, LockHolder, StateError, StateStore};
use crate::model::ids::RunId;

/// Name of a run's journal.
const JOURNAL: &str = "journal.jsonl";

/// State in a folder of this machine.
#[derive(Clone)]
pub struct StateFolder {
    folder: PathBuf,
    journals: Arc<Mutex<BTreeMap<RunId, Arc<Mutex<Journal>>>>>,
}

impl StateFolder {
    /// State in this folder, which is made when something is first written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), journals: Arc::default() }
    }

    fn run_folder(&self, run: &RunId) -> Result<PathBuf, StateError> {
        let name = run.as_str();
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) {
            return Err(self.refused("finding the run", format!("{name:?} is not a run id")));
        }
        Ok(self.folder.join("runs").join(name))
    }

    /// The path of a document; only plain names, so that nothing outside the run can be reached.
    fn document(&self, run: &RunId, name: &str) -> Result<PathBuf, StateError> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain || name.contains('\0') || name.ends_with('/') {
            return Err(self.refused("finding the document", format!("{name:?} is not a document's name")));
        }
        Ok(self.run_folder(run)?.join(name))
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
        self.blocking(format!("creating run {run}"), move || {
            let parent = folder.parent().map(Path::to_path_buf).unwrap_or_default();
            files::make_folders(&parent)?;
            files::make_folder(&folder)?;
            files::create_empty(&folder.join(JOURNAL))
        })
        .await
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        let path = self.document(run, name)?;
        if name == JOURNAL {
            return Err(self.refused("writing the journal", "it is only ever appended to".to_owned()));
        }
        let folder = self.run_folder(run)?;
        let content = content.to_owned();
        let exists = self
            .blocking(format!("writing {name} of run {run}"), move || {
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

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        let path = self.document(run, name)?;
        let folder = self.run_folder(run)?;
        let read = self
            .blocking(format!("reading {name} of run {run}"), move || match std::fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err(folder.is_dir())),
                content => content.map(Ok),
            })
            .await?;
        read.map_err(|run_exists| {
            self.missing(if run_exists { format!("{name} of run {run}") } else { format!("run {run}") })
        })
    }

    async fn append(&self, run: &RunId, line: &[u8]) -> Result<(), StateError> {
        let journal = self.journal(run, &self.run_folder(run)?);
        let line = line.to_owned();
        self.blocking(format!("appending to the journal of run {run}"), move || {
            journal.lock().unwrap_or_else(PoisonError::into_inner).append(&line)
        })
        .await
    }

    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        let journal = self.journal(run, &self.run_folder(run)?);
        self.blocking(format!("cutting the journal of run {run}"), move || {
            journal.lock().unwrap_or_else(PoisonError::into_inner).truncate(length)
        })
        .await
    }

    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        let (folder, holder) = (self.folder.clone(), holder.clone());
        let taken = self.blocking("taking the lock".to_owned(), move || lock::take(&folder, &holder)).await?;
        match taken {
            Ok(guard) => Ok(Box::new(guard)),
            Err(holder) => Err(StateError::Locked { location: self.describe(), holder }),
        }
    }

    fn describe(&self) -> String {
        self.folder.display().to_string()
    }
}

#[cfg(test)]
mod tests;
