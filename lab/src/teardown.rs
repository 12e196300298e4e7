//! Ends what a laboratory left behind and removes its folder.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::control::{self, Request};
use crate::error::LabError;
use crate::layout::Layout;
use crate::process::ProcessId;
use crate::state::{Claim, LabState, claim, is_vacant};

/// How long a supervisor may take to end everything before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What `down` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A living laboratory was ended.
    Living,
    /// The rest of a killed one was removed.
    Dead,
    /// There was none.
    Nothing,
}

/// Ends the laboratory of a folder, living or dead, and removes the folder.
pub fn down(layout: &Layout) -> Result<Ended, LabError> {
    let Some(state) = LabState::read(layout)? else {
        return match is_vacant(layout.dir())? {
            true => Ok(Ended::Nothing),
            false => Err(LabError::NotALaboratory { dir: layout.dir().to_path_buf() }),
        };
    };
    if matches!(claim(layout)?, Claim::Ours(_)) {
        clean_dead(layout)?;
        return Ok(Ended::Dead);
    }
    // A supervisor that does not answer is ended the hard way below, so an error here changes nothing.
    let _ = control::ask(layout, &Request::Down);
    if !wait_gone(&[state.supervisor], PATIENCE) {
        kill(&[state.supervisor], layout)?;
    }
    clean_dead(layout)?;
    Ok(Ended::Living)
}

/// Cleans up after a killed laboratory; refuses a living one, and does nothing where there is none.
pub fn clean_dead(layout: &Layout) -> Result<(), LabError> {
    let Some(state) = LabState::read(layout)? else {
        return Ok(());
    };
    let Claim::Ours(_lock) = claim(layout)? else {
        return Err(LabError::AlreadyRunning { dir: layout.dir().to_path_buf() });
    };
    // The supervisor is among them, but it cannot live: it would hold the lock.
    kill(&state.processes(), layout)?;
    remove_folder(layout)
}

fn kill(processes: &[ProcessId], layout: &Layout) -> Result<(), LabError> {
    for process in processes {
        process.signal(libc::SIGKILL).map_err(LabError::io("end a process of", layout.dir()))?;
    }
    if wait_gone(processes, PATIENCE) {
        return Ok(());
    }
    let left: Vec<String> = processes.iter().filter(|p| p.is_alive()).map(|p| p.pid.to_string()).collect();
    Err(LabError::Process {
        name: "laboratory".to_owned(),
        what: format!("expected its processes to end, these are still there: {}", left.join(", ")),
        log: String::new(),
    })
}

fn wait_gone(processes: &[ProcessId], patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while processes.iter().any(|process| process.is_alive()) {
        if Instant::now() > end {
            return false;
        }
        sleep(Duration::from_millis(10));
    }
    true
}

/// Removes the folder and all in it; one that is gone already is fine.
///
/// The record goes last, so that a removal that was cut short is still known as a laboratory.
pub fn remove_folder(layout: &Layout) -> Result<(), LabError> {
    let dir = layout.dir();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(LabError::io("read", dir)(e)),
    };
    let record = layout.state();
    for entry in entries {
        let entry = entry.map_err(LabError::io("read", dir))?;
        let path = entry.path();
        if path == record {
            continue;
        }
        let is_dir = entry.file_type().map_err(LabError::io("read", &path))?.is_dir();
        let removed = if is_dir { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        absent_is_fine(removed).map_err(LabError::io("remove", &path))?;
    }
    absent_is_fine(fs::remove_file(&record)).map_err(LabError::io("remove", &record))?;
    absent_is_fine(fs::remove_dir(dir)).map_err(LabError::io("remove", dir))
}

fn absent_is_fine(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_somebody_else_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "years").unwrap();
        let error = down(&Layout::new(dir.path())).unwrap_err();
        assert!(matches!(error, LabError::NotALaboratory { .. }), "{error}");
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn nothing_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(down(&Layout::new(dir.path().join("none"))).unwrap(), Ended::Nothing);
    }
}
