//! Implementations of the ports of `engine`: ClickHouse, S3, Keeper, state, secrets, commands, clock.

pub mod clickhouse;
pub mod clock;
pub mod command;
pub mod redact;
pub mod s3;
pub mod secrets;
pub mod tls;
