//! The parent of all processes of a laboratory: starts them, answers requests, takes everything down.

mod child;
mod listener;
mod manager;
mod prepare;
pub mod recipe;
mod report;

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::LabError;
use crate::layout::Layout;
use crate::options::{PartPaths, Size};
use crate::s3::S3Endpoint;
use crate::state::BUCKET;
use crate::status::StatusReport;
use crate::teardown;

pub use report::report_from_record;

use listener::Event;
use manager::Manager;

/// How long everything may take to start.
const START_PATIENCE: Duration = Duration::from_secs(90);

/// Runs a laboratory until it is told to end, then leaves nothing behind.
///
/// `bound` ends it when standard input ends, which it does when the program that holds the other side is
/// gone, however it went. `ready` is called once, when everything serves. The calling thread starts the
/// processes and must be the one that lives longest, see [`crate::process::die_with_parent`].
pub fn run(
    layout: &Layout,
    size: &Size,
    paths: &PartPaths,
    bound: bool,
    ready: &mut dyn FnMut(&StatusReport),
) -> Result<(), LabError> {
    let prepared = prepare::prepare(layout, size, paths)?;
    let (events, inbox) = mpsc::channel();
    let started = listener::start(layout, bound, &events).and_then(|runtime| {
        let s3 = S3Endpoint::start(runtime.handle(), prepared.s3_listener, &layout.s3(), BUCKET, &prepared.keys)?;
        Ok((runtime, s3))
    });
    let (runtime, s3) = match started {
        Ok(started) => started,
        Err(error) => return Err(give_up(layout, error)),
    };
    let mut manager = Manager::new(layout.clone(), prepared.state, prepared.services, s3);
    let outcome = manager.start_all(START_PATIENCE).and_then(|()| live(&mut manager, &inbox, ready));
    manager.kill_all();
    runtime.shutdown_background();
    let removed = teardown::remove_folder(layout);
    // The lock goes last: whoever waits for it finds nothing left.
    drop(prepared.lock);
    outcome.and(removed)
}

fn give_up(layout: &Layout, error: LabError) -> LabError {
    // The first error is the one to show.
    let _ = teardown::remove_folder(layout);
    error
}

/// Serves requests until the end.
fn live(
    manager: &mut Manager,
    inbox: &mpsc::Receiver<Event>,
    ready: &mut dyn FnMut(&StatusReport),
) -> Result<(), LabError> {
    let mut announced = false;
    loop {
        match inbox.recv_timeout(manager.pace()) {
            Ok(Event::Request(request, reply)) => {
                if manager.handle(request, reply) {
                    return Ok(());
                }
            }
            Ok(Event::End) | Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        manager.look(Instant::now())?;
        if !announced && manager.is_started() {
            announced = true;
            ready(&manager.report());
        }
    }
}

/// Sends what this process prints on standard error to a file from now on, so that a supervisor in the
/// background holds nobody's terminal or pipe.
pub fn redirect_errors(path: &Path) -> Result<(), LabError> {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::options().create(true).append(true).open(path).map_err(LabError::io("write", path))?;
    // SAFETY: both descriptors are open; dup2 replaces the second in one step.
    if unsafe { libc::dup2(file.as_raw_fd(), libc::STDERR_FILENO) } < 0 {
        return Err(LabError::io("write", path)(std::io::Error::last_os_error()));
    }
    Ok(())
}
