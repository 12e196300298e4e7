//! An engine that runs beside the test, and the journal it writes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clickferry::engine::journal::{Entry, Journal, OutcomeKind, Record, read_journal};

use super::Output;
use super::lab::{PATIENCE, wait_until};
use super::scene::Scene;

/// A running engine; killed when the test forgets it.
pub struct Engine {
    child: Child,
    folder: PathBuf,
    runs: PathBuf,
    runs_before: usize,
}

impl Engine {
    /// Starts the binary; nothing secret stands in its command line.
    pub fn start(scene: &Scene, arguments: &[&str]) -> Self {
        Self::spawn(scene, scene.test.command(arguments))
    }

    /// Starts a command that ends in the binary.
    pub fn spawn(scene: &Scene, mut command: Command) -> Self {
        let folder = scene.test.path().to_path_buf();
        let file = |name: &str| Stdio::from(File::create(folder.join(name)).unwrap());
        let runs_before = scene.runs().len();
        let child = command.stdout(file("engine.out")).stderr(file("engine.err")).spawn().unwrap();
        let line = std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap();
        scene.holds_no_secret("the command line", &String::from_utf8_lossy(&line));
        Self { child, folder, runs: scene.state().join("runs"), runs_before }
    }

    /// Waits until the journal of its run holds enough; `false` where the engine ended before.
    pub fn reaches(&mut self, enough: impl Fn(&[Record]) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            if enough(&records(&self.runs, self.runs_before)) {
                return !ended;
            }
            if ended {
                return false;
            }
            assert!(Instant::now() < end, "the engine did not come so far:\n{}", self.output(None));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// SIGKILL, whatever it is doing.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent =
            std::process::Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until the process is stopped, as by SIGSTOP.
    pub fn is_stopped(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        wait_until("the process to stop", || {
            std::fs::read_to_string(&stat).is_ok_and(|text| text.rsplit(')').next().unwrap().trim().starts_with('T'))
        });
    }

    /// Waits until it has written something to standard error.
    pub fn has_told(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.output(None).stderr.contains(text) {
            assert!(Instant::now() < end, "the engine does not tell of `{text}`:\n{}", self.output(None));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end.
    pub fn end(mut self, scene: &Scene) -> Output {
        let end = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < end, "the engine does not end:\n{}", self.output(None));
            std::thread::sleep(Duration::from_millis(2));
        };
        let output = self.output(code);
        scene.holds_no_secret("the output", &output.to_string());
        output
    }

    fn output(&self, code: Option<i32>) -> Output {
        let text = |name: &str| std::fs::read_to_string(self.folder.join(name)).unwrap();
        Output { code, stdout: text("engine.out"), stderr: text("engine.err") }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The records of the run that comes after so many others; none where it has not begun.
fn records(runs: &Path, after: usize) -> Vec<Record> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let Some(folder) = folders.get(after) else { return Vec::new() };
    journal_text(folder).and_then(|bytes| read_journal(&bytes, "").ok()).unwrap_or_default().records
}

/// The journal of a run, in a folder or as the laboratory keeps it for a bucket.
pub fn journal(run: &Path) -> Journal {
    read_journal(&journal_text(run).unwrap(), "").unwrap()
}

/// One file, or one object for each record and perhaps a fence behind them.
fn journal_text(run: &Path) -> Option<Vec<u8>> {
    if let Ok(text) = std::fs::read(run.join("journal.jsonl")) {
        return Some(text);
    }
    let entries = std::fs::read_dir(run.join("journal")).ok()?;
    let mut objects: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    objects.sort();
    let contents = objects.iter().filter_map(|object| std::fs::read(object).ok());
    Some(contents.filter(|content| !content.starts_with(b"{\"fence\"")).flatten().collect())
}

/// Whether an operation whose id begins so has an intent.
pub fn has_intent(records: &[Record], operation: &str) -> bool {
    records.iter().any(
        |record| matches!(&record.entry, Entry::Intent { operation: id, .. } if id.as_str().starts_with(operation)),
    )
}

/// Whether an operation whose id begins so is done.
pub fn is_done(records: &[Record], operation: &str) -> bool {
    let done = |record: &Record| matches!(&record.entry, Entry::Outcome { operation: id, kind: OutcomeKind::Done, .. } if id.as_str().starts_with(operation));
    records.iter().any(done)
}
