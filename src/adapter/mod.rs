//! Implementations of the ports of `engine`: ClickHouse, S3, Keeper, state, secrets, commands, clock.

pub mod clickhouse;
pub mod clock;
pub mod command;
mod connect;
pub mod keeper;
pub mod redact;
pub mod s3;
pub mod secrets;
pub mod state_folder;
pub mod tls;

pub use connect::connect;
