//! What the command line takes.

mod run;
mod state;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::run::{
    ApplyArgs, ApproveArgs, CancelArgs, PurgeArgs, ReportArgs, ResolveArgs, ResumeArgs, StatusArgs, UndoArgs,
};
pub use self::state::{PullArgs, PushArgs, RepairArgs, StateArgs, StateCommand, UnlockArgs};
use crate::diag::{Diagnostic, Diagnostics};

/// Declarative migration runbooks for ClickHouse: plan, apply, resume, verify.
#[derive(Debug, Parser)]
#[command(name = "clickferry", version, about, long_about = None, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// The environment: which servers and buckets stand behind the roles of the runbook
    #[arg(short, long, global = true, value_name = "FILE", env = "CLICKFERRY_ENVIRONMENT")]
    pub environment: Option<PathBuf>,
    /// A value for a parameter of the runbook; may be given several times
    #[arg(short, long = "param", global = true, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// How results are written to standard output
    #[arg(long = "format", global = true, value_enum, value_name = "FORMAT", default_value_t = View::Text)]
    pub view: View,
    /// The same for commands that know text and JSON only; filled in once the command is known.
    #[arg(skip)]
    pub format: Format,
    /// Whether colours are used
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// A state folder, instead of the state in the environment
    #[arg(long, global = true, value_name = "DIR", env = "CLICKFERRY_STATE")]
    pub state: Option<PathBuf>,
}

/// How results may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// For people
    Text,
    /// For programs; `clickferry schema` prints the schemas there are
    Json,
    /// For a pull request; of a plan or a report
    Markdown,
    /// For a browser, one file; of a plan or a report
    Html,
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; `clickferry schema` prints the schemas there are.
    Json,
}

impl Cli {
    /// Fills in the format.
    ///
    /// # Errors
    /// A view that only plans have, asked of another command.
    pub fn settled(mut self) -> Result<Self, Diagnostics> {
        let page = match self.common.view {
            View::Text => return Ok(self),
            View::Json => {
                self.common.format = Format::Json;
                return Ok(self);
            }
            View::Markdown => "markdown",
            View::Html => "html",
        };
        if matches!(self.command, Command::Plan(_) | Command::Report(_)) {
            return Ok(self);
        }
        Err(Diagnostic::new(
            "bad-format",
            format!("`--format {page}` is a view of a plan or a report, and this is neither `plan` nor `report`"),
        )
        .help(format!("use `--format text` or `--format json`, or `clickferry plan RUNBOOK -e ENV --format {page}`"))
        .into())
    }
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented runbook and an environment to start from
    Init(InitArgs),
    /// Check runbooks offline: syntax, keys, templates, references; every mistake in one go
    Validate(ValidateArgs),
    /// Show what is there: servers, databases, tables, rows
    Inspect(InspectArgs),
    /// Show every operation that an apply would do, with its statement, its loss and its check
    Plan(PlanArgs),
    /// Show how the servers differ from what a runbook would leave, per host and object
    Diff(DiffArgs),
    /// Execute a runbook, or a saved plan exactly as it was saved
    Apply(ApplyArgs),
    /// Sign a saved plan with an SSH key, for runbooks that ask for approvals
    Approve(ApproveArgs),
    /// Carry on with a run that stopped or was killed
    Resume(ResumeArgs),
    /// Stop a run from elsewhere, at its next safe point
    Cancel(CancelArgs),
    /// Take a run back, in reverse order, with a plan and a consent of its own
    Undo(UndoArgs),
    /// Drop databases that runs have set aside (`keep_old`) and whose time is over
    Purge(PurgeArgs),
    /// Say how an operation with an unknown outcome ended, so that `resume` can carry on
    Resolve(ResolveArgs),
    /// Show how far a run is
    Status(StatusArgs),
    /// Tell what a run did, when, on whose word, and what proves it: markdown, or one HTML file
    Report(ReportArgs),
    /// List the runs of the state
    Runs,
    /// Look at the state, copy and move runs between states, repair
    State(StateArgs),
    /// Show who holds the locks and whether they live; remove those of a holder that is gone
    Unlock(UnlockArgs),
    /// Only check: the verifying steps of a runbook
    Verify(VerifyArgs),
    /// Tell what a code means, how to see its cause, and what is safe to do
    Explain(ExplainArgs),
    /// Print a schema of the files, for editors
    Schema(SchemaArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man,
    /// The laboratory: a throwaway cluster on this machine (hands over to clickferry-lab)
    #[command(disable_help_flag = true)]
    Lab(LabArgs),
    /// Write or check the generated files of this repository
    #[command(hide = true)]
    Dev(DevArgs),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Which bundled runbook to start from
    #[arg(default_value = "standalone-to-replicated")]
    pub name: String,
    /// List the bundled runbooks instead
    #[arg(long)]
    pub list: bool,
    /// Folder to write to
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub into: PathBuf,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Runbooks (and environments) to check
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Only these targets of the environment
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Save what is there as a snapshot, to plan against without a connection
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Look at everything that this runbook needs to be planned
    #[arg(long = "for", value_name = "RUNBOOK", requires = "output", conflicts_with = "targets")]
    pub runbook: Option<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A runbook (YAML); or a plan saved with `-o` (JSON), which is shown as it is, without any connection
    #[arg(value_name = "RUNBOOK|PLAN")]
    pub what: PathBuf,
    /// Save the plan, to be reviewed and applied later
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Leave the statements out
    #[arg(long)]
    pub summary: bool,
    /// Plan against a snapshot taken with `inspect -o`: no server is contacted, no secret is read
    #[arg(long, value_name = "SNAPSHOT")]
    pub against: Option<PathBuf>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The runbook
    pub runbook: PathBuf,
    /// Compare with a snapshot taken with `inspect -o`: no server is contacted, no secret is read
    #[arg(long, value_name = "SNAPSHOT")]
    pub against: Option<PathBuf>,
    /// Show every object, not only groups of objects that change alike
    #[arg(long)]
    pub full: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code of ClickHouse (608, CANNOT_RESTORE_TABLE), of clickferry (unknown-key), or an exit code (exit-3);
    /// all codes are listed when absent
    pub code: Option<String>,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The runbook
    pub runbook: PathBuf,
    /// The run whose backup the rows are compared with; the latest run of the runbook when absent
    #[arg(long)]
    pub run: Option<String>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which file the schema is for
    #[arg(value_enum, default_value_t = SchemaOf::Runbook)]
    pub of: SchemaOf,
}

/// Files with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// kind: Runbook
    Runbook,
    /// kind: Environment
    Environment,
    /// What `diff --format json` prints
    Diff,
    /// A plan, as `plan -o` saves it and `plan --format json` prints it
    Plan,
    /// A line of `apply --format json` and `resume --format json`
    Event,
    /// What `report --format json` prints
    Report,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `lab`.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Handed over as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<std::ffi::OsString>,
}

/// Arguments of `dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Root of the repository
    #[arg(default_value = ".")]
    pub root: PathBuf,
    /// Only say which generated files are not up to date
    #[arg(long)]
    pub check: bool,
}
