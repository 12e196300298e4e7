//! The whole end of a run: what stands on every node, in Keeper, in the bucket and beside the engine, as lines that two
//! runs with other names can be compared by.

use std::collections::{BTreeMap, BTreeSet};

use clickferry::adapter::s3::{Bucket, BucketConfig};
use clickferry::engine::manifest::{BackupState, Manifest, read, state};
use clickferry::engine::ports::Objects;
use clickferry::plan::convert::normalise;

use super::keeper;
use super::lab::{NODES, files_below};
use super::proof::content;
use super::scene::Scene;

/// Ids of databases and tables, by node: what a run makes anew has others afterwards.
pub type Ids = BTreeMap<&'static str, BTreeSet<String>>;

/// The ids of everything that the test's database holds now.
pub fn ids(scene: &Scene) -> Ids {
    let of = |node| {
        let text = scene.on_node(
            node,
            "SELECT toString(uuid) FROM system.databases WHERE name = '{db}' \
             UNION ALL SELECT toString(uuid) FROM system.tables WHERE database = '{db}'",
        );
        (node, text.lines().map(str::to_owned).collect())
    };
    NODES.into_iter().map(of).collect()
}

/// Everything, one thing a line. Rows may still be on their way to the other replica only where a run is not over.
pub fn end_state(scene: &Scene, before: &Ids) -> Vec<String> {
    let mut lines = Vec::new();
    for node in NODES {
        of_node(scene, node, &before[node], &mut lines);
    }
    lines.extend(of_keeper(scene));
    lines.extend(of_bucket(scene));
    for file in files_below(&scene.test.path().join("made")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        lines.push(format!("file {name}: {:?}", std::fs::read_to_string(&file).unwrap()));
    }
    lines.iter().map(|line| without_ids(&line.replace(&scene.database, "DB"))).collect()
}

fn of_node(scene: &Scene, node: &'static str, before: &BTreeSet<String>, lines: &mut Vec<String>) {
    let aside = scene.on_node(node, "SELECT count() FROM system.databases WHERE startsWith(name, '{db}_old')");
    lines.push(format!("{node} databases set aside: {aside}"));
    let age = |id: &str| if before.contains(id) { "as before" } else { "new" };
    let databases = scene.on_node(
        node,
        "SELECT engine, toString(uuid) FROM system.databases WHERE name = '{db}' FORMAT TabSeparatedRaw",
    );
    for (engine, id) in databases.lines().filter_map(|line| line.split_once('\t')) {
        lines.push(format!("{node} database: {engine}, id {}", age(id)));
    }
    if databases.is_empty() {
        return;
    }
    let macros: BTreeMap<String, String> = scene
        .on_node(node, "SELECT macro, substitution FROM system.macros FORMAT TabSeparatedRaw")
        .lines()
        .filter_map(|line| line.split_once('\t').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let tables = scene.on_node(
        node,
        "SELECT name, engine, toString(uuid), replaceAll(create_table_query, '\\n', ' ') FROM system.tables \
         WHERE database = '{db}' ORDER BY if(startsWith(name, '.inner'), 'inner', name) FORMAT TabSeparatedRaw",
    );
    for line in tables.lines() {
        let [name, engine, id, ddl] = line.splitn(4, '\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        lines.push(format!("{node} table {name}: {engine}, id {}, {}", age(id), normalise(ddl, &macros)));
    }
    for (table, (rows, hash)) in content(scene, node) {
        lines.push(format!("{node} content of {table}: {rows} rows, {hash}"));
    }
    let dropped = scene.on_node(node, "SELECT count() FROM system.dropped_tables WHERE database = '{db}'");
    lines.push(format!("{node} pending drops: {dropped}"));
    if tables.lines().any(|line| line.starts_with("schema_migrations\t")) {
        let history = scene.on_node(
            node,
            "SELECT arrayStringConcat(groupArray(concat(toString(version), '/', toString(dirty))), ' ') \
             FROM (SELECT version, dirty FROM {db}.schema_migrations ORDER BY sequence)",
        );
        lines.push(format!("{node} history: {history}"));
    }
}

/// The tables' nodes and their replicas; deeper down names depend on how parts were merged.
fn of_keeper(scene: &Scene) -> Vec<String> {
    let root = format!("/clickhouse/tables/01/{}", scene.database);
    let lock = format!("/clickferry/locks/{0}-r1,{0}-r2", scene.database);
    let mut lines = vec![format!("keeper lock held: {}", keeper::exists(&scene.lab, &lock))];
    for path in keeper::tree(&scene.lab, &root, 3) {
        let below = path.strip_prefix(&root).unwrap();
        let is_volatile =
            below.split('/').nth(2).is_some_and(|part| part != "replicas") && below.matches('/').count() > 2;
        if !is_volatile {
            lines.push(format!("keeper {path}"));
        }
    }
    lines
}

/// Complete backups: what they hold. What a failed attempt left is in nobody's way and not counted.
fn of_bucket(scene: &Scene) -> Vec<String> {
    let (access_key, secret_key) = scene.lab.s3_keys();
    let bucket = Bucket::new(BucketConfig {
        endpoint: scene.lab.s3_endpoint(),
        bucket: scene.lab.bucket().to_owned(),
        region: "us-east-1".to_owned(),
        prefix: scene.database.clone(),
        access_key: access_key.to_owned().into(),
        secret_key: secret_key.to_owned().into(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut lines = Vec::new();
        for folder in ["", "clickhouse-backup/"] {
            for name in bucket.list_level(folder).await.unwrap() {
                let path = format!("{folder}{}", name.trim_end_matches('/'));
                if state(&bucket, &path).await.unwrap() == BackupState::Complete {
                    of_manifest(&read(&bucket, &path).await.unwrap(), &mut lines);
                }
            }
        }
        lines
    })
}

fn of_manifest(manifest: &Manifest, lines: &mut Vec<String>) {
    lines.push(format!("backup of {}", manifest.databases.join(", ")));
    for table in &manifest.tables {
        let (name, rows, ddl) = (&table.table, table.rows, normalise(&table.create_query, &BTreeMap::new()));
        lines.push(format!("backup table {name}: {}, {rows:?} rows, {:?}, {ddl}", table.engine, table.partitions));
    }
}

/// What differs between the end of an undisturbed run and this one.
pub fn differences(undisturbed: &[String], found: &[String]) -> Vec<String> {
    let lacks = undisturbed.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let more = found.iter().filter(|line| !undisturbed.contains(line)).map(|line| format!("+ {line}"));
    let mut all: Vec<String> = lacks.chain(more).collect();
    if all.is_empty() && undisturbed.len() != found.len() {
        all.push(format!("{} lines instead of {}: something is there twice", found.len(), undisturbed.len()));
    }
    all
}

/// Ids as such differ from run to run.
fn without_ids(line: &str) -> String {
    let is_id = |text: &str| {
        text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    };
    let (mut out, mut at) = (String::new(), 0);
    while at < line.len() {
        if line.get(at..at + 36).is_some_and(is_id) {
            out.push_str("ID");
            at += 36;
        } else {
            let next = line[at..].chars().next().unwrap();
            out.push(next);
            at += next.len_utf8();
        }
    }
    out
}
