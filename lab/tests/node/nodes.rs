//! Starts a Keeper and two nodes that replicate, once for all tests of this program.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{Reply, Request};

pub const USER: &str = "lab";
pub const PASSWORD: &str = "it's a p@ss";
/// Name of the cluster of both nodes.
pub const CLUSTER: &str = "both";

/// One node.
pub struct Node {
    pub name: &'static str,
    pub port: u16,
    pub dir: PathBuf,
    config: PathBuf,
    process: Mutex<Option<Child>>,
}

/// A Keeper and two nodes; all end with the test program.
pub struct Pair {
    pub one: Node,
    pub two: Node,
    _keeper: Child,
    _dir: tempfile::TempDir,
}

/// The nodes all tests share.
pub fn shared() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(Pair::start)
}

impl Pair {
    /// Starts everything.
    pub fn start() -> Pair {
        let dir = tempfile::tempdir().unwrap();
        let [keeper_port, one_http, one_parts, two_http, two_parts] = free_ports();
        let keeper = start_keeper(dir.path(), keeper_port);
        let clusters = json!([{"name": CLUSTER, "shards": [[
            {"host": "127.0.0.1", "port": one_http}, {"host": "127.0.0.1", "port": two_http}
        ]]}]);
        let node = |name: &'static str, http: u16, parts: u16| {
            let folder = dir.path().join(name);
            let config = dir.path().join(format!("{name}.json"));
            let text = json!({
                "name": name, "dir": folder, "library": library(), "http_port": http, "interserver_port": parts,
                "shard": "01", "keeper": [format!("127.0.0.1:{keeper_port}")], "clusters": clusters,
                "user": USER, "password": PASSWORD,
            });
            std::fs::write(&config, text.to_string()).unwrap();
            let node = Node { name, port: http, dir: folder, config, process: Mutex::new(None) };
            node.start();
            node
        };
        let (one, two) = (node("r1", one_http, one_parts), node("r2", two_http, two_parts));
        Pair { one, two, _keeper: keeper, _dir: dir }
    }
}

impl Node {
    /// Starts the node and waits until it serves.
    pub fn start(&self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clickferry-lab"));
        command.arg("node").arg("--config").arg(&self.config).stdout(Stdio::piped());
        let mut child = spawn(command);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{} did not start", self.name);
        *self.process.lock().unwrap() = Some(child);
    }

    /// Kills the node, or asks it to end with SIGTERM.
    pub fn stop(&self, signal: i32) {
        let mut child = self.process.lock().unwrap().take().unwrap();
        // SAFETY: a child of ours that was not waited for yet, so its id is still its own.
        assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
        child.wait().unwrap();
    }

    /// A request with the node's credentials.
    pub fn request(&self) -> Request {
        Request::new(self.port).header("X-ClickHouse-User", USER).header("X-ClickHouse-Key", PASSWORD)
    }

    /// Runs a statement that has to succeed; its result.
    pub fn run(&self, sql: &str) -> String {
        let reply = self.request().body(sql.as_bytes()).send();
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
        reply.text()
    }

    /// Runs a statement that has to fail; the reply.
    pub fn fails(&self, sql: &str) -> Reply {
        let reply = self.request().body(sql.as_bytes()).send();
        assert_ne!(reply.status, 200, "{sql} succeeded: {}", reply.text());
        reply
    }

    /// Waits until a query has this result.
    pub fn until(&self, sql: &str, result: &str) {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let reply = self.request().body(sql.as_bytes()).send();
            if reply.status == 200 && reply.text().trim() == result {
                return;
            }
            assert!(Instant::now() < limit, "{sql}: {} instead of {result}", reply.text());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn library() -> PathBuf {
    if let Some(path) = std::env::var_os("CLICKFERRY_LAB_LIBRARY") {
        return path.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    let path = cache.join("clickferry/lab/chdb-26.7.3/libchdb.so");
    assert!(path.exists(), "`{}` is missing: run `clickferry-lab install`", path.display());
    path
}

fn start_keeper(dir: &Path, port: u16) -> Child {
    let data = dir.join("keeper");
    std::fs::create_dir(&data).unwrap();
    let config = dir.join("zoo.cfg");
    let text = format!(
        "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n",
        data.display()
    );
    std::fs::write(&config, text).unwrap();
    let class_path = std::env::var("CLICKFERRY_LAB_ZOOKEEPER_CLASSPATH").unwrap_or("/usr/share/java/*".to_owned());
    let mut command = Command::new("java");
    command.args(["-Xmx128m", "-cp", &class_path, "org.apache.zookeeper.server.quorum.QuorumPeerMain"]).arg(&config);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = spawn(command);
    let limit = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).and_then(|mut socket| socket.write_all(b"")).is_err() {
        assert!(Instant::now() < limit, "the Keeper does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

/// Starts a process that ends with this program, however that ends: a test must not leave processes behind.
///
/// The system ties the child's life to the thread that started it, and the threads of tests end before the program;
/// so one thread starts all.
fn spawn(mut command: Command) -> Child {
    use std::os::unix::process::CommandExt;
    type Order = (Command, Sender<Child>);
    static STARTER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    // SAFETY: prctl is safe to call between fork and exec, and nothing is allocated.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in orders {
                answer.send(command.spawn().unwrap()).unwrap();
            }
        });
        Mutex::new(sender)
    });
    let (sender, child) = channel();
    starter.lock().unwrap().send((command, sender)).unwrap();
    child.recv().unwrap()
}

/// Ports nobody listens on. They lie below those the system gives to outgoing connections, one of which could else
/// take the port of a node that is down for a moment.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 100) as u16 * 100;
    [(); COUNT].map(|()| {
        loop {
            let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}
