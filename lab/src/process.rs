//! Processes by identity: a pid alone may have been given to somebody else meanwhile.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// A process and the moment it started (clock ticks since boot), which together name it for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process number.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`.
    pub started: u64,
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs or sleeps.
    Running,
    /// A signal stopped it.
    Stopped,
    /// It is gone, or only its exit status is left.
    Gone,
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<ProcessId> {
        stat(pid).map(|(_, started)| ProcessId { pid, started })
    }

    /// This very process.
    pub fn own() -> Option<ProcessId> {
        i32::try_from(std::process::id()).ok().and_then(ProcessId::of)
    }

    /// What it does now; a later process under the same number counts as gone.
    pub fn activity(self) -> Activity {
        match stat(self.pid) {
            Some((_, started)) if started != self.started => Activity::Gone,
            Some(('Z' | 'X' | 'x', _)) | None => Activity::Gone,
            Some(('T' | 't', _)) => Activity::Stopped,
            Some(_) => Activity::Running,
        }
    }

    /// Whether it is still there.
    pub fn is_alive(self) -> bool {
        self.activity() != Activity::Gone
    }

    /// Sends a signal to exactly this process; `false` when it is gone.
    ///
    /// The descriptor is opened before the identity is checked, so the number cannot change hands between
    /// the check and the signal.
    pub fn signal(self, signal: i32) -> io::Result<bool> {
        // SAFETY: plain system call, no memory is handed over.
        let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        if raw < 0 {
            return gone_or_error(io::Error::last_os_error());
        }
        let raw = i32::try_from(raw).map_err(io::Error::other)?;
        // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(raw) };
        if !self.is_alive() {
            return Ok(false);
        }
        let no_info = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: a null siginfo is allowed and means the same as kill(2).
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor.as_raw_fd(), signal, no_info, 0) };
        if sent == 0 { Ok(true) } else { gone_or_error(io::Error::last_os_error()) }
    }
}

fn gone_or_error(error: io::Error) -> io::Result<bool> {
    if error.raw_os_error() == Some(libc::ESRCH) { Ok(false) } else { Err(error) }
}

/// State letter and start time from `/proc/PID/stat`.
fn stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(line: &str) -> Option<(char, u64)> {
    // The command name stands in parentheses and may itself hold spaces and parentheses.
    let mut fields = line.get(line.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

/// Makes the child die with the thread that starts it, and keeps the terminal's Ctrl-C away from it.
///
/// The kernel ties the death signal to the *thread* that forked, so call `spawn` from one that lives as long
/// as the children shall.
pub fn die_with_parent(command: &mut Command) {
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: prctl, getppid and raise are async-signal-safe; nothing is allocated between fork and exec.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have died before the call above took effect.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                libc::raise(libc::SIGKILL);
            }
            Ok(())
        });
    }
}

/// Starts the child in a session of its own, so that it outlives the terminal.
pub fn own_session(command: &mut Command) {
    // SAFETY: setsid is async-signal-safe.
    unsafe {
        command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_spaces_and_parentheses_is_skipped() {
        let line = "7 (a) b (c)) T 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 99 1";
        assert_eq!(parse_stat(line), Some(('T', 4242)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn a_process_under_a_reused_number_is_not_ours() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let id = ProcessId::of(i32::try_from(child.id()).unwrap()).unwrap();
        let other = ProcessId { started: id.started + 1, ..id };
        assert!(!other.is_alive());
        assert!(!other.signal(libc::SIGKILL).unwrap());
        assert!(id.is_alive(), "the signal to the other identity must not have reached it");
        assert!(id.signal(libc::SIGKILL).unwrap());
        child.wait().unwrap();
        assert_eq!(id.activity(), Activity::Gone);
        assert!(!id.signal(libc::SIGKILL).unwrap());
    }
}
