//! The reading part of ZooKeeper's protocol, on a tree that follows from the size: the nodes of a replicated table as
//! ClickHouse 26.7 makes them.

use std::collections::HashSet;
use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::answers::table_name;
use super::{Counts, Size};

const OF_TABLES: &str = "alter_partition_version async_blocks block_numbers blocks columns deduplication_hashes \
                         leader_election log lost_part_count metadata mutations nonincrement_block_numbers \
                         part_moves_shard pinned_part_uuids quorum replicas table_shared_id temp zero_copy_hdfs \
                         zero_copy_s3";
const OF_REPLICAS: &str = "columns creator_info flags host is_active is_lost log_pointer max_processed_insert_time \
                           metadata metadata_version min_unprocessed_insert_time mutation_pointer parts queue";

/// Id of every session.
const SESSION: i64 = 1;
/// What every node holds.
const VALUE: &str = "a value of some bytes, as metadata has them";

pub fn serve(size: Size, counts: Counts) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = counts.clone();
            thread::spawn(move || {
                let _ = session(stream, size, &counts);
            });
        }
    });
    port
}

fn session(stream: TcpStream, size: Size, counts: &Counts) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(1 << 16, stream.try_clone()?);
    let mut answers = BufWriter::with_capacity(1 << 16, stream);
    frame(&mut requests)?;
    let mut hello = Vec::new();
    hello.extend_from_slice(&0_i32.to_be_bytes());
    hello.extend_from_slice(&10_000_i32.to_be_bytes());
    hello.extend_from_slice(&SESSION.to_be_bytes());
    hello.extend_from_slice(&16_i32.to_be_bytes());
    hello.extend_from_slice(&[1; 16]);
    hello.push(0);
    send(&mut answers, &hello)?;
    let mut made: HashSet<String> = HashSet::new();
    loop {
        if requests.buffer().is_empty() {
            answers.flush()?;
        }
        let request = frame(&mut requests)?;
        let word = |at: usize| i32::from_be_bytes(request[at..at + 4].try_into().unwrap());
        let (id, kind) = (word(0), word(4));
        let path = || {
            let length = usize::try_from(word(8)).unwrap();
            String::from_utf8(request[12..12 + length].to_vec()).unwrap()
        };
        let found = match kind {
            // The locks of an apply: nothing else makes nodes.
            1 | 15 => {
                made.insert(path());
                let mut out = text(&path());
                if kind == 15 {
                    out.extend(stat(SESSION, &[]));
                }
                Some(out)
            }
            4 if made.contains(&path()) => Some(body(kind, SESSION, &[])),
            3 | 4 | 8 | 12 => {
                counts.add("keeper");
                let owner = if path().ends_with("/is_active") { 77 } else { 0 };
                children(size, &path()).map(|children| body(kind, owner, &children))
            }
            _ => Some(Vec::new()),
        };
        let mut answer = id.to_be_bytes().to_vec();
        answer.extend_from_slice(&7_i64.to_be_bytes());
        answer.extend_from_slice(&if found.is_some() { 0_i32 } else { -101 }.to_be_bytes());
        answer.extend(found.unwrap_or_default());
        send(&mut answers, &answer)?;
        if kind == -11 {
            return answers.flush();
        }
    }
}

fn frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    let mut out = i32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    stream.write_all(&out)
}

/// The answer to exists (3), getData (4), getChildren (8) and getChildren2 (12).
fn body(kind: i32, owner: i64, children: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    if kind == 4 {
        out.extend(text(VALUE));
    }
    if kind == 8 || kind == 12 {
        out.extend_from_slice(&i32::try_from(children.len()).unwrap().to_be_bytes());
        children.iter().for_each(|child| out.extend(text(child)));
    }
    if kind != 8 {
        out.extend(stat(owner, children));
    }
    out
}

fn text(text: &str) -> Vec<u8> {
    let mut out = i32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

fn stat(owner: i64, children: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    [5_i64, 5, 1_700_000_000_000, 1_700_000_000_000].iter().for_each(|one| out.extend(one.to_be_bytes()));
    [0_i32, 0, 0].iter().for_each(|one| out.extend(one.to_be_bytes()));
    out.extend(owner.to_be_bytes());
    out.extend(i32::try_from(VALUE.len()).unwrap().to_be_bytes());
    out.extend(i32::try_from(children.len()).unwrap().to_be_bytes());
    out.extend(5_i64.to_be_bytes());
    out
}

fn children(size: Size, path: &str) -> Option<Vec<String>> {
    let words = |text: &str| Some(text.split_whitespace().map(str::to_owned).collect());
    let names = |number: usize, name: &dyn Fn(usize) -> String| Some((0..number).map(name).collect());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_known = match parts.get(3..5) {
        Some([database, table]) => {
            let number = table.strip_prefix("events_").and_then(|number| number.parse().ok());
            *database == "default" && number.is_some_and(|number: usize| number < size.tables)
        }
        _ => true,
    };
    if !is_known {
        return None;
    }
    match parts.as_slice() {
        [] => words("clickhouse"),
        ["clickhouse"] => words("tables"),
        ["clickhouse", "tables"] => names(size.shards, &|at| format!("{:02}", at + 1)),
        ["clickhouse", "tables", _] => words("default"),
        ["clickhouse", "tables", _, "default"] => names(size.tables, &table_name),
        ["clickhouse", "tables", _, "default", _, rest @ ..] => match rest {
            [] => words(OF_TABLES),
            ["replicas"] => names(size.replicas, &|at| format!("replica{}", at + 1)),
            ["replicas", _] => words(OF_REPLICAS),
            ["replicas", _, "parts"] => words("all_0_0_0"),
            ["quorum"] => words("failed_parts last_part parallel"),
            ["log"] => words("log-0000000000"),
            ["blocks"] => words("all_1_1"),
            ["block_numbers"] => words("all"),
            ["zero_copy_hdfs" | "zero_copy_s3"] => words("shared"),
            _ => Some(Vec::new()),
        },
        _ => None,
    }
}
