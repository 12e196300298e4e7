//! The state of the model world: a record is written in two halves, and the process may die before, between and after.

use async_trait::async_trait;
use clickferry::engine::journal::Record;
use clickferry::engine::ports::{Document, Held, LockGuard, LockHolder, StateError, StateStore};
use clickferry::model::ids::RunId;

use super::world::World;

const JOURNAL: &str = "journal.jsonl";

struct Alone;

#[async_trait]
impl LockGuard for Alone {
    fn is_held(&self) -> bool {
        true
    }

    async fn release(&self) {}
}

impl World {
    fn add(&self, run: &RunId, bytes: &[u8]) {
        self.inner().documents.entry((run.clone(), JOURNAL.to_owned())).or_default().extend_from_slice(bytes);
    }
}

#[async_trait]
impl StateStore for World {
    async fn runs(&self) -> Result<Vec<RunId>, StateError> {
        Ok(self.inner().runs.clone())
    }

    async fn create_run(&self, run: &RunId) -> Result<(), StateError> {
        self.pass().await;
        self.inner().runs.push(run.clone());
        self.add(run, b"");
        Ok(())
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.pass().await;
        self.inner().documents.insert((run.clone(), name.to_owned()), content.to_vec());
        Ok(())
    }

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        let missing = || StateError::Missing { what: name.to_owned(), location: self.describe() };
        self.inner().documents.get(&(run.clone(), name.to_owned())).cloned().ok_or_else(missing)
    }

    async fn append(&self, run: &RunId, _number: u64, line: &[u8]) -> Result<(), StateError> {
        self.pass().await;
        let (first, second) = line.split_at(line.len() / 2);
        self.add(run, first);
        self.pass().await;
        self.add(run, second);
        if let Ok(record) = serde_json::from_slice::<Record>(line) {
            self.written(&record.entry);
        }
        self.pass().await;
        Ok(())
    }

    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.put(run, name, content).await
    }

    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        let inner = self.inner();
        let of_run = inner.documents.iter().filter(|((of, _), _)| of == run);
        Ok(of_run.map(|((_, name), content)| Document { name: name.clone(), size: content.len() as u64 }).collect())
    }

    async fn holder(&self) -> Result<Option<Held>, StateError> {
        Ok(None)
    }

    async fn remove_lock(&self, _holder: &LockHolder) -> Result<(), StateError> {
        Ok(())
    }

    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        self.pass().await;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(journal) = self.inner().documents.get_mut(&(run.clone(), JOURNAL.to_owned())) {
            journal.truncate(length);
        }
        self.pass().await;
        Ok(())
    }

    async fn lock(&self, _holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        self.pass().await;
        Ok(Box::new(Alone))
    }

    fn describe(&self) -> String {
        "model".to_owned()
    }
}
