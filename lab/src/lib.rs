//! A throwaway ClickHouse cluster on this machine, made of real parts: libchdb nodes, ZooKeeper, S3.

pub mod config;
pub mod node;
