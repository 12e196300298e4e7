//! A node on its own: two of them and a Keeper, seen through real clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on may stop")]

mod backups;
mod clients;
mod http;
mod interface;
mod nodes;
mod replication;
