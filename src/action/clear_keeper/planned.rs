//! What stood below a path when the plan was made, for the gate: nothing goes that nobody has seen.
//!
//! Below the path of a table that the plan drops, its server writes until the last moment, so there only the replicas
//! and the kinds of nodes are compared. A table that no server has stands still, and everything outside of tables does.

use foldhash::{HashMap, HashSet};

use super::observe::{LiveTable, Subtree, ancestors};
use super::still::{moves, still};
use crate::engine::ports::KeeperNode;
use crate::plan::cleared::{Alike, Cleared, ClearedTable};
use crate::plan::operation::{Effect, Operation};
use crate::plan::sql::{TokenKind, tokenize};

/// What is known by what was observed; `dropped` are the tables that earlier steps drop.
pub fn known(subtree: &Subtree, dropped: &[LiveTable<'_>]) -> Cleared {
    let dropped: HashSet<&str> = dropped.iter().map(|table| table.path).collect();
    let table = |(path, seen): (&String, &super::observe::KeeperTable)| {
        let is_live = dropped.contains(path.as_str());
        let still = subtree.still.get(path).map(|still| still.digest.clone()).filter(|_| !is_live);
        let replicas = seen.names().map(str::to_owned).collect();
        (path.clone(), ClearedTable { replicas, children: seen.children.clone(), still })
    };
    let alike = |alike: &super::observe::Alike| {
        let replicas = alike.replicas.iter().cloned().collect();
        // Refused where nothing drops them: servers of the environment have them.
        let table = ClearedTable { replicas, children: alike.children.clone(), still: None };
        Alike { paths: alike.paths.clone(), table }
    };
    Cleared {
        outside: subtree.outside.clone(),
        tables: subtree.tables.iter().map(table).collect(),
        alike: subtree.alike.iter().map(alike).collect(),
    }
}

/// Nodes that are there now and that the plan does not know. What is left of a table by an attempt before may be less
/// than what stood there.
pub fn strangers(known: &Cleared, nodes: &[KeeperNode], made: &[Vec<String>], is_first: bool) -> Vec<String> {
    let tables: HashMap<&str, &ClearedTable> = known.all_tables().collect();
    let mut strangers: Vec<String> = nodes
        .iter()
        .map(|node| node.path.as_str())
        .filter(|path| !knows(known, &tables, path) && !made.iter().any(|pattern| is_made(path, pattern)))
        .map(str::to_owned)
        .collect();
    if is_first {
        let paths: HashSet<&str> = tables.keys().copied().collect();
        let now = still(nodes, &paths, std::iter::empty(), |_| false);
        for (path, table) in known.all_tables() {
            let Some(before) = &table.still else { continue };
            if now.get(path).is_some_and(|now| now.digest != *before) {
                strangers.push(format!("{path} (it has changed)"));
            }
        }
    }
    strangers
}

fn knows(known: &Cleared, tables: &HashMap<&str, &ClearedTable>, path: &str) -> bool {
    let Some((above, table)) = ancestors(path).find_map(|above| tables.get_key_value(above)) else {
        return known.outside.contains(path);
    };
    let inside = path.strip_prefix(above).unwrap_or_default().trim_start_matches('/');
    let mut parts = inside.split('/');
    match (parts.next(), parts.next()) {
        (Some("replicas"), Some(replica)) => table.replicas.contains(replica),
        // What a server leaves that was killed while it dropped the table.
        (Some("" | "dropped") | None, _) => true,
        (Some(child), _) => table.children.contains(child) || moves(inside),
    }
}

/// Keeper paths that earlier operations of a plan name in what they create, part by part: their tables may have been
/// dropped again, and the nodes above them stay.
pub fn made_before(operations: &[Operation], this: &Operation) -> Vec<Vec<String>> {
    let earlier = operations.iter().take_while(|other| other.id != this.id);
    let writing = earlier.filter(|other| other.effect == Effect::Write);
    let texts = writing.flat_map(|other| &other.statements).map(|statement| statement.text.as_str());
    texts.filter(|text| text.contains("Replicated")).flat_map(paths_in).collect()
}

fn paths_in(statement: &str) -> Vec<Vec<String>> {
    let tokens = tokenize(statement).unwrap_or_default();
    let texts = tokens.iter().filter(|token| token.kind == TokenKind::Text).map(|token| token.text.trim_matches('\''));
    texts.filter(|text| text.starts_with('/')).map(|text| text.split('/').map(str::to_owned).collect()).collect()
}

/// Whether a node stands at, above or below a path; a macro stands for anything.
fn is_made(path: &str, pattern: &[String]) -> bool {
    path.split('/').zip(pattern).all(|(part, made)| part == made || made.contains('{'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ports::KeeperStat;

    const ALL: &[&str] = &[
        "",
        "/left",
        "/t",
        "/t/log",
        "/t/columns",
        "/t/replicas",
        "/t/replicas/r1",
        "/t/replicas/r1/host",
        "/u",
        "/u/metadata",
        "/u/log",
        "/u/replicas",
        "/u/replicas/r9",
        "/u/replicas/r9/host",
    ];

    fn nodes(more: &[&str]) -> Vec<KeeperNode> {
        let node = |path: &&str| KeeperNode {
            path: format!("/x{path}"),
            value: Vec::new(),
            stat: KeeperStat { version: 0, children: 0, ephemeral: false, created_zxid: 1 },
        };
        let mut paths = [ALL, more].concat();
        paths.sort_unstable();
        paths.iter().map(node).collect()
    }

    /// `t` is dropped by an earlier step, `u` is of nobody.
    fn planned() -> Cleared {
        let live = LiveTable { target: "to", path: "/x/t", replica: "r1" };
        let subtree =
            super::super::observe::summary(&nodes(&[]), &HashSet::from_iter([live.path]), &Default::default());
        known(&subtree, &[live])
    }

    #[test]
    fn what_the_plan_knows_may_go_and_nothing_else() {
        let planned = planned();
        let found = |more: &[&str]| strangers(&planned, &nodes(more), &[], true);
        assert!(found(&[]).is_empty());
        // What the server of a dropped table has written until the end.
        assert!(found(&["/t/log/log-1", "/t/block_numbers", "/t/replicas/r1/parts", "/t/lost_part_count"]).is_empty());
        for stranger in ["/more", "/left/more", "/t/more", "/t/replicas/r2"] {
            assert_eq!(found(&[stranger]), [format!("/x{stranger}")]);
        }
        assert_eq!(found(&["/u/log/log-1"]), ["/x/u (it has changed)"]);
        // An attempt that stopped halfway has left less.
        let left: Vec<KeeperNode> = nodes(&[]).into_iter().filter(|node| !node.path.ends_with("/host")).collect();
        assert!(strangers(&planned, &left, &[], false).is_empty());
    }

    #[test]
    fn what_earlier_steps_made_and_dropped_again_is_no_stranger() {
        let made = paths_in(
            "CREATE TABLE a.b (x Int8) ENGINE = ReplicatedMergeTree('/x/{shard}/made', '{replica}') ORDER BY x",
        );
        let found = |more: &[&str]| strangers(&planned(), &nodes(more), &made, true);
        assert!(found(&["/01", "/01/made", "/01/made/log"]).is_empty());
        assert_eq!(found(&["/01/other"]), ["/x/01/other"]);
    }
}
