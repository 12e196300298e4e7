//! The nodes' own logs of statements, read from a place on: a test that runs long does not read the whole again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use clickferry::engine::journal::{Entry, OutcomeKind, Record};
use clickferry_lab::{Lab, StatementRecord};

use super::lab::NODES;
use super::scene::Scene;

/// In front of what a test itself sends in the place of a person; no engine is to blame for it.
pub const BY_HAND: &str = "/* by hand */";

fn log(lab: &Lab, node: &str) -> PathBuf {
    lab.node(node).unwrap().dir.join("statements.jsonl")
}

/// How long the logs are.
pub fn ends(lab: &Lab) -> [u64; 3] {
    NODES.map(|node| std::fs::metadata(log(lab, node)).map_or(0, |metadata| metadata.len()))
}

/// The log of a node from a place on.
pub fn text(lab: &Lab, node: &str, begin: u64) -> String {
    let mut text = String::new();
    if let Ok(mut file) = File::open(log(lab, node)) {
        file.seek(SeekFrom::Start(begin)).unwrap();
        file.read_to_string(&mut text).unwrap();
    }
    text
}

/// What the nodes were sent from these places on.
pub fn since(lab: &Lab, begin: [u64; 3]) -> Vec<(&'static str, StatementRecord)> {
    let of = |(node, begin): (&'static str, u64)| {
        let text = text(lab, node, begin);
        // A node killed in the middle of a write leaves half a line; it is no record.
        let records: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        records.into_iter().map(move |record| (node, record))
    };
    NODES.into_iter().zip(begin).flat_map(of).collect()
}

/// Whether a statement was carried out to its end, by its id; `None` where the node has not been sent it.
pub fn was_carried_out(scene: &Scene, query_id: &str) -> Option<bool> {
    let lines: Vec<_> = scene.change_lines().into_iter().filter(|(_, record)| record.query_id == query_id).collect();
    if lines.is_empty() {
        return None;
    }
    Some(lines.iter().any(|(_, record)| record.code == Some(0)))
}

/// The rule over the nodes' logs: every changing statement belongs to an intent, was sent once, and was attempted again
/// only where the journal says that the attempt before took no effect, and where that is true.
pub fn nothing_was_sent_twice(scene: &Scene, records: &[Record]) {
    let mut not_done: BTreeSet<(String, u32)> = BTreeSet::new();
    let mut known: BTreeMap<String, (String, u32)> = BTreeMap::new();
    for record in records {
        match &record.entry {
            Entry::Outcome { operation, attempt, kind: OutcomeKind::NotDone, .. } => {
                not_done.insert((operation.to_string(), *attempt));
            }
            Entry::Intent { operation, attempt, query_id, .. } => {
                let before = (operation.to_string(), attempt - 1);
                assert!(
                    *attempt == 1 || not_done.contains(&before),
                    "{operation} was attempted again, and the journal does not say that it had taken no effect"
                );
                let other = known.insert(query_id.clone(), (operation.to_string(), *attempt));
                assert!(other.is_none(), "two intents have the id {query_id}");
            }
            _ => {}
        }
    }
    let mut sent: BTreeSet<String> = BTreeSet::new();
    for (node, record) in scene.change_lines() {
        let (id, statement) = (&record.query_id, &record.statement);
        if statement.starts_with(BY_HAND) {
            continue;
        }
        // The second statement of an attempt has `-1` behind its id.
        let of_an_intent = known.get(id).or_else(|| id.rsplit_once('-').and_then(|(head, _)| known.get(head)));
        let Some(attempt) = of_an_intent else {
            panic!("{node} got a statement without an intent: {id} {statement}");
        };
        if record.is_start() {
            assert!(sent.insert(id.clone()), "{node} got {id} twice: {statement}");
            continue;
        }
        // What goes on behind its answer (ASYNC) is not carried out by then; removing what an attempt left is no effect.
        let removes = attempt.1 > 1 && ["DROP", "TRUNCATE"].iter().any(|verb| statement.starts_with(verb));
        let is_whole = !statement.ends_with("ASYNC") && !removes && known.contains_key(id);
        assert!(
            !(is_whole && record.code == Some(0) && not_done.contains(attempt)),
            "the journal says that attempt {} of {} took no effect, and {node} carried it out: {statement}",
            attempt.1,
            attempt.0,
        );
    }
}
