//! What is asked of the nodes directly, without the engine: the rows everywhere, and that nothing was sent twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use clickferry::engine::journal::{Entry, OutcomeKind};

use super::engine::journal;
use super::lab::NODES;
use super::scene::Scene;

/// Rows and a hash over the content of every table that holds rows, by name.
pub type Content = BTreeMap<String, (u64, String)>;

/// Tables of the test's database on a node, with their content; hidden tables through their views. `schema_migrations`
/// is left out, for it gets a row more.
pub fn content(scene: &Scene, node: &str) -> Content {
    let tables = scene.on_node(
        node,
        "SELECT name FROM system.tables WHERE database = '{db}' AND NOT startsWith(name, '.inner') AND engine NOT IN ('View', 'Dictionary') \
         AND NOT match(create_table_query, '^CREATE MATERIALIZED VIEW \\\\S+ TO ') AND name != 'schema_migrations' ORDER BY name FORMAT TSVRaw",
    );
    tables.lines().map(|table| (table.to_owned(), content_of(scene, node, table))).collect()
}

fn content_of(scene: &Scene, node: &str, table: &str) -> (u64, String) {
    // The states of aggregate functions differ in their bytes where they are the same.
    let columns = scene.on_node(
        node,
        &format!(
            "SELECT arrayStringConcat(groupArray(if(startsWith(type, 'AggregateFunction'), 'finalizeAggregation(`' || name || '`)', '`' || name || '`')), ', ') \
             FROM (SELECT name, type FROM system.columns WHERE database = '{{db}}' AND table = '{table}' ORDER BY position) FORMAT TSVRaw"
        ),
    );
    let answer = scene
        .on_node(node, &format!("SELECT count(), sum(cityHash64(toString(tuple({columns})))) FROM `{{db}}`.`{table}`"));
    let (rows, hash) = answer.split_once('\t').unwrap();
    (rows.parse().unwrap(), hash.to_owned())
}

/// Every replica holds exactly the source's rows, and the migrator finds `version`, clean, everywhere.
pub fn is_moved(scene: &Scene, version: &str) {
    let source = content(scene, "standalone");
    assert!(source.values().map(|(rows, _)| rows).sum::<u64>() > 0, "{source:#?}");
    for node in &NODES[1..] {
        assert_eq!(content(scene, node), source, "{node}");
        let state =
            scene.on_node(node, "SELECT version, dirty FROM {db}.schema_migrations ORDER BY sequence DESC LIMIT 1");
        assert_eq!(state, format!("{version}\t0"), "{node}");
    }
    let rows =
        |node| scene.on_node(node, "SELECT count(), uniqExact(version, dirty, sequence) FROM {db}.schema_migrations");
    let (first, second) = (rows("replica1"), rows("replica2"));
    assert_eq!(first, second);
    let (all, different) = first.split_once('\t').unwrap();
    assert_eq!(all, different, "a row of schema_migrations is there twice");
}

/// Every changing statement since the mark belongs to an intent of the run and was sent once, and an operation was
/// attempted again only where the journal says that the attempt before took no effect.
pub fn nothing_was_repeated(scene: &Scene, run: &Path) {
    let records = journal(run).records;
    let mut not_done: BTreeSet<(String, u32)> = BTreeSet::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for record in &records {
        match &record.entry {
            Entry::Outcome { operation, attempt, kind: OutcomeKind::NotDone, .. } => {
                not_done.insert((operation.to_string(), *attempt));
            }
            Entry::Intent { operation, attempt, query_id, .. } => {
                let before = (operation.to_string(), attempt - 1);
                assert!(
                    *attempt == 1 || not_done.contains(&before),
                    "{operation} was attempted again without an answer of its probe"
                );
                known.insert(query_id.clone());
            }
            _ => {}
        }
    }
    let mut sent: BTreeSet<String> = BTreeSet::new();
    for (node, record) in scene.changes() {
        let id = &record.query_id;
        let of_an_intent = known
            .iter()
            .any(|known| id == known || id.strip_prefix(known.as_str()).is_some_and(|rest| rest.starts_with('-')));
        assert!(of_an_intent, "{node} got a statement without an intent: {id} {}", record.statement);
        assert!(sent.insert(id.clone()), "{node} got {id} twice: {}", record.statement);
    }
}
