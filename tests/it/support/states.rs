//! Places for state, as several processes on several machines would open them.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clickferry::adapter::s3::BucketConfig;
use clickferry::adapter::state_folder::StateFolder;
use clickferry::adapter::state_s3::StateS3;
use clickferry::engine::ports::{LockHolder, StateStore};
use clickferry::model::ids::RunId;
use clickferry_lab::{S3Endpoint, S3Keys};
use secrecy::SecretString;

/// Longer than any test, so that what is seen is the fence and not a time-out.
const LONG: Duration = Duration::from_secs(600);

/// A backend of the port, empty at first.
#[async_trait]
pub trait Place: Send + Sync {
    /// The state, as one more process opens it.
    fn open(&self) -> Arc<dyn StateStore>;

    /// Leaves half a record behind the last one of a run, as a process does that dies while it writes.
    fn tear(&self, run: &RunId, after: u64, half: &str);

    /// Takes the lock away from its holder, who learns nothing of it.
    async fn take_away(&self, holder: &LockHolder);
}

/// A holder of locks.
pub fn holder(run: &str) -> LockHolder {
    LockHolder {
        run: run.to_owned(),
        owner: format!("{run}@here"),
        pid: 7,
        since: "2026-01-01T00:00:00Z".to_owned(),
        machine: "m".to_owned(),
    }
}

/// A folder.
pub struct FolderPlace {
    folder: tempfile::TempDir,
}

impl FolderPlace {
    pub fn start() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

#[async_trait]
impl Place for FolderPlace {
    fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(StateFolder::new(self.path()))
    }

    fn tear(&self, run: &RunId, _after: u64, half: &str) {
        let path = self.path().join("runs").join(run.as_str()).join("journal.jsonl");
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str(half);
        std::fs::write(&path, text).unwrap();
    }

    async fn take_away(&self, _holder: &LockHolder) {
        std::fs::remove_file(self.path().join("lock")).unwrap();
    }
}

/// A bucket of the laboratory's S3.
pub struct BucketPlace {
    pub store: S3Endpoint,
    endpoint: String,
    root: tempfile::TempDir,
}

impl BucketPlace {
    pub fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let keys = S3Keys { access_key: "key".to_owned(), secret_key: "secret".to_owned() };
        let runtime = tokio::runtime::Handle::current();
        let store = S3Endpoint::start(&runtime, listener, root.path(), "states", &keys).unwrap();
        Self { store, endpoint, root }
    }

    /// The state with a lock that lives so long.
    pub fn open_with(&self, life: Duration) -> StateS3 {
        let config = BucketConfig {
            endpoint: self.endpoint.clone(),
            bucket: "states".to_owned(),
            region: "us-east-1".to_owned(),
            prefix: "team/production".to_owned(),
            access_key: SecretString::from("key"),
            secret_key: SecretString::from("secret"),
        };
        StateS3::with_life(config, life)
    }

    /// The place as an environment names it; the keys lie in files beside it.
    pub fn binding(&self) -> String {
        format!(
            "{{ s3: {{ endpoint: \"{}\", bucket: states, prefix: team/production, \
             credentials: {{ access_key: {{ file: key }}, secret_key: {{ file: secret }} }} }} }}",
            self.endpoint
        )
    }

    /// Where an object is kept on the disk.
    pub fn object(&self, key: &str) -> PathBuf {
        self.root.path().join("states/team/production").join(key)
    }
}

#[async_trait]
impl Place for BucketPlace {
    fn open(&self) -> Arc<dyn StateStore> {
        Arc::new(self.open_with(LONG))
    }

    fn tear(&self, run: &RunId, after: u64, half: &str) {
        std::fs::write(self.object(&format!("runs/{run}/journal/{:010}", after + 1)), half).unwrap();
    }

    async fn take_away(&self, holder: &LockHolder) {
        self.open().remove_lock(holder).await.unwrap();
    }
}
