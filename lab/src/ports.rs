//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::error::LabError;
use crate::files;

/// Lowest port tried.
const FIRST: u16 = 10_500;
/// How many ports lie in the range. It ends below 32768, where Linux begins to give ports to outgoing
/// connections: a node that was killed must find its port free again.
const COUNT: u16 = 21_500;

/// Ports held open until every one that is needed has been found.
#[derive(Debug, Default)]
pub struct FreePorts {
    held: Vec<TcpListener>,
}

impl FreePorts {
    /// Finds another free port; it stays held until [`FreePorts::release`].
    pub fn take(&mut self) -> Result<u16, LabError> {
        let (listener, port) = bind()?;
        self.held.push(listener);
        Ok(port)
    }

    /// Lets the ports go, for the processes that will open them.
    pub fn release(self) {}
}

/// A listener on a free loopback port.
pub fn bind() -> Result<(TcpListener, u16), LabError> {
    // A random start keeps two laboratories that start together out of each other's way.
    let start = u16::from_str_radix(&files::random_hex(2)?, 16).unwrap_or_default() % COUNT;
    let mut last = None;
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => last = Some(error),
        }
    }
    let source = last.unwrap_or_else(|| std::io::Error::other("no port was tried"));
    Err(LabError::Io { action: "find a free port on", path: Path::new("127.0.0.1").to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_lie_below_the_outgoing_range() {
        let mut ports = FreePorts::default();
        let mut taken: Vec<u16> = (0..20).map(|_| ports.take().unwrap()).collect();
        assert!(taken.iter().all(|port| (FIRST..32_768).contains(port)));
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 20);
        ports.release();
    }
}
