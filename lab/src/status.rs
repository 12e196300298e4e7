//! What `status` reports, as data.

use serde::{Deserialize, Serialize};

use crate::process::{Activity, ProcessId};
use crate::s3::faults::S3Fault;

/// Version of the JSON report.
pub const REPORT_VERSION: u32 = 1;

/// State of a whole laboratory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of this report.
    pub version: u32,
    /// Folder of the laboratory.
    pub dir: String,
    /// What `clickferry -e` takes.
    pub environment: String,
    /// `embedded` or `server`.
    pub engine: String,
    /// Name of the cluster of the replicas.
    pub cluster: String,
    /// Process of the supervisor.
    pub supervisor: i32,
    /// The nodes, the standalone one first.
    pub nodes: Vec<NodeStatus>,
    /// Keeper.
    pub keeper: KeeperStatus,
    /// The S3 endpoint.
    pub s3: S3Status,
}

/// State of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It runs.
    Up,
    /// It does not run.
    Down,
    /// It is stopped by a signal.
    Paused,
}

impl Health {
    /// What the kernel says about a process.
    pub fn of(process: Option<ProcessId>) -> Health {
        match process.map_or(Activity::Gone, ProcessId::activity) {
            Activity::Running => Health::Up,
            Activity::Stopped => Health::Paused,
            Activity::Gone => Health::Down,
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Health::Up => "up",
            Health::Down => "down",
            Health::Paused => "paused",
        }
    }
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its name.
    pub name: String,
    /// `standalone` or `replica`.
    pub role: String,
    /// Shard of a replica.
    pub shard: Option<String>,
    /// HTTP interface.
    pub url: String,
    /// Port of the native protocol; real servers only.
    pub tcp_port: Option<u16>,
    /// Process, while there is one.
    pub pid: Option<i32>,
    /// How it is.
    pub state: Health,
}

/// Keeper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperStatus {
    /// `host:port` for clients.
    pub address: String,
    /// Process, while there is one.
    pub pid: Option<i32>,
    /// How it is.
    pub state: Health,
}

/// The S3 endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Status {
    /// Address for clients.
    pub endpoint: String,
    /// The bucket that is there from the start.
    pub bucket: String,
    /// Region it answers to.
    pub region: String,
    /// Requests since the start, faulty ones too.
    pub requests: u64,
    /// The fault that is switched on.
    pub fault: Option<S3Fault>,
}
