//! Keeper: Apache ZooKeeper in a JVM, with a data folder of its own, on the loopback only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use crate::error::LabError;
use crate::files;
use crate::install::Parts;
use crate::layout::Layout;
use crate::sockets;
use crate::supervisor::recipe::{Readiness, Recipe};

/// Name Keeper answers to in commands.
pub const KEEPER: &str = "keeper";

/// Writes the configuration and says how the process is started.
pub fn recipe(layout: &Layout, parts: &Parts, port: u16) -> Result<Recipe, LabError> {
    let dir = layout.keeper();
    files::private_dir(&dir.join("data"))?;
    let config = dir.join("zoo.cfg");
    files::write_private(&config, configuration(&dir.join("data").display().to_string(), port).as_bytes())?;
    Ok(Recipe {
        name: KEEPER.to_owned(),
        program: parts.java.clone(),
        arguments: vec![
            // A small heap, one collector thread and the quick compiler: it starts in half the time.
            "-Xmx192m".into(),
            "-XX:+UseSerialGC".into(),
            "-XX:TieredStopAtLevel=1".into(),
            "-Djava.net.preferIPv4Stack=true".into(),
            "-Djute.maxbuffer=16777216".into(),
            "-cp".into(),
            parts.classpath.clone().into(),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain".into(),
            config.into(),
        ],
        environment: Vec::new(),
        log: dir.join("output.log"),
        dir,
        readiness: Readiness::Keeper(port),
    })
}

fn configuration(data: &str, port: u16) -> String {
    format!(
        "# Written by clickferry-lab.\n\
         dataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\n\
         # Sessions of a killed node end after its own time-out, which may be as short as this.\n\
         tickTime=500\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n\
         # The data outlives a killed process, not a lost machine: no fsync for each write.\n\
         forceSync=no\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n\
         autopurge.purgeInterval=0\n"
    )
}

/// Whether Keeper serves requests: `srvr` names its mode only then, `ruok` answers much earlier.
pub fn serves(port: u16) -> bool {
    four_letters(port, "srvr").is_ok_and(|answer| answer.contains("Mode:"))
}

/// Whether a process uses a session: a connection alone may still be shaking hands.
pub fn has_session(port: u16, pid: i32) -> bool {
    let Ok(answer) = four_letters(port, "cons") else { return false };
    let with_session = session_ports(&answer);
    sockets::connections_to(pid, port).iter().any(|local| with_session.contains(local))
}

/// The clients' ports in the answer to `cons`, of those that have asked something in their session. The last
/// request of the others (`lcxid`) is -1.
fn session_ports(answer: &str) -> Vec<u16> {
    let asked = |line: &&str| line.contains("lcxid=0x") && !line.contains("lcxid=0xffffffff");
    let lines = answer.lines().filter(asked);
    lines.filter_map(|line| line.split('[').next()?.rsplit(':').next()?.parse().ok()).collect()
}

fn four_letters(port: u16, word: &str) -> std::io::Result<String> {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_keeps_keeper_on_the_loopback() {
        let text = configuration("/d", 2181);
        assert!(text.contains("clientPortAddress=127.0.0.1\n") && text.contains("admin.enableServer=false\n"));
        assert!(text.lines().all(|line| line == line.trim()), "ZooKeeper reads leading blanks as part of a name");
    }

    #[test]
    fn only_clients_that_use_a_session_count() {
        let answer = " /127.0.0.1:1[1](queued=0,recved=9,sid=0x10,lop=PING,lcxid=0x4,lzxid=0xa)\n \
                      /127.0.0.1:2[1](queued=0,recved=1,sid=0x11,lop=SESS,lcxid=0xffffffffffffffff)\n \
                      /127.0.0.1:3[0](queued=0,recved=1,sent=0)\n\n";
        assert_eq!(session_ports(answer), [1]);
    }

    #[test]
    fn nobody_there_means_not_serving() {
        assert!(!serves(1));
    }
}
