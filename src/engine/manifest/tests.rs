//! On files of backups that ClickHouse 26.7 wrote, and on what can go wrong with them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::engine::ports::ObjectInfo;

/// Objects in memory; counts how often each is read.
#[derive(Default)]
struct Memory {
    objects: BTreeMap<String, Vec<u8>>,
    reads: Mutex<BTreeMap<String, u32>>,
}

#[async_trait]
impl Objects for Memory {
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, bytes)| ObjectInfo { key: key.clone(), size: bytes.len() as u64, version: None }).collect())
    }

    async fn list_level(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let mut names: Vec<String> = self
            .objects
            .keys()
            .filter_map(|key| Some(key.strip_prefix(prefix)?.split('/').next()?.to_owned()))
            .collect();
        names.dedup();
        Ok(names)
    }

    async fn get(&self, key: &str) -> Result<Bytes, ObjectError> {
        *self.reads.lock().expect("lock").entry(key.to_owned()).or_default() += 1;
        let found = self.objects.get(key).ok_or_else(|| ObjectError::NotFound { location: key.to_owned() })?;
        Ok(Bytes::from(found.clone()))
    }

    async fn delete(&self, _: &str) -> Result<(), ObjectError> {
        Ok(())
    }

    async fn check_access(&self) -> Result<(), ObjectError> {
        Ok(())
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

/// Builds a backup as 26.7 lays it out.
#[derive(Default)]
struct Backup {
    store: Memory,
    entries: String,
}

impl Backup {
    fn file(mut self, name: &str, content: &[u8]) -> Self {
        let checksum = format!(
            "{:032x}",
            content.iter().fold(7_u128, |sum, byte| sum.wrapping_mul(31).wrapping_add(u128::from(*byte)))
        );
        let check = if content.is_empty() { String::new() } else { format!("<checksum>{checksum}</checksum>") };
        self.entries.push_str(&format!("<file><name>{name}</name><size>{}</size>{check}</file>", content.len()));
        if !content.is_empty() {
            self.store.objects.insert(format!("b/{name}"), content.to_vec());
        }
        self
    }

    /// The same content as another file: no object of its own.
    fn same_as(mut self, name: &str, other: &str) -> Self {
        let at = self.entries.find(&format!("<name>{other}</name>")).expect("met before")
            + format!("<name>{other}</name>").len();
        let end = at + self.entries[at..].find("</file>").expect("closed");
        let rest = self.entries[at..end].to_owned();
        self.entries.push_str(&format!("<file><name>{name}</name>{rest}<data_file>{other}</data_file></file>"));
        self
    }

    fn written(mut self) -> Memory {
        let xml = format!(
            "<config><version>1</version><deduplicate_files>1</deduplicate_files><timestamp>2026-11-20 23:12:30</timestamp><uuid>9271e892</uuid><backup_id>my-1</backup_id><contents>{}</contents></config>",
            self.entries
        );
        self.store.objects.insert("b/.backup".to_owned(), xml.into_bytes());
        self.store
    }
}

fn block(unpacked: u32) -> Vec<u8> {
    let mut out = vec![0; 16];
    out.push(0x82);
    out.extend(18_u32.to_le_bytes());
    out.extend(unpacked.to_le_bytes());
    out.extend([0; 9]);
    out
}

fn sample() -> Backup {
    Backup::default()
        .file("metadata/app.sql", b"CREATE DATABASE app UUID 'x' ENGINE = Atomic")
        .file("metadata/app/runs.sql", b"CREATE TABLE app.runs UUID 'x' (`id` UInt64) ENGINE = MergeTree ORDER BY id")
        .file("metadata/app/mv.sql", b"CREATE MATERIALIZED VIEW app.mv UUID 'x' TO INNER UUID 'y' (`d` Date) ENGINE = SummingMergeTree ORDER BY d AS SELECT 1")
        .file("metadata/app/v.sql", b"CREATE VIEW app.v UUID 'x' (`c` UInt64) AS SELECT 1 AS c")
        .file("metadata/app/we%2Dird%2Etab%20le%20%C3%A9.sql", b"CREATE TABLE app.`x` (`a` UInt8) ENGINE = Log")
        .file("metadata/app/tiny.sql", b"CREATE TABLE app.tiny (`version` Int64) ENGINE = TinyLog")
        .file("data/app/runs/202601_1_1_0/count.txt", b"34445")
        .same_as("data/app/runs/202601_4_4_0/count.txt", "data/app/runs/202601_1_1_0/count.txt")
        .file("data/app/runs/202602_2_2_0/count.txt", b"10")
        .file("data/app/runs/202602_2_2_0/p.proj/count.txt", b"7")
        .file("data/app/runs/202602_2_2_0/empty.bin", b"")
        .file("data/app/runs/mutations/0000000007.txt", b"format version: 1")
        .file("data/app/mv/all_1_1_1/count.txt", b"60")
        .file("data/app/we%2Dird%2Etab%20le%20%C3%A9/count.txt", b"2")
        .file("data/app/we%2Dird%2Etab%20le%20%C3%A9/a.bin", b"zz")
        .file("data/app/tiny/columns.txt", b"columns format version: 1\n1 columns:\n`version` Int64\n")
        .file("data/app/tiny/version.bin", &[block(8), block(16)].concat())
        .file("data/app/tiny/sizes.json", b"{}")
}

#[tokio::test]
async fn rows_of_every_kind_of_table() {
    let store = sample().written();
    let manifest = read(&store, "b").await.expect("complete");
    let rows: Vec<(&str, &str, Option<u64>, u64)> = manifest
        .tables
        .iter()
        .map(|table| (table.table.as_str(), table.engine.as_str(), table.rows, table.parts))
        .collect();
    assert_eq!(
        rows,
        [
            ("mv", "MaterializedView", Some(60), 1),
            ("runs", "MergeTree", Some(68900), 3),
            ("tiny", "TinyLog", Some(3), 0),
            ("v", "View", Some(0), 0),
            ("we-ird.tab le é", "Log", Some(2), 0),
        ]
    );
    assert_eq!(manifest.databases, ["app"]);
    assert_eq!(manifest.head.uuid, "9271e892");
    assert_eq!(
        manifest.tables[1].partitions,
        BTreeMap::from([("202601".to_owned(), 68890), ("202602".to_owned(), 10)])
    );
    let reads = store.reads.lock().expect("lock").clone();
    assert!(reads.values().all(|count| *count == 1), "{reads:?}");
    assert!(
        !reads.contains_key("b/data/app/tiny/sizes.json")
            && !reads.contains_key("b/data/app/runs/202602_2_2_0/p.proj/count.txt")
    );
}

#[tokio::test]
async fn a_missing_or_cut_object_is_named() {
    for (change, found) in [(None, None), (Some(b"3".to_vec()), Some(1))] {
        let mut store = sample().written();
        let key = "b/data/app/runs/202601_1_1_0/count.txt".to_owned();
        match change {
            Some(bytes) => store.objects.insert(key, bytes),
            None => store.objects.remove(&key),
        };
        let Err(ManifestError::Incomplete { count, missing, .. }) = read(&store, "b").await else {
            panic!("not noticed")
        };
        assert_eq!(count, 2, "the file and the one with the same content");
        assert_eq!((missing[0].expected, missing[0].found), (5, found));
    }
}

#[tokio::test]
async fn what_lies_at_a_path() {
    let mut store = sample().written();
    assert_eq!(state(&store, "b").await.expect("listed"), BackupState::Complete);
    store.objects.insert("b/.lock".to_owned(), b"x".to_vec());
    assert_eq!(state(&store, "b/").await.expect("listed"), BackupState::CompleteLocked);
    store.objects.remove("b/.backup");
    assert_eq!(state(&store, "b").await.expect("listed"), BackupState::Unfinished);
    let Err(ManifestError::NoBackup { state: found, .. }) = read(&store, "b").await else { panic!("read") };
    assert_eq!(found, BackupState::Unfinished);
    store.objects.remove("b/.lock");
    assert_eq!(state(&store, "b").await.expect("listed"), BackupState::Remains);
    assert_eq!(state(&store, "c").await.expect("listed"), BackupState::Nothing);
    // A path that only begins like another one is not that one.
    assert_eq!(state(&store, "b/da").await.expect("listed"), BackupState::Nothing);
}

#[tokio::test]
async fn backups_that_cannot_be_read_say_so() {
    let store = sample().file("shards/1/replicas/1/metadata/app.sql", b"x").written();
    assert!(matches!(read(&store, "b").await, Err(ManifestError::Unsupported { .. })));
    let mut store = sample().written();
    let xml = store.objects["b/.backup"].clone();
    store.objects.insert("b/.backup".to_owned(), xml[..xml.len() - 9].to_vec());
    assert!(matches!(read(&store, "b").await, Err(ManifestError::Damaged { .. })));
}

#[tokio::test]
async fn a_hundred_thousand_entries_take_seconds() {
    let mut backup =
        Backup::default().file("metadata/d/t.sql", b"CREATE TABLE d.t (`a` UInt8) ENGINE = MergeTree ORDER BY a");
    backup = backup.file("data/d/t/all_0_0_0/count.txt", b"8192");
    let rest = backup.entries[backup.entries.rfind("<size>").expect("met")..]
        .replace("</file>", "<data_file>data/d/t/all_0_0_0/count.txt</data_file></file>");
    for part in 1..100_000 {
        backup.entries.push_str(&format!("<file><name>data/d/t/all_{part}_{part}_0/count.txt</name>{rest}"));
    }
    let began = std::time::Instant::now();
    let manifest = read(&backup.written(), "b").await.expect("complete");
    assert_eq!(manifest.tables[0].rows, Some(819_200_000));
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}
