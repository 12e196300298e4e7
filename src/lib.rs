//! Declarative migration runbooks for ClickHouse: plan, diff, apply, resume, verify.
//!
//! | module | may use | must not use |
//! |---|---|---|
//! | `diag` | `exit_code` | anything else of ours |
//! | `model` | `diag` | input, output, network, clock |
//! | `plan` | `model`, `diag` | network, clock |
//! | `engine` | `plan`, `model`, `diag` | clients of servers, terminal |
//! | `action` | `engine`, `plan`, `model`, `diag` | clients of servers, terminal |
//! | `report` | `plan`, `model`, `diag`, events, journals and schemas of `engine` | adapters, command line |
//! | `adapter` | ports of `engine`, `model`, `diag` | `plan`, `action`, `cli` |
//! | `cli` | everything | - |
//!
//! A test reads the sources and holds these borders.

pub mod action;
pub mod adapter;
pub mod cli;
pub mod diag;
pub mod engine;
pub mod exit_code;
pub mod model;
pub mod plan;
pub mod report;
