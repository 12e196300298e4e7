//! Local commands, for the action `run` and for probes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

/// A command to start. Secrets travel in its environment, never in its words.
#[derive(Clone, Debug, Default)]
pub struct Command {
    /// Program and arguments; no shell is put between.
    pub words: Vec<String>,
    /// Variables added to the environment.
    pub environment: Vec<(String, SecretString)>,
    /// Variables of this process that it does not get.
    pub without: Vec<String>,
    /// What [`Commands::mark`] returned: tells whoever carries on whether it still runs.
    pub mark: Option<PathBuf>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// What the command reads from its standard input.
    pub input: Option<String>,
    /// After this long the command is killed with its whole process group.
    pub timeout: Duration,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    /// Exit code; `None` when a signal ended it or the time ran out.
    pub code: Option<i32>,
    /// Standard output, at most the last 64 KiB.
    pub stdout: String,
    /// Standard error, at most the last 64 KiB.
    pub stderr: String,
    /// Whether the time ran out.
    pub timed_out: bool,
}

/// Whether a command that was started with a mark still runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLife {
    /// It does, or something that it started does; as people find it.
    Running(String),
    /// It ended, or it never began.
    Ended,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Starts local commands.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Starts a command and waits for its end.
    ///
    /// # Errors
    /// The operating system's reason when it could not be started at all.
    async fn run(&self, command: Command) -> Result<CommandOutput, String>;

    /// Makes the mark of a command that is about to be started: a file of this machine, which the command holds locked
    /// for as long as it lives, whatever becomes of this process.
    ///
    /// # Errors
    /// The operating system's reason.
    fn mark(&self, name: &str) -> Result<PathBuf, String>;

    /// Whether the command behind a mark of this machine still runs. Only reads.
    fn life(&self, mark: &Path) -> CommandLife;
}
