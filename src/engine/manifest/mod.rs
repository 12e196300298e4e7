//! What a native, non-archive backup holds, read from the bucket alone: its manifest `.backup`, the DDL of its
//! tables, and their rows from the `count.txt` of every part. Layout as ClickHouse 26.7 writes it.

mod collect;
mod ddl;
mod error;
mod log_rows;
mod names;
mod parse;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use ddl::{columns_of, deletes_rows_by_ttl, engine_of, inner_engine_of, is_refreshable, layout_of};
pub use error::{ManifestError, MissingObject, object_refusal};

use super::ports::{ObjectError, ObjectInfo, Objects};
use crate::plan::plan_file::hex;
use collect::{Collected, Counted};
use parse::parse;

/// Objects read side by side.
const READERS: usize = 16;

/// A complete backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Who it is and when it was made.
    pub head: Head,
    /// Logical files in it.
    pub files: u64,
    /// Sum of their sizes.
    pub total_size: u64,
    /// Databases whose definition is in it, sorted.
    pub databases: Vec<String>,
    /// Tables, views and dictionaries, sorted by database and name.
    pub tables: Vec<ManifestTable>,
    /// What lies below its path.
    pub objects: StoredObjects,
}

/// All objects below the path of a backup: another listing means that something was added, removed or overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObjects {
    /// How many.
    pub number: u64,
    /// Sum of their sizes.
    pub bytes: u64,
    /// SHA-256 over the manifest and over names, sizes and versions of all objects, hexadecimal.
    pub digest: String,
}

impl StoredObjects {
    fn of(manifest: &[u8], listed: &[ObjectInfo], prefix: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(Sha256::digest(manifest));
        for object in listed {
            let name = object.key.strip_prefix(prefix).unwrap_or(&object.key);
            // No name holds a zero byte.
            let line = format!("{name}\0{}\0{}\0", object.size, object.version.as_deref().unwrap_or_default());
            digest.update(line.as_bytes());
        }
        Self {
            number: listed.len() as u64,
            bytes: listed.iter().map(|object| object.size).sum(),
            digest: hex(&digest.finalize()),
        }
    }
}

/// What identifies a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// `uuid` of the manifest.
    pub uuid: String,
    /// `timestamp` of the manifest: local time of the server, without a zone.
    pub timestamp: String,
    /// Whether a part of the data is in another backup.
    pub incremental: bool,
}

/// One table of a backup. The data of a materialized view's hidden table stands under the view's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTable {
    /// Database.
    pub database: String,
    /// Name.
    pub table: String,
    /// Engine by its DDL; `View`, `MaterializedView` or `Dictionary` for these.
    pub engine: String,
    /// DDL as it is in the backup.
    pub create_query: String,
    /// Rows; `None` where the backup does not tell.
    pub rows: Option<u64>,
    /// Rows by partition id, for tables made of parts.
    pub partitions: BTreeMap<String, u64>,
    /// Parts.
    pub parts: u64,
    /// Bytes of its data files.
    pub bytes: u64,
}

impl Manifest {
    /// One table.
    #[must_use]
    pub fn table(&self, database: &str, table: &str) -> Option<&ManifestTable> {
        self.tables.iter().find(|entry| entry.database == database && entry.table == table)
    }
}

/// What lies at a path of the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupState {
    /// `.backup` without `.lock`.
    Complete,
    /// `.backup` and `.lock`: written, and the lock was not (yet) taken away.
    CompleteLocked,
    /// `.lock` without `.backup`: a server is writing it, or died while it did.
    Unfinished,
    /// Other objects only: failed without cleaning up, or partly deleted.
    Remains,
    /// Nothing.
    Nothing,
}

/// Tells what lies at a path.
///
/// # Errors
/// See [`ObjectError`].
pub async fn state(objects: &dyn Objects, path: &str) -> Result<BackupState, ObjectError> {
    let names = objects.list_level(&format!("{}/", path.trim_end_matches('/'))).await?;
    let has = |name: &str| names.iter().any(|found| found.trim_end_matches('/') == name);
    Ok(match (has(".backup"), has(".lock")) {
        (true, false) => BackupState::Complete,
        (true, true) => BackupState::CompleteLocked,
        (false, true) => BackupState::Unfinished,
        (false, false) if names.is_empty() => BackupState::Nothing,
        (false, false) => BackupState::Remains,
    })
}

