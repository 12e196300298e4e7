//! Where things lie inside the folder of a laboratory.

use std::path::{Path, PathBuf};

/// The folder of one laboratory; everything it owns lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// A layout in an absolute folder.
    pub fn new(dir: impl Into<PathBuf>) -> Layout {
        Layout { dir: dir.into() }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The record of processes and ports, also the mark of a laboratory.
    pub fn state(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// Held locked by the living supervisor.
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// What `clickferry -e` takes.
    pub fn environment(&self) -> PathBuf {
        self.dir.join("environment.yaml")
    }

    /// Socket of the supervisor.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Output of a supervisor in the background.
    pub fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    /// Folder of the secrets.
    pub fn secrets(&self) -> PathBuf {
        self.dir.join("secrets")
    }

    /// Password of the user `default` on every node.
    pub fn password(&self) -> PathBuf {
        self.secrets().join("clickhouse-password")
    }

    /// Access key of the bucket.
    pub fn access_key(&self) -> PathBuf {
        self.secrets().join("s3-access-key")
    }

    /// Secret key of the bucket.
    pub fn secret_key(&self) -> PathBuf {
        self.secrets().join("s3-secret-key")
    }

    /// Folder of one node.
    pub fn node(&self, name: &str) -> PathBuf {
        self.dir.join("nodes").join(name)
    }

    /// Folder of Keeper.
    pub fn keeper(&self) -> PathBuf {
        self.dir.join("keeper")
    }

    /// Root of the buckets.
    pub fn s3(&self) -> PathBuf {
        self.dir.join("s3")
    }

    /// Where `clickferry` keeps its runs, by the environment file.
    pub fn run_state(&self) -> PathBuf {
        self.dir.join("state")
    }
}
