//! A whole run in one file, to be sent and kept: a state of one run that nobody works in.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::state_names::{JOURNAL, check_document, check_left, check_run, check_written};
use crate::engine::ports::{Document, Held, LockGuard, LockHolder, StateError, StateStore};
use crate::model::ids::RunId;

/// Version of the format.
const FORMAT: u32 = 1;

/// Documents by name.
type Documents = BTreeMap<String, Vec<u8>>;
/// The run and its documents, once there is one.
type Content = Option<(RunId, Documents)>;

/// One run, read from a file or to be written to one.
pub struct StateBundle {
    path: PathBuf,
    content: Mutex<Content>,
}

#[derive(Serialize, Deserialize)]
struct File {
    clickferry_run: u32,
    run: RunId,
    documents: BTreeMap<String, Packed>,
}

/// A document with its digest; as text where it is text, else as hexadecimal digits.
#[derive(Serialize, Deserialize)]
struct Packed {
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl StateBundle {
    /// An empty one, written to a file by [`Self::save`].
    #[must_use]
    pub fn empty(path: &Path) -> Self {
        Self { path: path.to_path_buf(), content: Mutex::default() }
    }

    /// Reads one; every document must have its digest.
    ///
    /// # Errors
    /// Why the file is none.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read(path).map_err(|error| error.to_string())?;
        let file: File = serde_json::from_slice(&text).map_err(|error| format!("it holds no run: {error}"))?;
        if file.clickferry_run > FORMAT {
            return Err(format!("it has format {}, written by a newer clickferry", file.clickferry_run));
        }
        check_run(file.run.as_str())?;
        let mut documents = BTreeMap::new();
        for (name, packed) in file.documents {
            check_document(&name)?;
            let content = match (packed.text, packed.hex) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(hex)) => from_hex(&hex).ok_or_else(|| format!("{name} is not whole"))?,
                _ => return Err(format!("{name} has no content")),
            };
            if digest(&content) != packed.sha256 {
                return Err(format!("{name} was changed: its digest does not fit"));
            }
            documents.insert(name, content);
        }
        Ok(Self { path: path.to_path_buf(), content: Mutex::new(Some((file.run, documents))) })
    }

    /// Writes the file, which must not exist.
    ///
    /// # Errors
    /// What the system says.
    pub fn save(&self) -> std::io::Result<()> {
        let content = self.content();
        let Some((run, documents)) = &*content else { return Ok(()) };
        let pack = |content: &Vec<u8>| {
            let text = std::str::from_utf8(content).ok().map(str::to_owned);
            let hex = if text.is_none() { Some(to_hex(content)) } else { None };
            Packed { sha256: digest(content), text, hex }
        };
        let documents = documents.iter().map(|(name, content)| (name.clone(), pack(content))).collect();
        let file = File { clickferry_run: FORMAT, run: run.clone(), documents };
        let mut out = std::fs::OpenOptions::new().mode(0o600).write(true).create_new(true).open(&self.path)?;
        out.write_all(&serde_json::to_vec_pretty(&file)?)?;
        out.sync_all()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self, action: &str, reason: String) -> StateError {
        StateError::Io { action: action.to_owned(), location: self.describe(), reason }
    }

    fn with<T>(
        &self,
        run: &RunId,
        work: impl FnOnce(&mut Documents) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        match &mut *self.content() {
            Some((id, documents)) if id == run => work(documents),
            _ => Err(StateError::Missing { what: format!("run {run}"), location: self.describe() }),
        }
    }
}

#[async_trait]
impl StateStore for StateBundle {
    async fn runs(&self) -> Result<Vec<RunId>, StateError> {
        Ok(self.content().iter().map(|(run, _)| run.clone()).collect())
    }

    async fn create_run(&self, run: &RunId) -> Result<(), StateError> {
        let mut content = self.content();
        if content.is_some() {
            return Err(self.refused("creating the run", "the file holds a run already".to_owned()));
        }
        *content = Some((run.clone(), BTreeMap::from([(JOURNAL.to_owned(), Vec::new())])));
        Ok(())
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        check_written(name).map_err(|reason| self.refused("writing a document", reason))?;
        self.with(run, |documents| {
            documents.insert(name.to_owned(), content.to_owned());
            Ok(())
        })
    }

    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        check_left(name).map_err(|reason| self.refused("writing a request", reason))?;
        self.put(run, name, content).await
    }

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        self.with(run, |documents| {
            let missing = || StateError::Missing { what: format!("{name} of run {run}"), location: self.describe() };
            documents.get(name).cloned().ok_or_else(missing)
        })
    }

    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        self.with(run, |documents| {
            let each = documents.iter();
            Ok(each.map(|(name, content)| Document { name: name.clone(), size: content.len() as u64 }).collect())
        })
    }

    async fn append(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError> {
        self.with(run, |documents| {
            let journal = documents.entry(JOURNAL.to_owned()).or_default();
            let records = journal.iter().filter(|&&byte| byte == b'\n').count() as u64;
            if records + 1 != number {
                return Err(self.refused("appending a record", format!("{number} is not the next number")));
            }
            journal.extend_from_slice(line);
            Ok(())
        })
    }

    async fn truncate(&self, _run: &RunId, _length: u64) -> Result<(), StateError> {
        Err(self.refused("cutting the journal", "a run in a file is not repaired there".to_owned()))
    }

    async fn lock(&self, _holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        Ok(Box::new(Alone))
    }

    async fn holder(&self) -> Result<Option<Held>, StateError> {
        Ok(None)
    }

    async fn remove_lock(&self, _holder: &LockHolder) -> Result<(), StateError> {
        Ok(())
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

/// Nobody else sees what this process has in its memory.
struct Alone;

#[async_trait]
impl LockGuard for Alone {
    fn is_held(&self) -> bool {
        true
    }

    async fn release(&self) {}
}

fn digest(content: &[u8]) -> String {
    to_hex(&Sha256::digest(content))
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn saved(folder: &Path) -> PathBuf {
        let path = folder.join("run.json");
        let bundle = StateBundle::empty(&path);
        let run = RunId::from("r");
        bundle.create_run(&run).await.unwrap();
        bundle.append(&run, 1, b"{}\n").await.unwrap();
        bundle.put(&run, "outputs/a", b"\xff\x00").await.unwrap();
        bundle.put(&run, "plan.json", "{\"ü\":1}".as_bytes()).await.unwrap();
        bundle.save().unwrap();
        path
    }

    #[tokio::test]
    async fn what_is_saved_is_loaded_and_nothing_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path()).await;
        let (bundle, run) = (StateBundle::load(&path).unwrap(), RunId::from("r"));
        assert_eq!(bundle.runs().await.unwrap(), std::slice::from_ref(&run));
        assert_eq!(bundle.get(&run, "outputs/a").await.unwrap(), b"\xff\x00");
        assert_eq!(bundle.get(&run, "plan.json").await.unwrap(), "{\"ü\":1}".as_bytes());
        assert_eq!(bundle.get(&run, JOURNAL).await.unwrap(), b"{}\n");
        assert_eq!(bundle.save().unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    }

    #[tokio::test]
    async fn a_changed_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path()).await;
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to, told) in [
            ("ff00", "ff01", "outputs/a was changed"),
            ("\"run\": \"r\"", "\"run\": \"../r\"", "not a run id"),
            ("outputs/a", "../a", "document's name"),
        ] {
            assert!(text.contains(from), "{text}");
            std::fs::write(&path, text.replace(from, to)).unwrap();
            let error = StateBundle::load(&path).err().unwrap();
            assert!(error.contains(told), "{error}");
        }
    }
}
