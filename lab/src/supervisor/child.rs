//! One process of the laboratory and its life.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::recipe::{Readiness, Recipe};
use crate::error::LabError;
use crate::files;
use crate::process::{self, ProcessId};

/// A recipe and the process made from it, while there is one.
#[derive(Debug)]
pub struct Service {
    recipe: Recipe,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    id: ProcessId,
    line: Arc<AtomicBool>,
}

impl Service {
    /// A service that does not run yet.
    pub fn new(recipe: Recipe) -> Service {
        Service { recipe, running: None }
    }

    /// Name of the node, or `keeper`.
    pub fn name(&self) -> &str {
        &self.recipe.name
    }

    /// The process, while there is one.
    pub fn id(&self) -> Option<ProcessId> {
        self.running.as_ref().map(|running| running.id)
    }

    /// Starts the process. Call it from the thread that lives as long as the laboratory.
    pub fn spawn(&mut self) -> Result<(), LabError> {
        let recipe = &self.recipe;
        let log =
            File::options().create(true).append(true).open(&recipe.log).map_err(LabError::io("write", &recipe.log))?;
        let copy = || log.try_clone().map_err(LabError::io("write", &recipe.log));
        let output = match recipe.readiness {
            Readiness::Line => Stdio::piped(),
            Readiness::Server { .. } | Readiness::Keeper(_) => copy()?.into(),
        };
        let mut command = Command::new(&recipe.program);
        command.args(&recipe.arguments).envs(recipe.environment.iter().copied()).current_dir(&recipe.dir);
        command.stdin(Stdio::null()).stdout(output).stderr(copy()?);
        process::die_with_parent(&mut command);
        let mut child = command.spawn().map_err(LabError::io("start", &recipe.program))?;
        let line = Arc::new(AtomicBool::new(false));
        if let Some(output) = child.stdout.take() {
            let seen = Arc::clone(&line);
            std::thread::spawn(move || watch(output, log, &seen));
        }
        // The child is not waited for yet, so its number cannot have been reused.
        let id = i32::try_from(child.id()).ok().and_then(ProcessId::of);
        let id = id.ok_or_else(|| self.failure("it was gone as soon as it was started"))?;
        self.running = Some(Running { child, id, line });
        Ok(())
    }

    /// Whether it serves.
    pub fn is_ready(&self) -> bool {
        self.running.as_ref().is_some_and(|running| self.recipe.readiness.reached(running.id.pid, &running.line))
    }

    /// Takes note of a process that has ended; says how it ended.
    pub fn reap(&mut self) -> Option<String> {
        let status = self.running.as_mut()?.child.try_wait().ok()??;
        self.running = None;
        Some(status.to_string())
    }

    /// Sends a signal; an error when there is no process.
    pub fn signal(&self, signal: i32) -> Result<(), LabError> {
        let Some(running) = &self.running else {
            return Err(
                self.failure(&format!("it does not run\n  help: `clickferry-lab start {}` starts it", self.name()))
            );
        };
        let sent = running.id.signal(signal).map_err(|e| self.failure(&format!("no signal could be sent: {e}")))?;
        if sent { Ok(()) } else { Err(self.failure("it has just ended")) }
    }

    /// Ends the process at once and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            // An error means that it is gone already.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }

    /// An error about this process, with the end of its output.
    pub fn failure(&self, what: &str) -> LabError {
        LabError::Process { name: self.name().to_owned(), what: what.to_owned(), log: String::new() }
    }

    /// The same with the last lines of its output.
    pub fn failure_with_log(&self, what: &str) -> LabError {
        let log = files::tail(&self.recipe.log, 15);
        LabError::Process { name: self.name().to_owned(), what: what.to_owned(), log }
    }
}

/// Copies the output to the log until its end, and notices the line `ready`.
fn watch(output: ChildStdout, mut log: File, seen: &AtomicBool) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { return };
        if line.trim() == "ready" {
            seen.store(true, Ordering::Release);
        }
        // A full disk must not stop the node.
        let _ = writeln!(log, "{line}");
    }
}
