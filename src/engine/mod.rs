//! Executes plans: ports to the outside, journal, executor, resume, locks.

pub mod action;
pub mod context;
pub mod errors;
pub mod ports;
