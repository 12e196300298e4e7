//! What stands still below a path: the nodes that nobody changes unless somebody works there.
//!
//! A live server writes its log, its blocks and its queues below the path of a table all the time. These are the
//! table's own and go with it when an earlier step drops it; everything else that appears, vanishes or changes below
//! the path is told.

use std::collections::BTreeMap;

use foldhash::HashSet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::action::facts::listed;
use crate::engine::ports::KeeperNode;
use crate::plan::plan_file::hex;

/// Children of a table that a live server writes, with everything below them.
const OF_TABLES: &[&str] = &[
    "alter_partition_version",
    "async_blocks",
    "block_numbers",
    "blocks",
    "deduplication_hashes",
    "leader_election",
    "lightweight_updates",
    "log",
    "lost_part_count",
    "mutations",
    "nonincrement_block_numbers",
    "part_moves_shard",
    "pinned_part_uuids",
    "quorum",
    "temp",
    "zero_copy_hdfs",
    "zero_copy_s3",
];
/// Children of a replica that a live server writes, with everything below them.
const OF_REPLICAS: &[&str] = &[
    "creator_info",
    "flags",
    "is_active",
    "is_lost",
    "log_pointer",
    "max_processed_insert_time",
    "min_unprocessed_insert_time",
    "mutation_pointer",
    "parts",
    "queue",
];

/// Children of a table that ClickHouse makes once, and nothing below them.
pub const LEAVES_OF_TABLES: &[&str] = &["columns", "metadata", "table_shared_id"];
/// Children of a replica that ClickHouse makes once, and nothing below them.
pub const LEAVES_OF_REPLICAS: &[&str] = &["columns", "host", "metadata", "metadata_version"];

/// The still nodes directly below a node that is in no table, or all of those of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Still {
    /// Their names, as a fact lists them.
    pub names: String,
    /// Digest of their paths, and of their values where nobody writes these.
    pub digest: String,
}

/// A still node: its place below the path of its group, and its value where nobody writes it.
pub type Entry<'a> = (&'a str, Option<&'a [u8]>);

/// Entries, and whether servers write there.
type Group<'a> = (bool, Vec<Entry<'a>>);

/// Groups of still nodes, by the path that they stand below. `own` are what is known without its node, by table.
pub fn still<'a>(
    nodes: &'a [KeeperNode],
    tables: &HashSet<&str>,
    own: impl Iterator<Item = (&'a str, Vec<Entry<'a>>)>,
    is_live: impl Fn(&str) -> bool,
) -> BTreeMap<String, Still> {
    let mut groups: BTreeMap<&str, Group<'_>> = own.map(|(table, entries)| (table, (true, entries))).collect();
    for node in nodes.iter().skip(1) {
        let path = node.path.as_str();
        // A path within another table's does not occur; the longest would be the table's own.
        let mut above = path.rsplit_once('/').map(|(above, _)| above);
        while let Some(table) = above.filter(|table| !tables.contains(table)) {
            above = table.rsplit_once('/').map(|(above, _)| above);
        }
        match above {
            Some(table) => {
                let inside = path.strip_prefix(table).unwrap_or_default().trim_start_matches('/');
                let (is_live, group) = groups.entry(table).or_insert_with(|| (is_live(table), Vec::new()));
                if !*is_live {
                    group.push((inside, Some(&node.value)));
                } else if !moves(inside) {
                    group.push((inside, None));
                }
            }
            None => {
                let (parent, name) = path.rsplit_once('/').unwrap_or_default();
                // What a table's own node says is the table's.
                let value = (!tables.contains(path)).then_some(node.value.as_slice());
                groups.entry(parent).or_default().1.push((name, value));
            }
        }
    }
    // A table of which nothing stands still is no group.
    let found = groups.into_iter().filter(|(_, (_, group))| !group.is_empty());
    found.map(|(path, (_, group))| (path.to_owned(), one(group))).collect()
}

