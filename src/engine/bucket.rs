//! The backups of a bucket, with what each holds: a search that ends, however large the bucket is.

use futures_util::stream::{self, StreamExt};
use serde::Serialize;

use super::manifest::{Manifest, read};
use super::ports::{ObjectError, Objects};

/// How far a bucket is looked through.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Levels of folders.
    pub depth: usize,
    /// Folders that are listed.
    pub folders: usize,
    /// Backups whose content is read, the last by name first.
    pub contents: usize,
}

/// Folders listed and backups read side by side.
const READERS: usize = 8;

/// What was found in a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FoundBackups {
    /// Backups by path.
    pub backups: Vec<FoundBackup>,
    /// Folders that were not looked into, because of the bounds.
    pub folders_left: usize,
}

/// One backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FoundBackup {
    /// Path below the storage's prefix.
    pub path: String,
    /// A `.backup` and no `.lock`.
    pub complete: bool,
    /// What it holds, where that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// What a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// When it was made: local time of its server.
    pub timestamp: String,
    /// Whether a part of the rows is in another backup.
    pub incremental: bool,
    /// Databases.
    pub databases: Vec<String>,
    /// Tables, views and dictionaries.
    pub tables: u64,
    /// Rows of the tables that tell them.
    pub rows: u64,
    /// Bytes in the bucket.
    pub bytes: u64,
}

impl Content {
    fn of(manifest: &Manifest) -> Self {
        let mut databases: Vec<String> = manifest.tables.iter().map(|table| table.database.clone()).collect();
        databases.extend(manifest.databases.iter().cloned());
        databases.sort();
        databases.dedup();
        Self {
            timestamp: manifest.head.timestamp.clone(),
            incremental: manifest.head.incremental,
            databases,
            tables: manifest.tables.len() as u64,
            rows: manifest.tables.iter().filter_map(|table| table.rows).sum(),
            bytes: manifest.objects.bytes,
        }
    }
}

/// Looks for backups.
///
/// # Errors
/// See [`ObjectError`]; a backup that cannot be read is told with the others.
pub async fn find_backups(objects: &dyn Objects, bounds: Bounds) -> Result<FoundBackups, ObjectError> {
    let mut found = FoundBackups::default();
    let (mut level, mut listed) = (vec![String::new()], 0);
    for _ in 0..=bounds.depth {
        let rest = level.split_off(level.len().min(bounds.folders - listed));
        found.folders_left += rest.len();
        listed += level.len();
        let mut answers = stream::iter(std::mem::take(&mut level).into_iter().map(|prefix| async move {
            let names = objects.list_level(&prefix).await;
            (prefix, names)
        }))
        .buffered(READERS);
        while let Some((prefix, names)) = answers.next().await {
            let names = names?;
            let has = |name: &str| names.iter().any(|entry| entry == name);
            if has(".backup") || has(".lock") {
                found.backups.push(FoundBackup {
                    path: prefix.trim_end_matches('/').to_owned(),
                    complete: has(".backup") && !has(".lock"),
                    ..FoundBackup::default()
                });
            } else {
                level.extend(names.into_iter().map(|name| format!("{prefix}{name}/")));
            }
        }
    }
    found.backups.sort_by(|a, b| a.path.cmp(&b.path));
    let last = found.backups.iter().enumerate().rev().filter(|(_, backup)| backup.complete).take(bounds.contents);
    let reads: Vec<(usize, String)> = last.map(|(at, backup)| (at, backup.path.clone())).collect();
    let mut answers = stream::iter(reads.into_iter().map(|(at, path)| async move {
        let manifest = read(objects, &path).await;
        (at, manifest)
    }))
    .buffered(READERS);
    while let Some((at, manifest)) = answers.next().await {
        match manifest {
            Ok(manifest) => found.backups[at].content = Some(Content::of(&manifest)),
            Err(error) => found.backups[at].unreadable = Some(error.to_string()),
        }
    }
    drop(answers);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;

    use super::super::ports::ObjectInfo;
    use super::*;

    /// A bucket of 50 folders with a backup each, of which the last is being written.
    struct Bucket;

    #[async_trait]
    impl Objects for Bucket {
        async fn list(&self, _: &str) -> Result<Vec<ObjectInfo>, ObjectError> {
            Ok(Vec::new())
        }
        async fn list_level(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
            Ok(match prefix {
                "" => (0..50).map(|at| format!("day-{at:02}")).collect(),
                "day-49/" => vec![".lock".to_owned()],
                _ => vec![".backup".to_owned(), "data".to_owned()],
            })
        }
        async fn get(&self, key: &str) -> Result<Bytes, ObjectError> {
            assert!(key.ends_with("/.backup"), "{key}");
            Ok(Bytes::from_static(
                b"<config><version>1</version><timestamp>2026-11-20 15:39:00</timestamp><uuid>u</uuid><contents></contents></config>",
            ))
        }
        async fn delete(&self, _: &str) -> Result<(), ObjectError> {
            unreachable!("inspect only reads")
        }
        async fn check_access(&self) -> Result<(), ObjectError> {
            Ok(())
        }
        fn describe(&self) -> String {
            "bucket".to_owned()
        }
    }

    fn found(folders: usize) -> FoundBackups {
        let bounds = Bounds { depth: 3, folders, contents: 2 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(find_backups(&Bucket, bounds)).unwrap()
    }

    #[test]
    fn the_search_ends_and_says_what_it_left() {
        let all = found(100);
        assert_eq!((all.backups.len(), all.folders_left), (50, 0));
        assert!(!all.backups[49].complete && all.backups[49].content.is_none());
        let read: Vec<&str> = all
            .backups
            .iter()
            .filter(|backup| backup.content.is_some() || backup.unreadable.is_some())
            .map(|backup| backup.path.as_str())
            .collect();
        assert_eq!(read, ["day-47", "day-48"]);
        assert_eq!(all.backups[48].content.as_ref().unwrap().timestamp, "2026-11-20 15:39:00");
        let some = found(11);
        assert_eq!((some.backups.len(), some.folders_left), (10, 40));
    }
}
