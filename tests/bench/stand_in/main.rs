//! A stand-in for large clusters: ClickHouse servers over HTTP, a Keeper and a bucket that answer the questions of
//! planning at once, from prepared bytes. For benchmarks alone: the laboratory cannot hold 5,000 tables on 7 nodes.
//!
//! `stand_in TABLES SHARDS REPLICAS FOLDER` writes an environment and a runbook to FOLDER. Every line on its input is
//! answered with the statements and requests that came since the last one, and their own CPU time.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod answers;
mod http;
mod keeper;

use std::collections::BTreeMap;
use std::io::{BufRead, stdin};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// How large it is.
#[derive(Clone, Copy)]
pub struct Size {
    pub tables: usize,
    pub shards: usize,
    pub replicas: usize,
}

/// What was asked since the last report, by who was asked.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counts {
    pub fn add(&self, who: &str) {
        *self.0.lock().unwrap().entry(who.to_owned()).or_default() += 1;
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [tables, shards, replicas, folder] = arguments.as_slice() else {
        panic!("usage: stand_in TABLES SHARDS REPLICAS FOLDER");
    };
    let number = |text: &String| text.parse().unwrap();
    let size = Size { tables: number(tables), shards: number(shards), replicas: number(replicas) };
    let counts = Counts::default();
    let servers = answers::servers(size);
    let ports: Vec<u16> = servers
        .into_iter()
        .map(|server| {
            let counts = counts.clone();
            http::serve(move |request| {
                counts.add(&server.name);
                server.answer(&request.body)
            })
        })
        .collect();
    let bucket = http::serve(|_| http::Answer::plain(answers::EMPTY_BUCKET));
    let keeper = keeper::serve(size, counts.clone());
    write_files(Path::new(folder), size, &ports, bucket, keeper);
    println!("ready");
    for _ in stdin().lock().lines() {
        let asked = std::mem::take(&mut *counts.0.lock().unwrap());
        println!("{}", serde_json::to_string(&asked).unwrap());
    }
}

fn write_files(folder: &Path, size: Size, ports: &[u16], bucket: u16, keeper: u16) {
    let url = |at: usize| format!("http://127.0.0.1:{}", ports[at]);
    let replicas: String = (0..size.shards * size.replicas)
        .map(|at| {
            let shard = at / size.replicas + 1;
            format!("      - {{ name: replica{}, url: \"{}\", shard: \"{shard:02}\" }}\n", at + 1, url(at + 1))
        })
        .collect();
    let environment = format!(
        "apiVersion: clickferry/v1
kind: Environment
metadata: {{ name: large }}
targets:
  source:
    hosts: [{{ name: standalone, url: \"{}\" }}]
  destination:
    cluster: main
    hosts:
{replicas}    keeper: {{ hosts: [\"127.0.0.1:{keeper}\"] }}
storage:
  backups:
    s3:
      endpoint: \"http://127.0.0.1:{bucket}\"
      bucket: backups
      region: us-east-1
      credentials: {{ access_key: {{ env: STAND_IN_KEY }}, secret_key: {{ env: STAND_IN_KEY }} }}
state: {{ directory: state }}
",
        url(0)
    );
    let bundled =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("runbooks/standalone-to-replicated.yaml"));
    let bundled = bundled.unwrap().replace("{ tables: 0, rows: 0 }", "{ tables: 1000000, rows: 1000000000000 }");
    std::fs::write(folder.join("move.yaml"), &bundled).unwrap();
    // Reading the whole of Keeper below a database of this size is the work of many requests, not of the plan.
    let begin = bundled.find("  - id: clear-keeper").unwrap();
    let end = bundled.find("  - id: create-tables").unwrap();
    std::fs::write(folder.join("move-without-keeper.yaml"), format!("{}{}", &bundled[..begin], &bundled[end..]))
        .unwrap();
    std::fs::write(folder.join("environment.yaml"), environment).unwrap();
}
