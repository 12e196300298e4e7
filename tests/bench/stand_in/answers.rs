//! What a standalone server and the replicas of a cluster answer to the statements of planning.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Size;
use super::http::Answer;

/// A bucket with nothing in it.
pub const EMPTY_BUCKET: &str = "<?xml version=\"1.0\"?><ListBucketResult><Name>backups</Name><Prefix></Prefix><KeyCount>0</KeyCount><MaxKeys>1</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";

/// The columns of system.tables on 26.7 that `SELECT *` gives, in their order.
const TABLE_COLUMNS: &str = "database name uuid engine is_temporary data_paths metadata_path metadata_modification_time \
     metadata_version dependencies_database dependencies_table create_table_query engine_full as_select parameterized_view_parameters \
     partition_key sorting_key primary_key sampling_key storage_policy total_rows total_bytes total_bytes_uncompressed \
     parts active_parts total_marks active_on_fly_data_mutations active_on_fly_alter_mutations active_on_fly_metadata_mutations \
     lifetime_rows lifetime_bytes comment has_own_data loading_dependencies_database loading_dependencies_table \
     loading_dependent_database loading_dependent_table definer";

const COLUMNS: &[(&str, &str)] = &[
    ("id", "UUID"),
    ("tenant_id", "UInt32"),
    ("session_id", "UUID"),
    ("parent_id", "Nullable(UUID)"),
    ("name", "LowCardinality(String)"),
    ("status", "LowCardinality(String)"),
    ("start_time", "DateTime64(6, 'UTC')"),
    ("end_time", "Nullable(DateTime64(6, 'UTC'))"),
    ("tokens", "UInt32"),
    ("cost", "Decimal(18, 6)"),
    ("metadata", "Map(String, String)"),
    ("body", "String CODEC(ZSTD(1))"),
];
const HISTORY: &[(&str, &str)] = &[("version", "Int64"), ("dirty", "UInt8"), ("sequence", "UInt64")];
const HISTORY_NAME: &str = "schema_migrations";

/// The name of a table by its number; the last one is golang-migrate's history.
pub fn table_name(at: usize) -> String {
    format!("events_{at:05}")
}

pub struct Server {
    pub name: String,
    number: usize,
    shard: usize,
    size: Size,
    prepared: Mutex<HashMap<String, Answer>>,
}

/// The standalone server, then the replicas shard by shard.
pub fn servers(size: Size) -> Vec<Server> {
    let server = |number: usize| Server {
        name: if number == 0 { "standalone".to_owned() } else { format!("replica{number}") },
        number,
        shard: if number == 0 { 0 } else { (number - 1) / size.replicas + 1 },
        size,
        prepared: Mutex::default(),
    };
    (0..=size.shards * size.replicas).map(server).collect()
}

impl Server {
    pub fn answer(&self, sql: &str) -> Answer {
        let mut prepared = self.prepared.lock().unwrap();
        if let Some(answer) = prepared.get(sql) {
            return answer.clone();
        }
        let answer = match self.rows(sql) {
            Some((columns, rows)) => {
                let meta: Vec<Value> = columns.iter().map(|name| json!({ "name": name, "type": "String" })).collect();
                Answer::plain(&json!({ "meta": meta, "rows": rows.len(), "data": rows }).to_string())
            }
            None => {
                eprintln!("{} does not know: {sql}", self.name);
                Answer::error(
                    62,
                    &format!("Code: 62. DB::Exception: not prepared: {sql}. (SYNTAX_ERROR) (version 26.7.1.1)"),
                )
            }
        };
        prepared.insert(sql.to_owned(), answer.clone());
        answer
    }

    fn rows(&self, sql: &str) -> Option<(Vec<String>, Vec<Value>)> {
        let from =
            sql.split_once(" FROM ").map(|(_, rest)| rest.split([' ', '\n']).next().unwrap()).unwrap_or_default();
        let size = self.size;
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let one = |columns: &str, row: Value| Some((list(columns), vec![row]));
        match from {
            "" if sql.contains("serverUUID") && sql.contains("version()") => {
                one("version host uuid", json!(["26.7.1.1", self.name, self.uuid(9_999_999)]))
            }
            "" if sql.contains("version()") => one("version host", json!(["26.7.1.1", self.name])),
            "" if sql.contains("serverUUID") => one("uuid", json!([self.uuid(9_999_999)])),
            "system.macros" => Some((list("macro substitution"), self.macros())),
            "system.disks" => one("name path free_space", json!(["default", "/var/lib/clickhouse/", 1_u64 << 50])),
            "system.storage_policies" => one("policy_name disks", json!(["default", "default"])),
            "system.merge_tree_settings" => one("value", json!(["default"])),
            "system.databases" => one("name engine uuid", json!(["default", "Atomic", self.uuid(8_888_888)])),
            "system.columns" if sql.contains("system'") => {
                let known = list(TABLE_COLUMNS).into_iter().map(|name| json!(["tables", name]));
                let databases = ["name", "engine", "uuid"].map(|name| json!(["databases", name]));
                Some((list("table name"), known.chain(databases).collect()))
            }
            "system.tables" => {
                let columns = selected(sql).unwrap_or_else(|| list(TABLE_COLUMNS));
                let rows =
                    (0..=size.tables).map(|at| columns.iter().map(|name| self.table(at, name)).collect()).collect();
                Some((columns, rows))
            }
            "(SELECT" if sql.contains("FROM system.parts") => {
                let row = |at| {
                    let rows = 400 + at % 1000;
                    json!(["default", name_of(size, at), 3, 2, rows, rows * 90, (at * 7_919).to_string()])
                };
                let columns = "database table parts partitions rows bytes content";
                Some((list(columns), (0..=size.tables).map(row).collect()))
            }
            "system.replicas" if self.number == 0 => Some((list("database"), Vec::new())),
            "system.replicas" => {
                let columns = selected(sql)?;
                let rows = (0..=size.tables).map(|at| columns.iter().map(|name| self.replica(at, name)).collect());
                let rows = rows.collect();
                Some((columns, rows))
            }
            "system.columns" => {
                let of = |at: usize| {
                    columns(size, at).iter().map(move |(name, kind)| {
                        json!([name_of(size, at), name, kind.split(" CODEC").next().unwrap(), ""])
                    })
                };
                Some((list("table name type default_kind"), (0..=size.tables).flat_map(of).collect()))
            }
            "system.clusters" => {
                let row = |at: usize| {
                    let (shard, replica, name) = (at / size.replicas + 1, at % size.replicas + 1, at + 1);
                    json!(["main", shard, replica, format!("replica{name}"), "", 9000, i32::from(self.number == name)])
                };
                let columns = "cluster shard_num replica_num host_name host_address port is_local";
                Some((list(columns), (0..size.shards * size.replicas).map(row).collect()))
            }
            "system.server_settings" => {
                one("place name value", json!(["server", "max_table_size_to_drop", "50000000000"]))
            }
            "`default`.`schema_migrations`" if sql.contains("count() AS rows") => {
                one("database name rows", json!(["default", HISTORY_NAME, 87]))
            }
            "`default`.`schema_migrations`" => one("version dirty sequence", json!([87, 0, 1_700_000_000])),
            "system.dropped_tables"
            | "system.backups"
            | "system.mutations"
            | "system.detached_parts"
            | "system.distribution_queue" => Some((list("name"), Vec::new())),
            // No other run works there.
            "system.processes" => Some((list("id what"), Vec::new())),
            _ => None,
        }
    }

