//! Kills this very process at a chosen point, for the torture test. Compiled in with the feature `torture` alone, which
//! is off by default; without its variables it does nothing.
//!
//! Every place where something durable or changing passes a port is a point: the records and documents of the state,
//! every changing statement, every node removed from Keeper, every command. They are counted in the order in which
//! they are passed. `CLICKFERRY_TORTURE_POINTS=FILE` writes the name of each into a file;
//! `CLICKFERRY_TORTURE_KILL_AT=N` raises SIGKILL at the one with this number, and with a name at the first called so.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;

use crate::engine::ports::{
    Answer, Call, Command, CommandLife, CommandOutput, Commands, Document, EachChildren, Held, Keeper, KeeperError,
    KeeperNode, LockGuard, LockHolder, Ports, SkipNode, Sql, SqlError, StateError, StateStore,
};
use crate::model::ids::{HostName, RunId};

/// How long a statement or a command is let go before the process is killed in the middle of it.
const HEAD_START: Duration = Duration::from_millis(3);

/// Puts a counter of points around the ports, where the variables ask for it.
pub fn install(ports: &mut Ports) {
    let file = std::env::var_os("CLICKFERRY_TORTURE_POINTS").map(PathBuf::from);
    let kill_at = std::env::var("CLICKFERRY_TORTURE_KILL_AT").ok();
    let stop_at = std::env::var("CLICKFERRY_TORTURE_STOP_AT").ok();
    if file.is_none() && kill_at.is_none() && stop_at.is_none() {
        return;
    }
    let points = Arc::new(Points { file, kill_at, stop_at: Mutex::new(stop_at), passed: AtomicUsize::new(0) });
    ports.sql = Arc::new(TorturedSql(Arc::clone(&ports.sql), Arc::clone(&points)));
    ports.state = Arc::new(TorturedState(Arc::clone(&ports.state), Arc::clone(&points)));
    ports.commands = Arc::new(TorturedCommands(Arc::clone(&ports.commands), Arc::clone(&points)));
    for keeper in ports.keepers.values_mut() {
        *keeper = Arc::new(TorturedKeeper(Arc::clone(keeper), Arc::clone(&points)));
    }
}

struct Points {
    file: Option<PathBuf>,
    kill_at: Option<String>,
    /// A part of the name of a point, once.
    stop_at: Mutex<Option<String>>,
    passed: AtomicUsize,
}

impl Points {
    /// Counts a point and names it; whether the process is to be killed there.
    fn is_fatal(&self, name: &str) -> bool {
        let number = self.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(path) = &self.file {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            // Without the line the test finds no point and fails.
            let _ = file.and_then(|mut file| file.write_all(format!("{number}\t{name}\n").as_bytes()));
        }
        self.kill_at.as_ref().is_some_and(|at| *at == number.to_string() || at == name)
    }

    async fn pass(&self, name: &str) {
        if self.is_fatal(name) {
            die().await;
        }
        self.stop_at(name);
    }

    /// Stops the process where that is asked for; it goes on when somebody wakes it.
    fn stop_at(&self, name: &str) {
        if self.stops_at(name) {
            let _ = kill_process(getpid(), Signal::STOP);
            // The signal may reach the process a moment later.
            std::thread::sleep(HEAD_START);
        }
    }

    fn stops_at(&self, name: &str) -> bool {
        let mut wanted = self.stop_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_here = wanted.as_ref().is_some_and(|wanted| name.contains(wanted));
        if is_here {
            *wanted = None;
        }
        is_here
    }
}

/// Nothing is written, released or closed any more.
async fn die() {
    let _ = kill_process(getpid(), Signal::KILL);
    // The signal may reach the process a moment later.
    std::future::pending::<()>().await;
}

/// Lets something begin and kills the process while it is under way.
async fn die_inside_of<T>(work: impl Future<Output = T>) {
    let _ = tokio::time::timeout(HEAD_START, work).await;
    die().await;
}

struct TorturedState(Arc<dyn StateStore>, Arc<Points>);

/// What a record of the journal is.
fn record_name(line: &[u8]) -> String {
    let record: Value = serde_json::from_slice(line).unwrap_or_default();
    let entry = record.get("entry").and_then(Value::as_object).and_then(|entry| entry.iter().next());
    let Some((kind, entry)) = entry else { return "record".to_owned() };
    let detail = |name: &str| entry.get(name).and_then(Value::as_str).map(|text| format!(" {text}"));
    let words = [detail("operation"), detail("kind"), detail("answer")].into_iter().flatten().collect::<String>();
    format!("{kind}{words}")
}

#[async_trait]
impl StateStore for TorturedState {
    async fn runs(&self) -> Result<Vec<RunId>, StateError> {
        self.0.runs().await
    }

