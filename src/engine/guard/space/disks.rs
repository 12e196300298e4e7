//! The disks of one server, by the policies that fill them.

use std::collections::BTreeMap;

use crate::model::observed::{HostWorld, Table};
use crate::model::storage::Storage;
use crate::plan::convert::setting;

/// Where a table's definition puts it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Home {
    /// A storage policy.
    Policy(String),
    /// One disk, by its name.
    Disk(String),
    /// A disk that the definition itself describes.
    Described,
}

impl Home {
    /// Where a table is or will be.
    pub(super) fn of(table: &Table, storage: &Storage) -> Self {
        match setting(&table.create_query, "storage_policy") {
            Ok(Some(policy)) => return Self::Policy(policy),
            Err(_) => return Self::Described,
            Ok(None) => {}
        }
        match setting(&table.create_query, "disk") {
            Ok(Some(disk)) => return Self::Disk(disk),
            Err(_) => return Self::Described,
            Ok(None) => {}
        }
        // The default of the server's configuration is one of MergeTree tables.
        let is_part_based = table.engine.ends_with("MergeTree") || table.engine == "MaterializedView";
        let policy = if is_part_based && !storage.default_policy.is_empty() {
            storage.default_policy.as_str()
        } else {
            crate::model::storage::DEFAULT_POLICY
        };
        Self::Policy(policy.to_owned())
    }

    /// In words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Policy(name) => format!("the storage policy `{name}`"),
            Self::Disk(name) => format!("the disk `{name}`"),
            Self::Described => "a disk that their definitions describe".to_owned(),
        }
    }
}

/// Free bytes of a server's disks.
#[derive(Clone, Debug)]
pub(super) struct Disks {
    seen: BTreeMap<String, u64>,
    free: BTreeMap<String, u64>,
    homes: BTreeMap<Home, Vec<String>>,
    /// What dropped tables leave free where it is not told on which of several disks they were.
    freed: BTreeMap<Home, u64>,
}

impl Disks {
    /// The disks of a host; `None` where it does not tell them.
    pub(super) fn of(host: &HostWorld) -> Option<Self> {
        // The path comes with the free space; a server that does not tell one tells none of both.
        let alone = || (!host.identity.data_path.is_empty()).then(|| Storage::of_one_disk(host.free_bytes));
        let storage = if host.storage.is_empty() { alone()? } else { host.storage.clone() };
        let policies = storage.policies.into_iter().map(|(name, disks)| (Home::Policy(name), disks));
        let single = storage.disks.keys().map(|name| (Home::Disk(name.clone()), vec![name.clone()]));
        let homes = policies.chain(single).collect();
        Some(Self { seen: storage.disks.clone(), free: storage.disks, homes, freed: BTreeMap::new() })
    }

    /// The disks behind a place; `None` where the server has no such policy or disk.
    pub(super) fn of_home(&self, home: &Home) -> Option<&[String]> {
        self.homes.get(home).map(Vec::as_slice)
    }

    /// Bytes that are free there.
    pub(super) fn free(&self, home: &Home) -> u64 {
        let names = self.of_home(home).unwrap_or_default();
        let on_disks =
            names.iter().filter_map(|name| self.free.get(name)).fold(0_u64, |sum, free| sum.saturating_add(*free));
        on_disks.saturating_add(self.freed.get(home).copied().unwrap_or(0))
    }

    /// Whether that many bytes are what the server told at planning.
    pub(super) fn are_as_seen(&self, home: &Home, free: u64) -> bool {
        let names = self.of_home(home).unwrap_or_default();
        names.iter().filter_map(|name| self.seen.get(name)).fold(0_u64, |sum, free| sum.saturating_add(*free)) == free
    }

    /// Puts bytes there, disk by disk.
    pub(super) fn take(&mut self, home: &Home, bytes: u64) {
        let mut rest = bytes;
        if let Some(freed) = self.freed.get_mut(home) {
            let taken = rest.min(*freed);
            *freed -= taken;
            rest -= taken;
        }
        for name in self.homes.get(home).into_iter().flatten() {
            if let Some(free) = self.free.get_mut(name) {
                let taken = rest.min(*free);
                *free -= taken;
                rest -= taken;
            }
        }
    }

    /// Takes bytes away from there.
    pub(super) fn give(&mut self, home: &Home, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if let Some([one]) = self.homes.get(home).map(Vec::as_slice)
            && let Some(free) = self.free.get_mut(one)
        {
            *free = free.saturating_add(bytes);
            return;
        }
        let freed = self.freed.entry(home.clone()).or_default();
        *freed = freed.saturating_add(bytes);
    }
}
