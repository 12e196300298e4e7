//! Arguments of the commands that make a run, or do something with one.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// A runbook (YAML), or a plan saved with `plan -o` (JSON)
    #[arg(value_name = "RUNBOOK|PLAN")]
    pub what: PathBuf,
    /// Consent to exactly the plan with this digest (its first 12 characters or more); for a protected environment
    /// `NAME:DIGEST`, with the environment's name
    #[arg(long, value_name = "DIGEST")]
    pub consent: Option<String>,
    /// A signature made by `clickferry approve`; may be given several times. All `PLAN.*.sig` beside a saved plan
    /// when absent
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
    /// Leave the statements out of the plan that is shown first
    #[arg(long)]
    pub summary: bool,
    /// Go past this step, which the runbook marks as the point of no return, without asking at the terminal
    #[arg(long, value_name = "STEP")]
    pub no_return: Vec<String>,
}

/// Arguments of `approve`.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// A plan saved with `plan -o`, after reading it
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The SSH key to sign with; the public one, where an agent holds the private one
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Your name, for the name of the signature's file; who signed is told by the key. User and host when absent
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// Where the signature is written; PLAN.<identity>.sig when absent
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run; the latest one that is not over when absent
    pub run: Option<String>,
    /// Do again what a finished operation promised and no longer holds, and the checks behind it; never what destroys
    #[arg(long)]
    pub redo: bool,
    /// Go past this step, which the runbook marks as the point of no return, without asking at the terminal
    #[arg(long, value_name = "STEP")]
    pub no_return: Vec<String>,
}

/// Arguments of `resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The run
    pub run: String,
    /// The operation, as `clickferry status` shows it
    pub operation: String,
    /// It took effect; accepted only when its post-condition holds
    #[arg(long, conflicts_with = "not_done", required_unless_present = "not_done")]
    pub done: bool,
    /// It took no effect; accepted only when nothing says that it did
    #[arg(long)]
    pub not_done: bool,
    /// Why you are sure; kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Arguments of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run
    pub run: String,
    /// Also stop BACKUPs and RESTOREs that are running, with KILL QUERY, instead of waiting for them
    #[arg(long)]
    pub kill: bool,
    /// Why; kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not wait until the engine has stopped
    #[arg(long)]
    pub no_wait: bool,
}

/// Arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run
    pub run: String,
    /// Take back only this step and those after it
    #[arg(long, value_name = "STEP")]
    pub to: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Save the plan of the undo, to be reviewed and signed
    #[arg(short, long, value_name = "FILE", requires = "dry_run")]
    pub output: Option<PathBuf>,
    /// Consent to exactly the plan with this digest (its first 12 characters or more); for a protected environment
    /// `NAME:DIGEST`, with the environment's name
    #[arg(long, value_name = "DIGEST")]
    pub consent: Option<String>,
    /// A signature over the saved plan, made by `clickferry approve`; may be given several times
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
    /// Leave the statements out
    #[arg(long)]
    pub summary: bool,
}

/// Arguments of `purge`.
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// Those of this run, also before their time is over
    pub run: Option<String>,
    /// Only list what is kept, and until when
    #[arg(long)]
    pub list: bool,
    /// Only show what would be dropped
    #[arg(long)]
    pub dry_run: bool,
    /// Save the plan of the purge, to be reviewed and signed
    #[arg(short, long, value_name = "FILE", requires = "dry_run")]
    pub output: Option<PathBuf>,
    /// Consent to exactly the plan with this digest (its first 12 characters or more); for a protected environment
    /// `NAME:DIGEST`, with the environment's name
    #[arg(long, value_name = "DIGEST")]
    pub consent: Option<String>,
    /// A signature over the saved plan, made by `clickferry approve`; may be given several times
    #[arg(long, value_name = "FILE")]
    pub approval: Vec<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run; the latest one when absent
    pub run: Option<String>,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run; the latest one when absent
    pub run: Option<String>,
}
