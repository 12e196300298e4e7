//! Own time of `resume` up to the first new operation: `cargo run --release --example resume [-- OPERATIONS]`.
//! Everything outside is in memory and answers at once. All operations but one are done and asked again.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "../it/support/model/mod.rs"]
mod model;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use clickferry::engine::journal::{Entry, JOURNAL_VERSION, OutcomeKind, Record, read_journal};
use clickferry::engine::ports::{Answer, Call, Ports, Sql, SqlError};
use clickferry::engine::resume::{run_state, statements_digest};
use clickferry::engine::run::Runner;
use clickferry::model::ids::{HostName, RunId};
use clickferry::plan::plan_file::Plan;
use jiff::Timestamp;
use model::history::text_of;
use model::world::World;
use model::{StepShape, plan_of, process};
use secrecy::ExposeSecret;
use serde_json::json;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Says yes to everything, and when the first change came.
struct Yes {
    first: Mutex<Option<Instant>>,
}

#[async_trait]
impl Sql for Yes {
    async fn call(&self, _host: &HostName, call: Call) -> Result<Answer, SqlError> {
        let answer = match call.text.expose_secret().split_once(' ').map(|(word, _)| word) {
            Some("DO") => {
                self.first.lock().unwrap().get_or_insert_with(Instant::now);
                ""
            }
            Some("GATE") => "open",
            _ => "there",
        };
        Ok(Answer { columns: vec!["answer".to_owned()], rows: vec![vec![json!(answer)]], display_name: None })
    }
}

/// A journal in which all but the last operation are done, with outcomes of about a kilobyte.
fn journal(plan: &Plan, operations: usize) -> Vec<u8> {
    let mut records: Vec<Record> = Vec::new();
    let mut write = |entry: Entry| {
        let (seq, prev) = records.last().map_or((1, ""), |record| (record.seq + 1, record.sum.as_str()));
        let record = Record::new(seq, Timestamp::UNIX_EPOCH, entry, prev);
        records.push(record);
    };
    write(Entry::Started {
        version: JOURNAL_VERSION,
        run: RunId::from("run"),
        plan: plan.digest.clone(),
        tool: "bench".to_owned(),
        owner: "bench".to_owned(),
        consent: "bench".to_owned(),
    });
    for operation in &plan.operations[..operations - 1] {
        write(Entry::Intent {
            operation: operation.id.clone(),
            attempt: 1,
            query_id: format!("clickferry-{}", operation.id),
            statements: statements_digest(operation),
            data: json!({ "uptime": 12345, "path": "clickhouse-backup/2026-11-20_234829" }),
        });
        let parts: Vec<_> = (0..8)
            .map(|part| json!({ "partition": format!("2026{part:02}"), "rows": 123_456, "hash": "93a4f20c8b1d" }))
            .collect();
        write(Entry::Outcome {
            operation: operation.id.clone(),
            attempt: 1,
            kind: OutcomeKind::Done,
            data: json!({ "sum": 17, "table": "default.events", "rows": 400, "parts": parts }).into(),
            error: None,
        });
    }
    text_of(&records)
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

fn timed<T>(work: impl Fn() -> T) -> f64 {
    median(
        (0..5)
            .map(|_| {
                let begun = Instant::now();
                drop(work());
                begun.elapsed()
            })
            .collect(),
    )
}

async fn to_the_first(plan: &Plan, text: &[u8], journal: &[u8]) -> Duration {
    let world = World::new(plan.clone());
    let run = RunId::from("run");
    {
        let mut inner = world.inner();
        inner.runs.push(run.clone());
        inner.documents.insert((run.clone(), "journal.jsonl".to_owned()), journal.to_vec());
        inner.documents.insert((run.clone(), "plan.json".to_owned()), text.to_vec());
    }
    let sql = Arc::new(Yes { first: Mutex::new(None) });
    let ports = Ports { sql: Arc::clone(&sql) as _, ..process::ports(&world) };
    let environment = process::environment();
    let runner = Runner {
        catalogue: model::action::CATALOGUE,
        environment: &environment,
        environment_text: "",
        ports: &ports,
        observer: &process::Nobody,
        person: &process::Nobody,
        stop: Default::default(),
        detach: Default::default(),
        owner: "bench".to_owned(),
    };
    let begun = Instant::now();
    runner.resume(&run, clickferry::engine::reprove::Redo::Ask).await.expect("a resumed run");
    let first = sql.first.lock().unwrap().expect("a first operation");
    first - begun
}

fn main() {
    let operations: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lane = |at: usize| (0, u8::try_from(at % 6).unwrap());
    let wave = |at: usize| (u32::try_from(at).unwrap(), 0);
    let one = |operations| StepShape { operations, ..StepShape::default() };
    let shapes = [
        ("one step, six lanes", vec![one((0..operations).map(lane).collect())]),
        ("one step, a wave for each operation", vec![one((0..operations).map(wave).collect())]),
        ("a step for each operation", (0..operations).map(|_| one(vec![(0, 0)])).collect()),
    ];
    println!("resume of {operations} operations, all but one done; medians of 5");
    for (name, shapes) in shapes {
        let plan = plan_of("bench", &shapes);
        let (text, journal) = (serde_json::to_vec_pretty(&plan).unwrap(), journal(&plan, operations));
        let read = read_journal(&journal, "").unwrap();
        println!("{name}: plan {:.1} MB, journal {:.1} MB", text.len() as f64 / 1e6, journal.len() as f64 / 1e6);
        println!("  read the plan              {:8.1} ms", timed(|| serde_json::from_slice::<Plan>(&text).unwrap()));
        println!("  check its digest           {:8.1} ms", timed(|| plan.is_intact()));
        println!("  read and verify journal    {:8.1} ms", timed(|| read_journal(&journal, "").unwrap()));
        println!("  state (with the digest)    {:8.1} ms", timed(|| run_state(&plan, &read).unwrap()));
        let whole = median((0..5).map(|_| runtime.block_on(to_the_first(&plan, &text, &journal))).collect());
        println!("  to the first new operation {whole:8.1} ms   (goal: below 200)");
    }
}
