//! The supervisor process of a [`Lab`](super::Lab), bound to this process by a pipe.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::launch;
use crate::layout::Layout;
use crate::options::{PartPaths, Size};
use crate::teardown;

/// How long the supervisor may take to remove everything after the pipe was closed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The child, and what it must have removed when it is gone.
#[derive(Debug)]
pub struct Supervisor {
    child: Mutex<Child>,
    layout: Layout,
}

impl Supervisor {
    /// Starts it; returns when everything serves.
    pub fn start(binary: &Path, layout: &Layout, size: &Size, parts: &PartPaths) -> Result<Supervisor, LabError> {
        let child = launch::bound(binary, layout, size, parts)?;
        Ok(Supervisor { child: Mutex::new(child), layout: layout.clone() })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let Ok(child) = self.child.get_mut() else {
            return;
        };
        drop(child.stdin.take());
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        // After a supervisor that was killed, or that hangs, the folder tells what is left.
        let _ = teardown::down(&self.layout);
        let _ = child.wait();
    }
}

/// The binary: as told, or by the environment, or beside the running program.
pub fn find_binary(told: Option<&Path>) -> Result<PathBuf, LabError> {
    if let Some(path) = told {
        return Ok(path.to_path_buf());
    }
    if let Some(path) = env::var_os("CLICKFERRY_LAB_BIN") {
        return Ok(path.into());
    }
    let program = env::current_exe().map_err(LabError::io("find", Path::new("/proc/self/exe")))?;
    beside(&program).ok_or_else(|| {
        LabError::Invalid(format!(
            "expected the program `clickferry-lab` near `{}`, there is none\n  help: `cargo build -p clickferry-lab` builds it; \
             CLICKFERRY_LAB_BIN names one that lies elsewhere",
            program.display()
        ))
    })
}

/// Programs lie in `target/debug`, tests and examples one folder below.
fn beside(program: &Path) -> Option<PathBuf> {
    program.ancestors().skip(1).take(2).map(|folder| folder.join("clickferry-lab")).find(|path| path.is_file())
}

/// How folders under the temporary folder begin.
const PREFIX: &str = "clickferry-lab-";

/// The folder asked for, or a fresh one under the temporary folder.
pub fn folder(told: Option<&Path>) -> Result<PathBuf, LabError> {
    let root = env::temp_dir();
    match told {
        Some(dir) => std::path::absolute(dir).map_err(LabError::io("find", dir)),
        None => {
            remove_dead(&root);
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&root);
            dir.map(tempfile::TempDir::keep).map_err(LabError::io("create a folder in", &root))
        }
    }
}

/// Removes laboratories whose supervisor was killed together with the program that held them.
fn remove_dead(root: &Path) {
    let Ok(entries) = std::fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // A living one refuses, and one of another user cannot be touched; both are left alone.
            let _ = teardown::clean_dead(&Layout::new(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_found_beside_programs_and_tests() {
        let dir = tempfile::tempdir().unwrap();
        let binary = dir.path().join("clickferry-lab");
        assert_eq!(beside(&dir.path().join("deps/test-1")), None);
        std::fs::write(&binary, "").unwrap();
        assert_eq!(beside(&dir.path().join("deps/test-1")), Some(binary.clone()));
        assert_eq!(beside(&dir.path().join("program")), Some(binary));
    }

    #[test]
    fn a_dead_laboratory_is_removed_and_a_foreign_folder_stays() {
        let root = tempfile::tempdir().unwrap();
        let [dead, foreign] = ["clickferry-lab-dead", "clickferry-lab-foreign"].map(|name| root.path().join(name));
        for dir in [&dead, &foreign] {
            std::fs::create_dir_all(dir.join("nodes/standalone")).unwrap();
        }
        let record = r#"{"version":1,"engine":"server","supervisor":{"pid":1,"started":1},"nodes":[],
            "keeper":{"port":1,"process":null},"s3_port":1}"#;
        std::fs::write(dead.join("lab.json"), record).unwrap();
        remove_dead(root.path());
        assert!(!dead.exists() && foreign.exists());
    }

    #[test]
    fn a_fresh_folder_is_absolute() {
        let dir = folder(None).unwrap();
        assert!(dir.is_absolute() && dir.is_dir());
        std::fs::remove_dir(dir).unwrap();
    }
}
