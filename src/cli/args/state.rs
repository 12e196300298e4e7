//! Arguments of `state` and `unlock`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Arguments of `state`.
#[derive(Debug, Args)]
pub struct StateArgs {
    /// What to do with the state
    #[command(subcommand)]
    pub command: StateCommand,
}

/// The commands of `state`.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the runs with their sizes, where each lives, and who holds the lock
    Ls,
    /// Copy a run out of the state, to look at; it stays where it lives
    Pull(PullArgs),
    /// Move runs into the state: from now on they are carried on there, and no longer where they were
    Push(PushArgs),
    /// Look at a run for damage; cut a torn last record off when told so
    Repair(RepairArgs),
}

/// Arguments of `state pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// The run
    pub run: String,
    /// A state folder to copy it into, or a file ending with .json to copy it into as a whole
    #[arg(value_name = "DIR|FILE.json")]
    pub to: PathBuf,
}

/// Arguments of `state push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// A state folder (the one that holds `runs`), an environment whose state it is, or a file made by `state pull`
    #[arg(value_name = "DIR|ENVIRONMENT.yaml|FILE.json")]
    pub from: PathBuf,
    /// Only this run; may be given several times. All runs when absent
    #[arg(long, value_name = "RUN")]
    pub run: Vec<String>,
    /// For a copy whose run lives at a place that is gone for good: that place, as the refusal names it
    #[arg(long, value_name = "PLACE")]
    pub instead_of: Option<String>,
}

/// Arguments of `state repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The run
    pub run: String,
    /// Cut the torn last record off, which has so many bytes
    #[arg(long, value_name = "BYTES")]
    pub cut_torn: Option<u64>,
}

/// Arguments of `unlock`.
#[derive(Debug, Args)]
pub struct UnlockArgs {
    /// Only this target of the environment, and the state; all of them when absent
    pub target: Option<String>,
    /// Consent to removing the locks of exactly this run, after reading the evidence
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
}
