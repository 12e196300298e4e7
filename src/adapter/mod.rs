//! Implementations of the ports of `engine`: ClickHouse, S3, Keeper, state, secrets, commands, clock.
// Tests may; production code is linted by the build without tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod boot_clock;
pub mod clickhouse;
pub mod clock;
pub mod command;
mod command_mark;
mod connect;
pub mod keeper;
pub mod redact;
pub mod s3;
pub mod secrets;
pub mod state_bundle;
pub mod state_folder;
mod state_names;
pub mod state_s3;
pub mod tls;

pub use connect::{connect, connect_state};
