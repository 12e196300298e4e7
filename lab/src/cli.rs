//! The command line of `clickferry-lab`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::options::{Engine, PartPaths, Size};
use crate::s3::faults::{FaultKind, S3Fault, parse_delay};

/// A throwaway ClickHouse cluster of real parts on this machine: one standalone node, a replicated
/// cluster with Keeper, and an S3 endpoint
#[derive(Debug, Parser)]
#[command(name = "clickferry-lab", version, arg_required_else_help = true)]
pub struct Cli {
    /// Folder of the laboratory; `up` makes it and `down` removes it
    #[arg(long, global = true, value_name = "DIR", env = "CLICKFERRY_LAB_DIR", default_value = ".lab")]
    pub dir: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done with a laboratory.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a laboratory; it ends with Ctrl-C, or with `down` when detached
    Up {
        #[command(flatten)]
        size: Size,
        #[command(flatten)]
        parts: PartPaths,
        /// Return when everything serves, and leave it running
        #[arg(long, short)]
        detach: bool,
    },
    /// Show nodes, Keeper, S3 and their state
    Status {
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Fill a node with a data set
    Seed {
        #[command(subcommand)]
        dataset: Dataset,
    },
    /// Send a statement to one node and print its answer as tab-separated values
    Query {
        /// `standalone`, `replica1`, ..., `shard2-replica1`
        node: String,
        /// The statement
        sql: String,
    },
    /// End a node or Keeper at once (SIGKILL)
    Kill(Node),
    /// Freeze a node or Keeper (SIGSTOP)
    Pause(Node),
    /// Let a frozen node or Keeper go on (SIGCONT)
    Resume(Node),
    /// Start a node or Keeper that was killed or stopped, on its old data
    Start(Node),
    /// End a node or Keeper in good order (SIGTERM)
    Stop(Node),
    /// Make S3 or Keeper fail
    Fault {
        #[command(subcommand)]
        target: FaultTarget,
    },
    /// End the laboratory, also a killed one, and remove its folder
    Down,
    /// Fetch the parts that this machine lacks, with its own package clients
    Install {
        /// For which engine
        #[arg(long, value_enum, default_value_t)]
        engine: Engine,
        #[command(flatten)]
        parts: PartPaths,
    },
    /// Run one embedded node; the laboratory calls this
    #[command(hide = true)]
    Node {
        /// Configuration of the node
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Run a laboratory in the background; `up --detach` calls this
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        size: Size,
        #[command(flatten)]
        parts: PartPaths,
        /// End when standard input ends
        #[arg(long)]
        bound: bool,
    },
}

/// A node by its name.
#[derive(Clone, Debug, Args)]
pub struct Node {
    /// `standalone`, `replica1`, ..., `shard2-replica1`, or `keeper`
    pub node: String,
}

/// How to show a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// A data set.
#[derive(Clone, Debug, Subcommand)]
pub enum Dataset {
    /// Like the database of a tracing product: runs, feedback, views, a dictionary, migrations
    Tracing(Tracing),
}

/// Settings of the tracing data set.
#[derive(Clone, Debug, Args)]
pub struct Tracing {
    /// Rows over the main tables together
    #[arg(long, default_value_t = 2_000_000)]
    pub rows: u64,
    /// Database to fill
    #[arg(long, default_value = "default")]
    pub database: String,
    /// Node to fill
    #[arg(long, default_value = "standalone")]
    pub node: String,
    /// The same seed makes the same data
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Leave the newest migration dirty, as one that broke in the middle does
    #[arg(long)]
    pub dirty: bool,
}

/// What shall fail.
#[derive(Debug, Subcommand)]
pub enum FaultTarget {
    /// The S3 endpoint
    #[command(subcommand_negates_reqs = true)]
    S3(S3Args),
    /// Keeper
    Keeper {
        /// Whether it is frozen or goes on
        #[arg(value_enum)]
        action: KeeperAction,
    },
}

/// A fault of Keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeeperAction {
    /// Freeze it: sessions expire
    Pause,
    /// Let it go on
    Resume,
}

/// A fault of the S3 endpoint.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct S3Args {
    #[command(flatten)]
    kind: KindArgs,
    /// For this many requests; until `fault s3 off` otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    times: Option<u32>,
    /// Let this many requests pass first
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u32,
    /// Only requests of this method, like PUT
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only requests whose path holds this text, like state/lock
    #[arg(long, value_name = "TEXT")]
    path: Option<String>,
    #[command(subcommand)]
    off: Option<S3Off>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct KindArgs {
    /// Answer with this HTTP status, like 403 or 503
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(400..=599))]
    status: Option<u16>,
    /// Answer late, like 500ms or 2s
    #[arg(long, value_name = "TIME", value_parser = parse_delay)]
    delay: Option<Duration>,
    /// Cut the connection without an answer
    #[arg(long)]
    cut: bool,
    /// Carry the request out, and cut the connection instead of an answer
    #[arg(long)]
    lose_answer: bool,
    /// Take `If-Match` and `If-None-Match` of writes without honouring them, as some stores do
    #[arg(long)]
    ignore_conditions: bool,
}

#[derive(Debug, Subcommand)]
enum S3Off {
    /// Switch the fault off
    Off,
}

impl S3Args {
    /// The fault asked for; `None` switches it off.
    pub fn fault(&self) -> Option<S3Fault> {
        if self.off.is_some() {
            return None;
        }
        let delay = |d: Duration| FaultKind::DelayMs(u64::try_from(d.as_millis()).unwrap_or(u64::MAX));
        let kind = match &self.kind {
            KindArgs { status: Some(status), .. } => FaultKind::Status(*status),
            KindArgs { delay: Some(time), .. } => delay(*time),
            KindArgs { lose_answer: true, .. } => FaultKind::LoseAnswer,
            KindArgs { ignore_conditions: true, .. } => FaultKind::IgnoreConditions,
            KindArgs { .. } => FaultKind::Cut,
        };
        let method = self.method.as_deref().map(str::to_ascii_uppercase);
        Some(S3Fault { kind, times: self.times, after: self.after, method, path: self.path.clone() })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn fault(line: &str) -> Result<Option<S3Fault>, clap::Error> {
        let words = ["clickferry-lab", "fault", "s3"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words)?.command {
            Command::Fault { target: FaultTarget::S3(args) } => Ok(args.fault()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn faults_are_read_as_documented() {
        assert_eq!(fault("off").unwrap(), None);
        assert_eq!(fault("--cut").unwrap(), Some(S3Fault::new(FaultKind::Cut)));
        assert_eq!(fault("--status 503 --times 2").unwrap(), Some(S3Fault::new(FaultKind::Status(503)).times(2)));
        assert_eq!(
            fault("--delay 2s --method put").unwrap(),
            Some(S3Fault::new(FaultKind::DelayMs(2000)).method("PUT"))
        );
        assert_eq!(
            fault("--lose-answer --path state/lock").unwrap(),
            Some(S3Fault::new(FaultKind::LoseAnswer).path("state/lock"))
        );
        assert_eq!(fault("--ignore-conditions").unwrap(), Some(S3Fault::new(FaultKind::IgnoreConditions)));
        assert!(fault("").is_err() && fault("--status 200").is_err() && fault("--cut --status 503").is_err());
    }
}
