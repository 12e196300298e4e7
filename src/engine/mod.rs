//! Executes plans: ports to the outside, journal, executor, resume, locks.

pub mod ports;
