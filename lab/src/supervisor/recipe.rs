//! How a process of the laboratory is started, and how one sees that it serves.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::http::Client;
use crate::keeper;

/// Everything to start a process, as often as wanted.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the node, or `keeper`.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments; never a secret, other users can read them.
    pub arguments: Vec<OsString>,
    /// Additions to its environment.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Its folder, also its current folder.
    pub dir: PathBuf,
    /// File that gets what it prints.
    pub log: PathBuf,
    /// How one sees that it serves.
    pub readiness: Readiness,
}

/// How one sees that a process serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It prints a line `ready`.
    Line,
    /// Its HTTP interface answers `/ping`, and a replica has its session with Keeper.
    ///
    /// ClickHouse 18.16 answers earlier, and dies of a null pointer when a statement ON CLUSTER comes while
    /// it still opens the session.
    Server {
        /// Port of the HTTP interface.
        http: u16,
        /// Port of Keeper; absent on the standalone node.
        keeper: Option<u16>,
    },
    /// It answers ZooKeeper's `srvr` on this port.
    Keeper(u16),
}

impl Readiness {
    /// Asks; `line` tells whether the line was seen.
    pub fn reached(self, pid: i32, line: &Arc<AtomicBool>) -> bool {
        match self {
            Readiness::Line => line.load(Ordering::Acquire),
            Readiness::Keeper(port) => keeper::serves(port),
            Readiness::Server { http, keeper } => {
                // Without Keeper there is no session to wait for.
                let session = |port| keeper::has_session(port, pid) || !keeper::serves(port);
                pings(http) && keeper.is_none_or(session)
            }
        }
    }
}

fn pings(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let (user, password) = (String::new(), String::new());
    Client { address, user, password, timeout: Duration::from_secs(1) }.ping()
}
