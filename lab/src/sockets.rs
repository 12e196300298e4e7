//! Which connections a process holds, as the kernel tells it.

use std::collections::HashSet;
use std::fs;

/// Local ports of the established connections of a process to a port of this machine.
pub fn connections_to(pid: i32, port: u16) -> Vec<u16> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let own = own_sockets(pid);
    let rows = table.lines().skip(1).filter_map(parse_row);
    rows.filter(|row| row.remote == port && own.contains(&row.inode)).map(|row| row.local).collect()
}

/// Numbers of the sockets a process has open.
fn own_sockets(pid: i32) -> HashSet<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return HashSet::new();
    };
    let targets = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets
        .filter_map(|target| {
            let text = target.to_str()?;
            text.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        })
        .collect()
}

struct Row {
    local: u16,
    remote: u16,
    inode: u64,
}

/// One line of `/proc/PID/net/tcp`, if it is an established connection (state 01).
fn parse_row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let port = |field: &str| u16::from_str_radix(field.rsplit(':').next()?, 16).ok();
    if *fields.get(3)? != "01" {
        return None;
    }
    Some(Row { local: port(fields.get(1)?)?, remote: port(fields.get(2)?)?, inode: fields.get(9)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_own_connection_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(connections_to(pid, port).is_empty());
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(connections_to(pid, port), [stream.local_addr().unwrap().port()]);
    }
}
