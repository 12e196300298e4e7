//! The conversation with a living supervisor: one JSON line each way over a socket in its folder.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::layout::Layout;
use crate::s3::faults::S3Fault;
use crate::state::{Claim, LabState, claim};
use crate::status::StatusReport;

/// What a supervisor can be asked. A node is named, and `keeper` is a name too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// What is there and how it is.
    Status,
    /// SIGKILL.
    Kill {
        /// Name of the node.
        node: String,
    },
    /// SIGTERM, and wait until it is gone.
    Stop {
        /// Name of the node.
        node: String,
    },
    /// Start again on its old data, and wait until it serves.
    Start {
        /// Name of the node.
        node: String,
    },
    /// SIGSTOP.
    Pause {
        /// Name of the node.
        node: String,
    },
    /// SIGCONT.
    Resume {
        /// Name of the node.
        node: String,
    },
    /// Sets or clears the fault of the S3 endpoint.
    FaultS3 {
        /// The fault; `None` clears it.
        fault: Option<S3Fault>,
    },
    /// End everything and remove the folder.
    Down,
}

/// What it answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case")]
pub enum Response {
    /// It was done.
    Done,
    /// The answer to [`Request::Status`].
    Status(Box<StatusReport>),
    /// It was not done.
    Error {
        /// Why.
        message: String,
    },
}

/// A path to the socket that is short whatever the folder is called.
///
/// A socket address holds 107 bytes, and temporary folders of tests are often longer; through an open
/// descriptor of the folder the path stays short. The file must stay open while the path is used.
pub fn short_socket_path(layout: &Layout) -> io::Result<(File, PathBuf)> {
    let dir = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(layout.dir())?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/control.sock", dir.as_raw_fd()));
    Ok((dir, path))
}

/// Asks the supervisor of a folder and waits for its answer.
pub fn ask(layout: &Layout, request: &Request) -> Result<Response, LabError> {
    match exchange(layout, request) {
        Ok(Response::Error { message }) => Err(LabError::Refused(message)),
        Ok(response) => Ok(response),
        Err(error) => Err(explain(layout, error)),
    }
}

fn exchange(layout: &Layout, request: &Request) -> io::Result<Response> {
    let (_dir, path) = short_socket_path(layout)?;
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(120)))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the supervisor ended before it answered"));
    }
    Ok(serde_json::from_str(&answer)?)
}

/// No laboratory, a dead one, or one that does not answer: three different things to do.
fn explain(layout: &Layout, error: io::Error) -> LabError {
    match LabState::read(layout) {
        Ok(None) => LabError::NotRunning { dir: layout.dir().to_path_buf() },
        Ok(Some(state)) => match claim(layout) {
            Ok(Claim::Ours(_)) => LabError::Dead { dir: layout.dir().to_path_buf(), pid: state.supervisor.pid },
            Ok(Claim::Theirs) | Err(_) => LabError::io("talk to the supervisor through", &layout.socket())(error),
        },
        Err(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_laboratory_is_said_to_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let error = ask(&Layout::new(dir.path()), &Request::Status).unwrap_err();
        assert!(matches!(error, LabError::NotRunning { .. }), "{error}");
        let error = ask(&Layout::new(dir.path().join("none")), &Request::Status).unwrap_err();
        assert!(error.to_string().contains("clickferry-lab up"), "{error}");
    }

    #[test]
    fn requests_are_readable_json() {
        let text = serde_json::to_string(&Request::Kill { node: "replica1".into() }).unwrap();
        assert_eq!(text, r#"{"request":"kill","node":"replica1"}"#);
    }
}
