//! What a restore rests on: the backup in the bucket, and the tables that it goes to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::action::facts;
use crate::diag::Refusal;
use crate::model::ids::HostName;
use crate::model::observed::HostWorld;
use crate::plan::fact::Fact;

use super::RestoreArguments;
use super::source::{BackupSource, ExistingBackup, SourceTable};

/// A backup that is in the bucket already is a part of the world: its manifest and all of its objects.
pub(crate) fn backup_fact(arguments: &RestoreArguments, observed: &Value) -> Option<Fact> {
    let BackupSource::Existing(existing) = &arguments.backup else { return None };
    let text = |key: &str| observed.get(key).and_then(Value::as_str);
    let number = |key: &str| observed.get(key).and_then(Value::as_u64);
    let value = format!(
        "UUID {} of {}, {} objects with {} bytes, digest of their names, sizes and ETags {}",
        text("uuid")?,
        text("timestamp")?,
        number("objects")?,
        number("stored_bytes")?,
        facts::short(text("objects_digest")?)
    );
    Some(about(existing, value))
}

/// The same, where it could not be read.
pub(crate) fn unreadable(arguments: &RestoreArguments, problems: &[Refusal]) -> Option<Fact> {
    let BackupSource::Existing(existing) = &arguments.backup else { return None };
    Some(about(existing, format!("it cannot be read: {}", problems.first()?.found)))
}

fn about(existing: &ExistingBackup, value: String) -> Fact {
    let (path, storage) = (existing.path.trim_end_matches('/'), existing.storage.as_str());
    let query =
        format!("the objects below {path}/ in storage `{storage}`, and in {path}/.backup `uuid` and `timestamp`");
    Fact::new(&HostName::default(), format!("backup {path} in storage `{storage}`"), value, query)
}

/// The databases that entries go to, on the replicas of a shard.
pub(crate) fn database_facts(hosts: &[&HostWorld], entries: &[SourceTable]) -> Vec<Fact> {
    let databases: BTreeSet<&str> = entries.iter().map(|entry| entry.database.as_str()).collect();
    let of_host = |host: &&HostWorld| {
        let host: &HostWorld = host;
        databases.iter().filter_map(|database| facts::database(host, database)).collect::<Vec<_>>()
    };
    hosts.iter().flat_map(of_host).collect()
}

/// What is there of one entry on the replicas of a shard: whether rows would come beside rows, and with which
/// definition.
pub(crate) fn place_facts(arguments: &RestoreArguments, hosts: &[&HostWorld], entry: &SourceTable) -> Vec<Fact> {
    let mut facts = Vec::new();
    for host in hosts {
        facts.extend(facts::definition(host, &entry.database, &entry.table));
        let Some(table) = host.table(&entry.database, &entry.table) else { continue };
        // Where rows may come beside rows, those that are there may move.
        if entry.has_rows() && !arguments.appends() {
            facts.extend(facts::rows(&host.name, table));
        }
        facts.extend(facts::replicas(&host.name, table));
    }
    facts
}