/// Whether a live server writes what stands at this place within its table.
pub fn moves(inside: &str) -> bool {
    let mut parts = inside.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("replicas"), Some(_), Some(area)) => moves_in_replica(area),
        (Some(area), ..) => OF_TABLES.contains(&area),
        _ => false,
    }
}

/// Whether a live server writes this child of a replica, with everything below it.
pub fn moves_in_replica(name: &str) -> bool {
    OF_REPLICAS.contains(&name)
}

/// One group.
pub fn one(mut group: Vec<Entry<'_>>) -> Still {
    group.sort_unstable();
    let mut digest = Sha256::new();
    let mut below: BTreeMap<&str, u64> = BTreeMap::new();
    for (inside, value) in &group {
        // Paths hold no zero byte, and a digest has a fixed length.
        digest.update(inside.as_bytes());
        digest.update([0]);
        digest.update(value.map(Sha256::digest).unwrap_or_default());
        *below.entry(inside.split('/').next().unwrap_or_default()).or_default() += 1;
    }
    let names: Vec<String> = below
        .into_iter()
        .map(|(name, nodes)| if nodes == 1 { name.to_owned() } else { format!("{name} ({nodes} nodes)") })
        .collect();
    Still { names: listed(names.iter().map(String::as_str), "node"), digest: hex(&digest.finalize())[..12].to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::KeeperStat;

    fn nodes(paths: &[&str]) -> Vec<KeeperNode> {
        let node = |path: &&str| {
            let (path, value) = path.split_once(" = ").unwrap_or((path, ""));
            KeeperNode {
                path: format!("/x{path}"),
                value: value.as_bytes().to_vec(),
                stat: KeeperStat { version: 0, children: 0, ephemeral: false, created_zxid: 1 },
            }
        };
        std::iter::once(&"").chain(paths).map(node).collect()
    }

    const TABLE: &[&str] = &["/t", "/t/log", "/t/metadata", "/t/replicas", "/t/replicas/r1", "/t/replicas/r1/host"];

    fn seen(more: &[&str], live: bool) -> BTreeMap<String, Still> {
        still(&nodes(&[TABLE, more].concat()), &HashSet::from_iter(["/x/t"]), std::iter::empty(), |_| live)
    }

    #[test]
    fn what_a_live_server_writes_stands_still_for_nobody_else() {
        let before = seen(&[], true);
        assert_eq!(before["/x"].names, "1 node: t");
        assert_eq!(before["/x/t"].names, "2 nodes: metadata, replicas (3 nodes)");
        for own in [
            &["/t/log/log-0000000001"][..],
            &["/t/replicas/r1/is_active"],
            &["/t/replicas/r1/queue", "/t/replicas/r1/queue/queue-1"],
            &["/t/block_numbers", "/t/block_numbers/all"],
        ] {
            assert_eq!(seen(own, true), before, "{own:?}");
            assert_ne!(seen(own, false), seen(&[], false), "of a table that no server has, all of it: {own:?}");
        }
    }

    #[test]
    fn a_node_added_anywhere_is_seen() {
        for live in [true, false] {
            let before = seen(&["/a"], live);
            for added in ["/b", "/a/b", "/t/b", "/t/replicas/r2", "/t/replicas/r1/b", "/t/replicas/r1/host/b"] {
                assert_ne!(seen(&["/a", added], live), before, "{added}");
            }
        }
        assert_eq!(seen(&["/a", "/a/b", "/a/b/c"], true)["/x/a/b"].names, "1 node: c");
    }

    #[test]
    fn a_value_that_changes_is_seen_where_no_server_writes() {
        assert_ne!(seen(&["/a = 1"], true), seen(&["/a = 2"], true));
        assert_ne!(seen(&["/t/b = 1"], false), seen(&["/t/b = 2"], false));
        assert_eq!(seen(&["/t/b = 1"], true), seen(&["/t/b = 2"], true));
    }
}