/// Reads the identity of a backup.
///
/// # Errors
/// See [`ManifestError`].
pub async fn read_head(objects: &dyn Objects, path: &str) -> Result<Head, ManifestError> {
    let path = path.trim_end_matches('/');
    let manifest = get_manifest(objects, path).await?;
    parse(&manifest, &mut |_| Ok(())).map_err(|reason| damaged(objects, path, reason))
}

/// Reads a backup, after checking that every entry with bytes of its own has its object with its size.
///
/// # Errors
/// See [`ManifestError`].
pub async fn read(objects: &dyn Objects, path: &str) -> Result<Manifest, ManifestError> {
    let path = path.trim_end_matches('/');
    let prefix = format!("{path}/");
    let (manifest, listed) = futures_util::join!(get_manifest(objects, path), objects.list(&prefix));
    let (manifest, listed) = (manifest?, listed.map_err(ManifestError::Objects)?);
    let sizes: HashMap<&str, u64> =
        listed.iter().filter_map(|object| Some((object.key.strip_prefix(&prefix)?, object.size))).collect();
    let mut collected = Collected::default();
    let head =
        parse(&manifest, &mut |file| collected.add(file, &sizes)).map_err(|reason| damaged(objects, path, reason))?;
    let stored = StoredObjects::of(&manifest, &listed, &prefix);
    drop(manifest);
    if !collected.unsupported.is_empty() {
        return Err(ManifestError::Unsupported { location: location(objects, path), reason: collected.unsupported });
    }
    if collected.missing_count > 0 {
        return Err(ManifestError::Incomplete {
            location: location(objects, path),
            count: collected.missing_count,
            missing: collected.missing,
        });
    }
    let mut contents = read_all(objects, &prefix, collected.wanted_objects()).await?;
    let columns = collected.wanted_columns(&contents).map_err(|reason| damaged(objects, path, reason))?;
    contents.extend(read_all(objects, &prefix, columns).await?);
    let tables = collected.tables(&contents).map_err(|reason| damaged(objects, path, reason))?;
    let Counted { files, total_size, databases } = collected.counted();
    Ok(Manifest { head, files, total_size, databases, tables, objects: stored })
}

/// Keys of every object that a backup consists of, its manifest and lock included, and its identity.
///
/// # Errors
/// See [`ManifestError`].
pub async fn objects_of(objects: &dyn Objects, path: &str) -> Result<(Head, BTreeSet<String>), ManifestError> {
    let path = path.trim_end_matches('/');
    let manifest = get_manifest(objects, path).await?;
    let mut keys = BTreeSet::from([format!("{path}/.backup"), format!("{path}/.lock")]);
    let head = parse(&manifest, &mut |file| {
        keys.insert(format!("{path}/{}", file.key()));
        Ok(())
    })
    .map_err(|reason| damaged(objects, path, reason))?;
    Ok((head, keys))
}

async fn get_manifest(objects: &dyn Objects, path: &str) -> Result<Bytes, ManifestError> {
    match objects.get(&format!("{path}/.backup")).await {
        Ok(bytes) => Ok(bytes),
        Err(ObjectError::NotFound { .. }) => {
            let state = state(objects, path).await.map_err(ManifestError::Objects)?;
            Err(ManifestError::NoBackup { location: location(objects, path), state })
        }
        Err(error) => Err(ManifestError::Objects(error)),
    }
}

/// Reads many small objects, each once.
async fn read_all(
    objects: &dyn Objects,
    prefix: &str,
    keys: Vec<String>,
) -> Result<HashMap<String, Bytes>, ManifestError> {
    let mut reads = stream::iter(keys.into_iter().map(|key| async move {
        let bytes = objects.get(&format!("{prefix}{key}")).await;
        (key, bytes)
    }))
    .buffer_unordered(READERS);
    let mut contents = HashMap::new();
    while let Some((key, bytes)) = reads.next().await {
        contents.insert(key, bytes.map_err(ManifestError::Objects)?);
    }
    Ok(contents)
}

fn location(objects: &dyn Objects, path: &str) -> String {
    format!("{path} in {}", objects.describe())
}

fn damaged(objects: &dyn Objects, path: &str, reason: String) -> ManifestError {
    ManifestError::Damaged { location: location(objects, path), reason }
}

#[cfg(test)]
mod tests;
