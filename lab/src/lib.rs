//! A throwaway ClickHouse cluster on this machine, made of real parts: libchdb nodes, ZooKeeper, S3.
//!
//! The binary `clickferry-lab` is for people; [`Lab`] is for tests.

mod cli;
mod commands;
pub mod config;
mod control;
mod embedded;
mod environment;
mod error;
mod files;
mod handle;
mod http;
mod install;
mod keeper;
mod launch;
mod layout;
pub mod node;
mod options;
mod ports;
mod printer;
mod process;
mod s3;
mod seed;
mod server_engine;
mod sockets;
mod state;
mod status;
mod supervisor;
mod teardown;
mod text;
mod topology;

pub use commands::main;
pub use error::LabError;
pub use handle::{Lab, NodeInfo, StatementRecord};
pub use http::HttpError;
pub use install::{MissingPart, Part};
pub use options::{Engine, Options, PartPaths, Size};
pub use s3::faults::{FaultKind, S3Fault};
pub use s3::{S3Endpoint, S3Keys};
pub use seed::{Seeded, Settings as SeedSettings};
pub use status::{Health, KeeperStatus, NodeStatus, S3Status, StatusReport};
