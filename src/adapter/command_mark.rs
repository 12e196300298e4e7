//! Whether a command still runs whose engine is gone.
//!
//! A command has a process group of its own and goes on when its engine is killed. So it inherits a file of this machine
//! that is locked for as long as anything of it lives. Programs that close what they do not know (`sudo`) lose the file:
//! beside the lock stand the process id and the time of its start.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, getuid, test_kill_process_group};

use crate::engine::ports::CommandLife;

/// Makes the file, not locked yet.
pub fn make(name: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("clickferry-{}", getuid().as_raw()));
    let told = |error: std::io::Error| format!("{}: {error}", folder.display());
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(told(error)),
        _ => {}
    }
    // Everybody may write beside it: what is there must be ours.
    let found = std::fs::symlink_metadata(&folder).map_err(told)?;
    if !found.is_dir() || found.uid() != getuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(format!("{} is not a folder of this user alone", folder.display()));
    }
    let path = folder.join(name);
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path);
    file.map(|_| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The file, locked, and inherited by what is started while this lives. A command that is started by somebody else in
/// the same moment inherits it, too; that only makes the wait longer.
pub struct Held(File);

/// Locks the file.
pub fn hold(path: &Path) -> Result<Held, String> {
    let told = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(told)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| told(error.into()))?;
    fcntl_setfd(&file, FdFlags::empty()).map_err(|error| told(error.into()))?;
    Ok(Held(file))
}

impl Held {
    /// Writes which process has it, and leaves the lock to that.
    pub fn names(mut self, id: u32) {
        let Some(began) = stat(id).and_then(|(_, began)| began) else { return };
        // Without it the lock alone tells.
        let _ = self.0.write_all(format!("{id} {began}\n").as_bytes());
    }
}

/// Whether the command still runs.
pub fn life(path: &Path) -> CommandLife {
    let unknown = |error: std::io::Error| CommandLife::Unknown(format!("{}: {error}", path.display()));
    let (file, text) = match (File::open(path), std::fs::read_to_string(path)) {
        (Ok(file), Ok(text)) => (file, text),
        (Err(error), _) | (_, Err(error)) => return unknown(error),
    };
    let is_held = match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => false,
        Err(Errno::WOULDBLOCK) => true,
        Err(error) => return unknown(error.into()),
    };
    let named = text.trim().split_once(' ').and_then(|(id, began)| Some((id.parse::<u32>().ok()?, began.to_owned())));
    let Some((id, began)) = named else {
        let who = format!("the command that holds {}", path.display());
        return if is_held { CommandLife::Running(who) } else { CommandLife::Ended };
    };
    let leads = stat(id).is_some_and(|(state, found)| !matches!(state, 'Z' | 'X') && found.as_ref() == Some(&began));
    if leads || (is_held && group_lives(id)) {
        CommandLife::Running(format!("process group {id}"))
    } else {
        CommandLife::Ended
    }
}

/// State and start of a process, in ticks since the boot.
fn stat(id: u32) -> Option<(char, Option<String>)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Behind the name, which may hold anything, stands the third field; the start is the 22nd.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18).map(str::to_owned)))
}

fn group_lives(id: u32) -> bool {
    let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return false };
    matches!(test_kill_process_group(group), Ok(()) | Err(Errno::PERM))
}
