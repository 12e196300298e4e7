//! Implementations of the ports of `engine`: ClickHouse, S3, Keeper, secrets, commands, clock.
