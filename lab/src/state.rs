//! `lab.json`: the processes and ports of a laboratory, so that another process can find and end them.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::files;
use crate::layout::Layout;
use crate::options::Engine;
use crate::process::ProcessId;

/// Name of the cluster the replicas form.
pub const CLUSTER: &str = "lab";
/// The bucket that is there from the start.
pub const BUCKET: &str = "backups";
/// Region the S3 endpoint answers to.
pub const REGION: &str = "us-east-1";
/// The user of every node.
pub const USER: &str = "default";
/// The user who may only read; the same password.
pub const READER: &str = "reader";

/// Content of `lab.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LabState {
    /// Version of this file.
    pub version: u32,
    /// Which ClickHouse the nodes run.
    pub engine: Engine,
    /// Parent of all other processes.
    pub supervisor: ProcessId,
    /// The nodes, the standalone one first.
    pub nodes: Vec<NodeState>,
    /// Keeper.
    pub keeper: KeeperState,
    /// Port of the S3 endpoint, which lives in the supervisor.
    pub s3_port: u16,
}

/// One ClickHouse node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeState {
    /// `standalone`, `replica1`, `shard2-replica1`.
    pub name: String,
    /// Shard of a replica; absent on the standalone node.
    pub shard: Option<String>,
    /// Port of the HTTP interface.
    pub http_port: u16,
    /// Port of the part exchange.
    pub interserver_port: u16,
    /// Port of the native protocol; real servers only.
    pub tcp_port: Option<u16>,
    /// The process, while there is one.
    pub process: Option<ProcessId>,
}

impl NodeState {
    /// Address of the HTTP interface.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }
}

/// The Keeper process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeeperState {
    /// Port for clients.
    pub port: u16,
    /// The process, while there is one.
    pub process: Option<ProcessId>,
}

impl LabState {
    /// Reads the record; `None` where there is no laboratory.
    pub fn read(layout: &Layout) -> Result<Option<LabState>, LabError> {
        let path = layout.state();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(LabError::io("read", &path)(e)),
        };
        serde_json::from_str(&text).map(Some).map_err(|e| LabError::io("read", &path)(std::io::Error::other(e)))
    }

    /// Writes the record, whole or not at all.
    pub fn write(&self, layout: &Layout) -> Result<(), LabError> {
        let path = layout.state();
        let text =
            serde_json::to_vec_pretty(self).map_err(|e| LabError::io("write", &path)(std::io::Error::other(e)))?;
        files::write_private(&path, &text)
    }

    /// Every process the record names, children first.
    pub fn processes(&self) -> Vec<ProcessId> {
        let nodes = self.nodes.iter().filter_map(|node| node.process);
        nodes.chain(self.keeper.process).chain([self.supervisor]).collect()
    }
}

/// The lock of a laboratory, as another process finds it.
#[derive(Debug)]
pub enum Claim {
    /// Nobody held it; it is ours while the file lives. No file where the lock is gone already.
    Ours(Option<File>),
    /// A living supervisor holds it.
    Theirs,
}

/// Tries the lock of an existing laboratory; never creates it, since its folder may just be going away.
pub fn claim(layout: &Layout) -> Result<Claim, LabError> {
    let path = layout.lock();
    match File::options().write(true).open(&path) {
        Ok(file) => lock(file, &path),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Claim::Ours(None)),
        Err(e) => Err(LabError::io("open", &path)(e)),
    }
}

/// Creates and takes the lock of a new laboratory.
pub fn claim_new(layout: &Layout) -> Result<Claim, LabError> {
    let path = layout.lock();
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    lock(file.map_err(LabError::io("open", &path))?, &path)
}

fn lock(file: File, path: &Path) -> Result<Claim, LabError> {
    match file.try_lock() {
        Ok(()) => Ok(Claim::Ours(Some(file))),
        Err(TryLockError::WouldBlock) => Ok(Claim::Theirs),
        Err(TryLockError::Error(e)) => Err(LabError::io("lock", path)(e)),
    }
}

/// Whether a folder is free for a new laboratory: absent, or empty but for half-written files of ours.
pub fn is_vacant(dir: &Path) -> Result<bool, LabError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(e) => return Err(LabError::io("read", dir)(e)),
    };
    for entry in entries {
        let name = entry.map_err(LabError::io("read", dir))?.file_name();
        if name != "lock" && !name.to_string_lossy().starts_with(files::TEMPORARY_PREFIX) {
            return Ok(false);
        }
    }
    Ok(true)
}