    fn uuid(&self, at: usize) -> String {
        format!("{:08x}-0000-4000-8000-{at:012x}", 0xabc0_0000_u64 + self.number as u64)
    }

    fn macros(&self) -> Vec<Value> {
        if self.number == 0 {
            return Vec::new();
        }
        vec![json!(["replica", self.name]), json!(["shard", format!("{:02}", self.shard)])]
    }

    fn path(&self, at: usize) -> String {
        format!("/clickhouse/tables/{:02}/default/{}", self.shard, name_of(self.size, at))
    }

    fn replica(&self, at: usize, column: &str) -> Value {
        match column {
            "database" => json!("default"),
            "table" => json!(name_of(self.size, at)),
            "zookeeper_path" => json!(self.path(at)),
            "replica_name" => json!(self.name),
            "total_replicas" | "active_replicas" => json!(self.size.replicas),
            _ => json!(0),
        }
    }

    fn table(&self, at: usize, column: &str) -> Value {
        let name = name_of(self.size, at);
        let is_history = at == self.size.tables;
        let engine = if self.number == 0 {
            if is_history { "TinyLog".to_owned() } else { "MergeTree".to_owned() }
        } else {
            "ReplicatedMergeTree".to_owned()
        };
        let place = if self.number == 0 {
            String::new()
        } else {
            "('/clickhouse/tables/{shard}/default/NAME', '{replica}')".replace("NAME", &name)
        };
        let keys = if is_history && self.number == 0 {
            String::new()
        } else if is_history {
            " ORDER BY sequence SETTINGS index_granularity = 8192".to_owned()
        } else {
            " PARTITION BY toYYYYMM(start_time) ORDER BY (tenant_id, session_id, start_time, id) SETTINGS index_granularity = 8192".to_owned()
        };
        let full = format!("{engine}{place}{keys}");
        let listed: Vec<String> =
            columns(self.size, at).iter().map(|(name, kind)| format!("`{name}` {kind}")).collect();
        match column {
            "database" => json!("default"),
            "name" => json!(name),
            "uuid" => json!(self.uuid(at)),
            "engine" => json!(engine),
            "engine_full" => json!(full),
            "create_table_query" => {
                json!(format!("CREATE TABLE default.{name} ({}) ENGINE = {full}", listed.join(", ")))
            }
            "data_paths" => json!([format!("/var/lib/clickhouse/store/abc/{}/", self.uuid(at))]),
            "metadata_path" => json!(format!("store/abc/{}/{name}.sql", self.uuid(at))),
            "metadata_modification_time" => json!("2026-01-01 00:00:00"),
            "partition_key" => json!("toYYYYMM(start_time)"),
            "sorting_key" | "primary_key" => json!("tenant_id, session_id, start_time, id"),
            "storage_policy" => json!("default"),
            "total_rows" if is_history && self.number == 0 => Value::Null,
            "total_rows" => json!(400 + at % 1000),
            "total_bytes" => json!((400 + at % 1000) * 90),
            "has_own_data" => json!(1),
            "dependencies_database"
            | "dependencies_table"
            | "loading_dependencies_database"
            | "loading_dependencies_table"
            | "loading_dependent_database"
            | "loading_dependent_table"
            | "parameterized_view_parameters" => json!([]),
            "as_select" | "comment" | "definer" | "sampling_key" => json!(""),
            _ => json!(0),
        }
    }
}

fn name_of(size: Size, at: usize) -> String {
    if at == size.tables { HISTORY_NAME.to_owned() } else { table_name(at) }
}

fn columns(size: Size, at: usize) -> &'static [(&'static str, &'static str)] {
    if at == size.tables { HISTORY } else { COLUMNS }
}

/// The columns that a statement names; none for `SELECT *`.
fn selected(sql: &str) -> Option<Vec<String>> {
    let (list, _) = sql.strip_prefix("SELECT ")?.split_once(" FROM ")?;
    (list != "*").then(|| list.split(", ").map(str::to_owned).collect())
}
