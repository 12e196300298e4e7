//! What this machine knows of the process that took a lock.

use crate::engine::locks::{is_dead_here, is_here};
use crate::engine::ports::LockHolder;

/// The process of a holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// On this machine there is a process with its id.
    Here {
        /// Its id.
        pid: u32,
        /// Its name and what it does, for people.
        state: String,
    },
    /// It was on this machine and is gone.
    Gone {
        /// Its id.
        pid: u32,
    },
    /// It was started on another machine, in another container, or before this machine was started.
    Elsewhere,
}

/// Looks for the process of a holder.
#[must_use]
pub fn process(holder: &LockHolder, machine: &str) -> Process {
    if !is_here(holder, machine) {
        return Process::Elsewhere;
    }
    if is_dead_here(holder, machine) {
        return Process::Gone { pid: holder.pid };
    }
    let name = std::fs::read_to_string(format!("/proc/{}/comm", holder.pid)).unwrap_or_default();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", holder.pid)).unwrap_or_default();
    let word = match stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next() {
        Some('T' | 't') => "stopped",
        _ => "running",
    };
    Process::Here { pid: holder.pid, state: format!("{word} as `{}`", name.trim()) }
}
