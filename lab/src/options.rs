//! What a laboratory is made of.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Where the ClickHouse of the nodes comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// ClickHouse 26.7 as a library (libchdb) with an HTTP interface of our own.
    #[default]
    Embedded,
    /// A `clickhouse-server` or `clickhouse` binary found on this machine.
    Server,
}

impl Engine {
    /// The word used on the command line and in files.
    pub fn word(self) -> &'static str {
        match self {
            Engine::Embedded => "embedded",
            Engine::Server => "server",
        }
    }
}

/// Size and kind of a laboratory.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Size {
    /// Replicas of every shard
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub replicas: u16,
    /// Shards of the cluster
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    pub shards: u16,
    /// Which ClickHouse the nodes run
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
}

impl Default for Size {
    fn default() -> Size {
        Size { replicas: 2, shards: 1, engine: Engine::Embedded }
    }
}

/// Parts that lie elsewhere than the laboratory looks by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct PartPaths {
    /// Path of libchdb.so, the engine of the nodes
    #[arg(long, value_name = "PATH", env = "CLICKFERRY_LAB_LIBRARY")]
    pub library: Option<PathBuf>,
    /// Path of the clickhouse-server or clickhouse binary for `--engine server`
    #[arg(long, value_name = "PATH", env = "CLICKFERRY_LAB_SERVER")]
    pub server: Option<PathBuf>,
    /// Path of the java binary that runs Keeper (Apache ZooKeeper)
    #[arg(long, value_name = "PATH", env = "CLICKFERRY_LAB_JAVA")]
    pub java: Option<PathBuf>,
    /// Java class path with ZooKeeper and what it needs
    #[arg(long, value_name = "CLASSPATH", env = "CLICKFERRY_LAB_ZOOKEEPER_CLASSPATH")]
    pub zookeeper_classpath: Option<String>,
}

impl PartPaths {
    /// The same choice as arguments, for a supervisor in another process.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let paths = [("--library", &self.library), ("--server", &self.server), ("--java", &self.java)];
        let mut arguments = Vec::new();
        for (flag, path) in paths {
            if let Some(path) = path {
                arguments.extend([flag.into(), path.into()]);
            }
        }
        if let Some(classpath) = &self.zookeeper_classpath {
            arguments.extend(["--zookeeper-classpath".into(), classpath.into()]);
        }
        arguments
    }
}

/// How a test or a program wants its laboratory, see [`crate::Lab::start`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replicas, shards, engine.
    pub size: Size,
    /// Folder; a fresh one under the system's temporary folder when absent.
    pub dir: Option<PathBuf>,
    /// Parts that lie elsewhere.
    pub parts: PartPaths,
    /// The `clickferry-lab` binary; looked for beside the running program when absent.
    pub binary: Option<PathBuf>,
}

impl Options {
    /// A laboratory of this many replicas in one shard.
    pub fn replicas(replicas: u16) -> Options {
        Options { size: Size { replicas, ..Size::default() }, ..Options::default() }
    }
}
