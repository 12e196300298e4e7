//! What is there: one snapshot of every server, in a normal form that plans are made from.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{HostName, StepId};
use super::runbook::Topology;
use super::storage::Storage;
use super::tables::Tables;
use super::text::Text;

/// Everything observed, by target role. Planning changes a copy of it step by step, so that every action sees
/// the world as the steps before it will leave it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Targets by role.
    pub targets: BTreeMap<String, TargetWorld>,
}

/// The servers of one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetWorld {
    /// How the servers relate, as the runbook needs it.
    pub topology: Topology,
    /// Name of the cluster, where the environment gives one.
    pub cluster: Option<String>,
    /// Whether the environment names a Keeper for it.
    pub keeper: bool,
    /// Servers in the order of the environment.
    pub hosts: Vec<HostWorld>,
}

impl TargetWorld {
    /// Names of the shards, sorted, each once.
    #[must_use]
    pub fn shards(&self) -> Vec<String> {
        let mut shards: Vec<String> = self.hosts.iter().map(|host| host.shard.clone()).collect();
        shards.sort();
        shards.dedup();
        shards
    }

    /// The replicas of a shard, in the order of the environment.
    pub fn replicas<'a>(&'a self, shard: &'a str) -> impl Iterator<Item = &'a HostWorld> {
        self.hosts.iter().filter(move |host| host.shard == shard)
    }

    /// The host of a name.
    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<&HostWorld> {
        self.hosts.iter().find(|host| host.name == *name)
    }
}

/// Who a server is. The same address with another identity is another server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `serverUUID()`; all zeros where the server has none.
    pub server_uuid: String,
    /// `hostName()`.
    pub host_name: String,
    /// Path of the disk `default`.
    pub data_path: String,
    /// `system.macros`.
    pub macros: BTreeMap<String, String>,
}

/// One server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostWorld {
    /// Name in the environment.
    pub name: HostName,
    /// Address.
    pub url: String,
    /// Shard, from the environment or the macro; `-` on a standalone server.
    pub shard: String,
    /// Who it is.
    pub identity: Identity,
    /// `version()`.
    pub version: String,
    /// Databases by name, without `system` and `information_schema`.
    pub databases: BTreeMap<String, Database>,
    /// Tables, views and dictionaries by database and name.
    pub tables: Tables,
    /// `database.table` of dropped tables whose data is still there (`system.dropped_tables`).
    pub pending_drops: Vec<String>,
    /// Ids of running backups and restores (`system.backups`).
    pub running_backups: Vec<String>,
    /// Mutations that are not done, as `database.table: command`.
    pub mutations: Vec<String>,
    /// Detached parts, as `database.table`, with their number.
    pub detached_parts: BTreeMap<String, u64>,
    /// Files of rows that `Distributed` tables have not sent yet, as `database.table`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting_files: BTreeMap<String, u64>,
    /// Rows that `Buffer` tables have not written to their tables yet, as `database.table`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting_rows: BTreeMap<String, u64>,
    /// Bytes of the largest table that the server lets anybody drop; 0 for any, `None` where it does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_drop_bytes: Option<u64>,
    /// Free bytes of the disk `default`.
    pub free_bytes: u64,
    /// Members of the target's cluster as this server knows it, as `shard/replica host:port`; none where the
    /// environment names no cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_members: Vec<String>,
    /// Names of all clusters in its configuration; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clusters: Option<Vec<String>>,
    /// Settings that bear on a migration, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Disks and storage policies.
    #[serde(default, skip_serializing_if = "Storage::is_empty")]
    pub storage: Storage,
}

impl HostWorld {
    /// The tables of a database.
    pub fn tables_of<'a>(&'a self, database: &str) -> impl Iterator<Item = &'a Table> + use<'a> {
        self.tables.of(database).iter().map(|table| &**table)
    }

    /// One table.
    #[must_use]
    pub fn table(&self, database: &str, name: &str) -> Option<&Table> {
        self.tables.get(database, name)
    }

    /// Replaces `{macro}` in a text with this server's macros; unknown ones stay.
    #[must_use]
    pub fn expand_macros(&self, text: &str) -> String {
        let mut out = text.to_owned();
        // A macro may stand in the value of another one; servers give up at ten.
        for _ in 0..10 {
            if !out.contains('{') {
                break;
            }
            let next = self.expand_once(&out);
            if next == out {
                break;
            }
            out = next;
        }
        out
    }

    fn expand_once(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 16);
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let found =
                after.split_once('}').and_then(|(name, behind)| Some((self.identity.macros.get(name)?, behind)));
            rest = match found {
                Some((value, behind)) => {
                    out.push_str(value);
                    behind
                }
                None => {
                    out.push('{');
                    after
                }
            };
        }
        out.push_str(rest);
        out
    }
}

/// One database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Engine, e.g. `Atomic`.
    pub engine: String,
    /// UUID; all zeros for engines and servers without one. Empty for a database that a plan will create.
    pub uuid: String,
}

