//! Starts a supervisor in another process, and hears from it how that went.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::control::Response;
use crate::error::LabError;
use crate::files;
use crate::http::Client;
use crate::layout::Layout;
use crate::options::{PartPaths, Size};
use crate::process;
use crate::state::{LabState, USER};

/// The arguments of `supervise`.
fn arguments(layout: &Layout, size: &Size, parts: &PartPaths, bound: bool) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["supervise".into(), "--dir".into(), layout.dir().into()];
    arguments.extend(["--replicas".into(), size.replicas.to_string().into()]);
    arguments.extend(["--shards".into(), size.shards.to_string().into()]);
    arguments.extend(["--engine".into(), size.engine.word().into()]);
    arguments.extend(parts.arguments());
    if bound {
        arguments.push("--bound".into());
    }
    arguments
}

/// Starts a laboratory that outlives this process; returns when everything serves.
pub fn detached(layout: &Layout, size: &Size, parts: &PartPaths) -> Result<(), LabError> {
    let mut command = Command::new("/proc/self/exe");
    command.args(arguments(layout, size, parts, false)).stdin(Stdio::null());
    start(command, Path::new("/proc/self/exe")).map(drop)
}

/// Starts a laboratory that ends when the child's standard input is closed; returns when everything serves.
pub fn bound(binary: &Path, layout: &Layout, size: &Size, parts: &PartPaths) -> Result<Child, LabError> {
    let mut command = Command::new(binary);
    command.args(arguments(layout, size, parts, true)).stdin(Stdio::piped());
    start(command, binary)
}

fn start(mut command: Command, binary: &Path) -> Result<Child, LabError> {
    command.stdout(Stdio::piped());
    process::own_session(&mut command);
    let mut child = command.spawn().map_err(LabError::io("start", binary))?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(LabError::io("read the output of", binary))?;
    }
    let failure = match serde_json::from_str(&line) {
        Ok(Response::Done) => return Ok(child),
        Ok(Response::Error { message }) => LabError::Refused(message),
        Ok(Response::Status(_)) | Err(_) => LabError::Process {
            name: "supervisor".to_owned(),
            what: "it ended before the laboratory had started".to_owned(),
            log: line,
        },
    };
    // It has said its last word and ends; the zombie is all there is to collect.
    let _ = child.wait();
    Err(failure)
}

/// Says on standard output how the start went.
pub fn tell(response: &Response) {
    if let Ok(line) = serde_json::to_string(response) {
        // Whoever started us may be gone meanwhile.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// A client of a node, with the password from the folder of the laboratory.
pub fn client(layout: &Layout, state: &LabState, name: &str) -> Result<Client, LabError> {
    let node = state.nodes.iter().find(|node| node.name == name).ok_or_else(|| LabError::UnknownNode {
        name: name.to_owned(),
        known: state.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", "),
    })?;
    Ok(Client {
        address: (Ipv4Addr::LOCALHOST, node.http_port).into(),
        user: USER.to_owned(),
        password: files::read_text(&layout.password())?,
        timeout: Duration::from_secs(300),
    })
}
