//! Executes plans: ports to the outside, journal, executor, resume, locks.

pub mod action;
pub mod arguments;
pub mod cancel;
pub mod check;
pub mod compile;
pub mod context;
mod disks;
pub mod environment_file;
pub mod error_pages;
pub mod errors;
pub mod event;
pub mod executor;
pub mod guard;
pub mod identity;
pub mod journal;
pub mod locks;
pub mod look;
pub mod manifest;
pub mod observe;
pub mod outcomes;
pub mod parameters;
pub mod planner;
pub mod ports;
pub mod repair;
pub mod reprove;
pub mod resolve;
pub mod resume;
pub mod retry;
pub mod run;
pub mod schema;
pub mod snapshot;
mod state_failure;
pub mod transfer;
pub mod undo;
pub mod unlock;

pub use state_failure::state_failure;
