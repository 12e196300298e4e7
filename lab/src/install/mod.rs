//! The parts that are not ours: where they are looked for, and how they are fetched.

mod fetch;
mod find;
mod library;

use std::fmt;

pub use fetch::install;
pub use find::{Parts, ServerBinary};

/// A part that is not on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// Which part.
    pub part: Part,
    /// Where it was looked for.
    pub looked_at: String,
}

/// The parts a laboratory is put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// libchdb.so
    Library,
    /// The ZooKeeper jars.
    Zookeeper,
    /// A Java runtime.
    Java,
    /// A ClickHouse server binary.
    Server,
}

impl Part {
    /// What it is for.
    pub fn purpose(self) -> &'static str {
        match self {
            Part::Library => "libchdb.so 26.7.3, the ClickHouse engine of the nodes",
            Part::Zookeeper => "Apache ZooKeeper, the Keeper of the cluster",
            Part::Java => "a Java runtime, which runs ZooKeeper",
            Part::Server => "a clickhouse-server or clickhouse binary, for `--engine server`",
        }
    }

    /// The package that holds it.
    pub fn package(self) -> String {
        match self {
            Part::Library => format!("npm package {}@{}", library::PACKAGE, library::VERSION),
            Part::Zookeeper => "Debian package zookeeper".to_owned(),
            Part::Java => "Debian package default-jre-headless".to_owned(),
            Part::Server => "Debian package clickhouse-server".to_owned(),
        }
    }

    /// The flag that takes a path instead.
    pub fn flag(self) -> &'static str {
        match self {
            Part::Library => "--library PATH",
            Part::Zookeeper => "--zookeeper-classpath CLASSPATH",
            Part::Java => "--java PATH",
            Part::Server => "--server PATH",
        }
    }
}

impl fmt::Display for MissingPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\n      looked at: {}\n      comes with: {}; or say where it is: {}",
            self.part.purpose(),
            self.looked_at,
            self.part.package(),
            self.part.flag()
        )
    }
}
