//! What a node process is told at its start: one JSON file per node, written by the supervisor.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of one embedded ClickHouse node (`clickferry-lab node --config FILE`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Name of the node, also its `{replica}` macro and its display name: `standalone`, `s1r1`, `s1r2`.
    pub name: String,
    /// Folder of the node: `config.xml`, `data/`, `statements.jsonl`, `node.log` lie in it.
    pub dir: PathBuf,
    /// Path of `libchdb.so`.
    pub library: PathBuf,
    /// Loopback port of the HTTP interface.
    pub http_port: u16,
    /// Loopback port of the part exchange between replicas.
    pub interserver_port: u16,
    /// `{shard}` macro; absent on a standalone node, which then has no macros.
    pub shard: Option<String>,
    /// Keeper servers as `host:port`; empty on a standalone node.
    pub keeper: Vec<String>,
    /// Clusters the node knows (`system.clusters`, ON CLUSTER).
    pub clusters: Vec<ClusterConfig>,
    /// The user of the HTTP interface who may do everything.
    pub user: String,
    /// Password of that user; empty means none is asked for.
    pub password: String,
    /// Users with the same password who may only read, as with `readonly = 2`.
    #[serde(default)]
    pub readers: Vec<String>,
    /// S3 endpoint the node is allowed to reach; kept for `remote_url_allow_hosts`-like hygiene, may be empty.
    #[serde(default)]
    pub s3_endpoint: String,
}

/// One entry of `remote_servers`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// Name of the cluster.
    pub name: String,
    /// Replicas per shard.
    pub shards: Vec<Vec<Endpoint>>,
}

/// Host and HTTP port of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// HTTP port.
    pub port: u16,
}
