//! Executes plans: ports to the outside, journal, executor, resume, locks.

pub mod action;
pub mod arguments;
pub mod compile;
pub mod context;
pub mod errors;
pub mod guard;
pub mod journal;
pub mod observe;
pub mod parameters;
pub mod planner;
pub mod ports;
pub mod schema;