    async fn create_run(&self, run: &RunId) -> Result<(), StateError> {
        self.0.create_run(run).await
    }

    async fn put(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.1.pass(&format!("before document {name}")).await;
        let result = self.0.put(run, name, content).await;
        self.1.pass(&format!("after document {name}")).await;
        result
    }

    async fn get(&self, run: &RunId, name: &str) -> Result<Vec<u8>, StateError> {
        self.0.get(run, name).await
    }

    async fn append(&self, run: &RunId, number: u64, line: &[u8]) -> Result<(), StateError> {
        let name = record_name(line);
        self.1.pass(&format!("before record {name}")).await;
        if self.1.is_fatal(&format!("inside of record {name}")) {
            // A record that was written in part, as a full disk or a power cut leaves it.
            let _ = self.0.append(run, number, &line[..line.len() / 2]).await;
            die().await;
        }
        let result = self.0.append(run, number, line).await;
        self.1.pass(&format!("after record {name}")).await;
        result
    }

    async fn leave(&self, run: &RunId, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.0.leave(run, name, content).await
    }

    async fn documents(&self, run: &RunId) -> Result<Vec<Document>, StateError> {
        self.0.documents(run).await
    }

    async fn holder(&self) -> Result<Option<Held>, StateError> {
        self.0.holder().await
    }

    async fn remove_lock(&self, holder: &LockHolder) -> Result<(), StateError> {
        self.0.remove_lock(holder).await
    }

    async fn truncate(&self, run: &RunId, length: u64) -> Result<(), StateError> {
        self.0.truncate(run, length).await
    }

    async fn lock(&self, holder: &LockHolder) -> Result<Box<dyn LockGuard>, StateError> {
        self.0.lock(holder).await
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

struct TorturedSql(Arc<dyn Sql>, Arc<Points>);

#[async_trait]
impl Sql for TorturedSql {
    async fn call(&self, host: &HostName, call: Call) -> Result<Answer, SqlError> {
        if call.read_only {
            return self.0.call(host, call).await;
        }
        let name = format!("statement {}", call.query_id.as_deref().unwrap_or_default());
        self.1.pass(&format!("before {name}")).await;
        if self.1.is_fatal(&format!("inside of {name}")) {
            die_inside_of(self.0.call(host, call.clone())).await;
        }
        let mut answer = self.0.call(host, call);
        let inside = format!("inside of {name}");
        let answer = match tokio::time::timeout(HEAD_START, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                self.1.stop_at(&inside);
                answer.await
            }
        };
        self.1.pass(&format!("after {name}")).await;
        answer
    }
}

struct TorturedKeeper(Arc<dyn Keeper>, Arc<Points>);

#[async_trait]
impl Keeper for TorturedKeeper {
    async fn get(&self, path: &str) -> Result<Option<KeeperNode>, KeeperError> {
        self.0.get(path).await
    }

    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, KeeperError> {
        self.0.children(path).await
    }

    async fn subtrees_without(&self, paths: &[String], skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError> {
        self.0.subtrees_without(paths, skips).await
    }

    async fn children_of(&self, paths: &[String], each: &mut EachChildren<'_>) -> Result<(), KeeperError> {
        self.0.children_of(paths, each).await
    }

    async fn delete(&self, path: &str, version: i32) -> Result<(), KeeperError> {
        self.1.pass(&format!("before removal of {path}")).await;
        let result = self.0.delete(path, version).await;
        self.1.pass(&format!("after removal of {path}")).await;
        result
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<(), KeeperError> {
        self.1.pass(&format!("before creation of {path}")).await;
        let result = self.0.create(path, value).await;
        self.1.pass(&format!("after creation of {path}")).await;
        result
    }

    async fn lock(&self, path: &str, holder: &LockHolder) -> Result<Box<dyn LockGuard>, KeeperError> {
        self.0.lock(path, holder).await
    }

    async fn remove_lock(&self, path: &str, holder: &LockHolder) -> Result<(), KeeperError> {
        self.0.remove_lock(path, holder).await
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

struct TorturedCommands(Arc<dyn Commands>, Arc<Points>);

#[async_trait]
impl Commands for TorturedCommands {
    async fn run(&self, command: Command) -> Result<CommandOutput, String> {
        let name = format!("command {}", command.words.first().map_or("", String::as_str));
        self.1.pass(&format!("before {name}")).await;
        if self.1.is_fatal(&format!("inside of {name}")) {
            die_inside_of(self.0.run(command.clone())).await;
        }
        let output = self.0.run(command).await;
        self.1.pass(&format!("after {name}")).await;
        output
    }

    fn mark(&self, name: &str) -> Result<PathBuf, String> {
        self.0.mark(name)
    }

    fn life(&self, mark: &Path) -> CommandLife {
        self.0.life(mark)
    }
}
