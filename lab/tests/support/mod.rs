//! Runs the program and looks at processes and folders.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A folder for one laboratory; what a failed test leaves there is ended and removed.
pub struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    pub fn new() -> Folder {
        Folder { root: tempfile::tempdir().unwrap() }
    }

    /// Longer than a socket address may be, to see that this is no obstacle.
    pub fn path(&self) -> &Path {
        static NAME: &str =
            "a-laboratory-in-a-folder-whose-path-is-longer-than-a-unix-socket-address-is-allowed-to-be-on-linux";
        // Leaked once per folder of a test, so that the path can be borrowed.
        Box::leak(self.root.path().join(NAME).into_boxed_path())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.path().join("lab.json").exists() {
            let _ = lab(self, &["down"]);
        }
    }
}

/// The program under test.
pub fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_clickferry-lab").into()
}

/// Runs one command in the folder.
pub fn lab(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).arg("--dir").arg(folder.path()).output().unwrap()
}

/// A command that must succeed; its standard output.
pub fn ok(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A supervisor that lives as long as the pipe to it.
pub fn bound(folder: &Folder) -> Child {
    let mut command = Command::new(binary());
    command.args(["supervise", "--engine", "server", "--bound", "--dir"]).arg(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// The report of `status`.
pub fn status(folder: &Folder) -> serde_json::Value {
    serde_json::from_str(&ok(lab(folder, &["status", "--format", "json"]))).unwrap()
}

/// Every process in a report.
pub fn pids(report: &serde_json::Value) -> Vec<i64> {
    let nodes = report["nodes"].as_array().unwrap().iter().map(|node| &node["pid"]);
    nodes.chain([&report["keeper"]["pid"], &report["supervisor"]]).filter_map(serde_json::Value::as_i64).collect()
}

/// Whether a process runs; a zombie does not.
pub fn alive(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Arguments of a process.
pub fn command_line(pid: i64) -> String {
    let raw = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&raw).replace('\0', " ")
}

/// Processes whose arguments name a folder.
pub fn processes_in(folder: &Path) -> Vec<i64> {
    let folder = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| command_line(*pid).contains(&folder)).collect()
}

/// SIGKILL.
pub fn kill_9(pid: i64) {
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

/// Waits up to 20 seconds for something.
pub fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !reached() {
        assert!(Instant::now() < end, "expected in 20 seconds: {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}