/// One table, view or dictionary.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Database.
    pub database: String,
    /// Name.
    pub name: String,
    /// Engine, e.g. `MergeTree`, `View`, `MaterializedView`, `Dictionary`.
    pub engine: String,
    /// Engine with its clauses, as the server writes it.
    pub engine_full: Text,
    /// UUID; all zeros for engines and servers without one. Empty for a table that a plan will create.
    pub uuid: String,
    /// The server's own CREATE statement.
    pub create_query: Text,
    /// Rows (active parts, or what the engine counts); `None` where the engine does not tell.
    pub rows: Option<u64>,
    /// Bytes on disk; `None` where the engine does not tell.
    pub bytes: Option<u64>,
    /// Active parts.
    pub parts: u64,
    /// Tells other rows apart where there are as many: from the highest block and the last mutation of each partition,
    /// which merges keep. Only of tables in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Keeper path of a replicated table, macros resolved.
    pub zookeeper_path: Option<String>,
    /// Replica name of a replicated table, macros resolved.
    pub replica_name: Option<String>,
    /// Whether a replicated table is read-only now.
    pub is_readonly: bool,
    /// Replicas that a replicated table has in Keeper, those of servers that the environment does not name too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_replicas: Option<u64>,
    /// Partitions of its active parts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partitions: u64,
    /// How its replication is, where it is replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationState>,
    /// Database and name that servers show it under now, where an earlier step of a plan gives it this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<(String, String)>,
    /// The earlier step of a plan that promises something of it under this name, and asks for that again at resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promised_by: Option<StepId>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How the replication of a table is on a server. It moves all the time: no plan rests on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationState {
    /// Replicas with a session in Keeper.
    pub active_replicas: u64,
    /// Entries in its queue.
    pub queue_size: u64,
    /// Seconds behind the others.
    pub absolute_delay: u64,
    /// Whether its session with Keeper has ended.
    pub is_session_expired: bool,
    /// Parts that all replicas lost, since the table was made; absent where the version does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_parts: Option<u64>,
}

impl ReplicationState {
    /// What is not as it should be: `1 of 2 replicas active, queue 3`; empty where all is well.
    #[must_use]
    pub fn troubles(&self, total_replicas: Option<u64>) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(total) = total_replicas.filter(|total| *total != self.active_replicas) {
            found.push(format!("{} of {total} replicas active", self.active_replicas));
        }
        if self.queue_size > 0 {
            found.push(format!("queue {}", self.queue_size));
        }
        if self.absolute_delay > 0 {
            found.push(format!("{} s behind", self.absolute_delay));
        }
        if self.is_session_expired {
            found.push("session with Keeper expired".to_owned());
        }
        if let Some(lost) = self.lost_parts.filter(|lost| *lost > 0) {
            found.push(format!("{} lost", super::words::count_of(usize::try_from(lost).unwrap_or(usize::MAX), "part")));
        }
        found
    }
}

impl Table {
    /// `database.name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.database, self.name)
    }

    /// Whether servers show it now as it is told here: no earlier step of a plan makes or renames it.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        !self.uuid.is_empty() && self.renamed_from.is_none()
    }

    /// Whether the table holds rows of its own (not a view, dictionary or window onto something else).
    #[must_use]
    pub fn holds_rows(&self) -> bool {
        !matches!(
            self.engine.as_str(),
            "View"
                | "LiveView"
                | "WindowView"
                | "MaterializedView"
                | "Dictionary"
                | "Distributed"
                | "Merge"
                | "Null"
                | "Buffer"
                | "Kafka"
                | "RabbitMQ"
                | "NATS"
                | "S3Queue"
                | "AzureQueue"
                | "FileLog"
                | "URL"
                | "S3"
                | "MySQL"
                | "PostgreSQL"
                | "MongoDB"
                | "ODBC"
                | "JDBC"
                | "HDFS"
                | "File"
                | "Alias"
                | "Loop"
                | "Executable"
                | "ExecutablePool"
                | "GenerateRandom"
                | "FuzzJSON"
                | "Hive"
                | "GCS"
                | "OSS"
                | "COSN"
                | "AzureBlobStorage"
                | "Iceberg"
                | "IcebergS3"
                | "DeltaLake"
                | "Hudi"
                | "Redis"
                | "SQLite"
                | "YTsaurus"
                | "ArrowFlight"
        )
    }

    /// Whether something is lost with the table: rows of its own, or files that the server keeps for it.
    #[must_use]
    pub fn holds_data(&self) -> bool {
        // `File(CSV)` lies in the server's data folder, `File(CSV, 'path')` is a window onto somebody's file.
        let keeps_file =
            self.engine == "File" && self.engine_full.starts_with("File(") && !self.engine_full.contains(',');
        self.holds_rows() || keeps_file
    }

    /// Whether TRUNCATE and DELETE take something away behind the table: its own rows, objects and files that it only
    /// names, all keys of a Redis database, or the rows of the table that an alias stands for.
    #[must_use]
    pub fn loses_when_emptied(&self) -> bool {
        let engine = self.engine.as_str();
        let is_lake = ["Iceberg", "DeltaLake", "Hudi", "Paimon"].iter().any(|lake| engine.starts_with(lake));
        let is_outside =
            matches!(engine, "S3" | "GCS" | "OSS" | "COSN" | "AzureBlobStorage" | "HDFS" | "Redis" | "File" | "Alias");
        self.holds_data() || is_lake || is_outside
    }

    /// Whether this is the hidden table of a materialized view (`.inner.name` or `.inner_id.uuid`).
    #[must_use]
    pub fn is_inner(&self) -> bool {
        self.name.starts_with(".inner.") || self.name.starts_with(".inner_id.")
    }
}
