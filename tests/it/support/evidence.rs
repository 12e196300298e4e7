//! The evidence of a refusal: a person who may only read sends its statements and sees what the refusal found.

use clickferry::adapter::clickhouse::{ClickHouse, Host};
use clickferry::adapter::redact::Redactor;
use clickferry::engine::ports::{Call, Sql, SqlError};
use serde_json::Value;

use super::keeper;
use super::lab::NODES;
use super::scene::Scene;

/// Words of a fact that are no value.
const ABOUT: &[&str] = &[
    "row", "rows", "content", "UUID", "uuid", "in", "Keeper", "on", "table", "tables", "node", "nodes", "replica",
    "replicas",
];
/// What a fact says of what is not there.
const ABSENT: &[&str] = &["not there", "it is not there any longer", "no tables", "nothing"];
/// Sends every statement of every refusal to the host it names, as the user who may only read: a statement that is
/// misspelt or changes something fails. Of facts that moved, the answer must hold each plain value that was found.
pub fn is_shown(scene: &Scene, told: &str) {
    for refusal in told.split("\nrefused: ").skip(1) {
        let line = |label: &str| {
            refusal.lines().find_map(|line| line.strip_prefix(&format!("  {label:<9} "))).unwrap_or_default()
        };
        let (found, evidence) = (line("found"), line("see it"));
        // A server that does not answer shows nothing.
        if found.starts_with("it cannot be looked at") {
            continue;
        }
        let (mut host, mut found_rows, mut is_asked) = (None, Vec::new(), false);
        for statement in evidence.split("; ") {
            let (named, sql) = match statement.strip_prefix("on ").and_then(|rest| rest.split_once(": ")) {
                Some((host, sql)) => (Some(host), sql),
                None => (host, statement),
            };
            host = named;
            // The rest is of files and objects.
            if sql.starts_with("SELECT ") {
                is_asked = true;
                found_rows.extend(urls(scene, host).iter().flat_map(|url| rows(scene, url, sql)));
            }
        }
        if is_asked && refusal.starts_with("the world has moved") {
            let is_shown = shows(&found_rows, found, !evidence.contains("system.zookeeper"));
            assert!(is_shown, "{evidence}\ndoes not show: {found}\nbut: {found_rows:#?}");
        }
    }
}

/// The address of a host in the environment as it is now; of each where the evidence names none or all.
fn urls(scene: &Scene, host: Option<&str>) -> Vec<String> {
    let environment = std::fs::read_to_string(scene.test.path().join("environment.yaml")).unwrap();
    let of = |host: &str| {
        let (_, rest) = environment.split_once(&format!("{{ name: {host}, url: \"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    match host {
        Some("each host") => NODES.iter().map(|node| scene.lab.node(node).unwrap().url).collect(),
        Some(host) => vec![of(host)],
        None => vec![of(&format!("{}-r1", scene.database))],
    }
}

fn rows(scene: &Scene, url: &str, sql: &str) -> Vec<Vec<String>> {
    let host = Host {
        name: "asked".into(),
        url: url.to_owned(),
        user: scene.lab.reader().to_owned(),
        password: Some(scene.lab.password().to_owned().into()),
    };
    let client = ClickHouse::new(vec![host], Redactor::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |sql: &str| runtime.block_on(client.call(&"asked".into(), Call::read(sql)));
    let answer = match ask(&with_keeper(scene, sql)) {
        Ok(answer) => answer,
        // The table whose rows are counted may be what is gone.
        Err(SqlError::Server { code: 60, .. }) if sql.starts_with("SELECT count() FROM `") => return Vec::new(),
        Err(error) => panic!("{url}: {sql}: {error:?}"),
    };
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    answer.rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect()
}

/// The engine of the laboratory lacks `system.zookeeper`, which servers have: what it would hold stands in its place.
fn with_keeper(scene: &Scene, sql: &str) -> String {
    let Some((_, path)) = sql.split_once("FROM system.zookeeper WHERE path = '") else { return sql.to_owned() };
    let path = path.strip_suffix('\'').unwrap();
    let below = if keeper::exists(&scene.lab, path) { keeper::children(&scene.lab, path) } else { Vec::new() };
    let rows: String = below.iter().map(|name| format!(", ('{path}', '{name}', '', 0)")).collect();
    let columns = "path String, name String, value String, ctime DateTime";
    sql.replace("system.zookeeper", &format!("values('{columns}', ('', '', '', 0){rows})"))
}

/// Where a fact counts them, all rows belong to it; what live servers write into Keeper does not.
fn shows(rows: &[Vec<String>], found: &str, is_all: bool) -> bool {
    if ABSENT.contains(&found) {
        return rows.is_empty();
    }
    // `3 tables: a, b, c` is a row each.
    let (number, listed) = match found.split_once(": ") {
        Some((head, names)) if head.split(' ').count() == 2 => (head.split(' ').next(), names),
        _ => (None, found),
    };
    (!is_all || number.is_none_or(|number| number == rows.len().to_string()))
        && plain(listed).iter().all(|word| {
            let is_number = word.parse::<u64>().is_ok();
            rows.iter().flatten().any(|cell| if is_number { cell == word } else { cell.contains(word.as_str()) })
        })
}

/// The values of a fact, without digests and without what stands in brackets behind a name.
fn plain(found: &str) -> Vec<String> {
    let mut rest = found.split("; definition ").next().unwrap();
    let mut kept = String::new();
    while let Some((before, behind)) = rest.split_once(" (") {
        kept += before;
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    kept += rest;
    let words: Vec<&str> = kept.split([' ', ',', '=', '/', ':']).filter(|word| !word.is_empty()).collect();
    let is_value = |(at, word): &(usize, &&str)| !ABOUT.contains(word) && (*at == 0 || words[at - 1] != "content");
    words.iter().enumerate().filter(is_value).map(|(_, word)| (*word).to_owned()).collect()
}
