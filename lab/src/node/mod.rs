//! One ClickHouse node: the engine of ClickHouse 26.7 in this process, with the parts of a server libchdb lacks.
//!
//! * [`engine`]: libchdb itself, made fit for ReplicatedMergeTree, and its connections.
//! * [`http`]: the HTTP interface.
//! * [`parts`]: the sending half of the exchange of parts between replicas.
//! * [`cluster`]: ON CLUSTER, run on every host over HTTP.
//! * [`statement_log`]: what ran, since there is no `system.query_log`.
//!
//! # What a node is known by
//! `displayName()`, `hostName()`, the header `X-ClickHouse-Server-Display-Name` and the macro `{replica}` are the
//! node's name. `serverUUID()` is a UUID of the node, kept in its file `uuid`. Both are given to the engine in memory,
//! since libchdb has no setting for them. Query ids are those of the clients, with one exception: the engine names an
//! INSERT with data itself. KILL QUERY and queries of `system.processes` that name the client's id of such an INSERT
//! are told the engine's; what they answer shows the engine's.
//!
//! # What is not there
//! `system.query_log`, `system.zookeeper`, users and grants, the native protocol (and with it `remote()` and
//! Distributed tables), `INSERT ... SELECT ... FROM input()`, tables sent along with a query, BACKUP ON CLUSTER.

mod cluster;
mod config_xml;
mod engine;
mod http;
mod parts;
mod random;
mod replicas;
mod running;
mod sql;
mod statement_log;

use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::NodeConfig;
use engine::{Engine, EngineError, Start};
use running::Running;
use statement_log::StatementLog;

/// Where nodes are reached; the laboratory lives on one machine.
const HOST: &str = "127.0.0.1";

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The library is not the one the laboratory knows.
    #[error(
        "`{}` is no libchdb the laboratory knows: {reason}\n  help: `clickferry-lab install` fetches the right one",
        library.display()
    )]
    UnknownLibrary {
        /// The library.
        library: PathBuf,
        /// What is different.
        reason: String,
    },
    /// The engine answered with an error.
    #[error("the engine does not start: {0}")]
    Engine(#[source] EngineError),
    /// The engine gave no connection and no reason.
    #[error("the engine gives no connection; its own message stands above")]
    NoEngine,
    /// A port or a file.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// What the parts of a node share.
struct Node {
    config: NodeConfig,
    engine: Engine,
    log: StatementLog,
    running: Arc<Running>,
    sessions: http::Sessions,
}

/// Runs a node until SIGTERM or SIGINT. Prints `ready` when it serves.
///
/// Does not return after serving: libchdb may abort in the destructors of a normal exit, so the process leaves with
/// `_exit`.
pub fn run(config: NodeConfig) -> Result<(), NodeError> {
    let io = |action: String| move |source| NodeError::Io { action, source };
    let data = config.dir.join("data");
    let xml = config.dir.join("config.xml");
    std::fs::create_dir_all(&config.dir).map_err(io(format!("create `{}`", config.dir.display())))?;
    std::fs::write(&xml, config_xml::render(&config)).map_err(io(format!("write `{}`", xml.display())))?;
    config_xml::ensure_default_database(&data, &random::uuid())
        .map_err(io(format!("write to `{}`", data.display())))?;
    let uuid = engine::load_uuid(&config.dir).map_err(io("keep the UUID of the node".to_owned()))?;
    let log = StatementLog::open(&config.dir).map_err(io("open the statement log".to_owned()))?;

    // The ports come before the engine: a second node on the same port must not touch the tables of the first.
    let bind = |port| StdListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(io(format!("listen on port {port}")));
    let interserver = bind(config.interserver_port)?;
    let http = bind(config.http_port)?;

    let engine = Engine::start(&Start {
        library: &config.library,
        data: &data,
        config: &xml,
        name: &config.name,
        uuid: &uuid,
        interserver: (HOST, config.interserver_port),
    })?;
    let node = Arc::new(Node { config, engine, log, running: Arc::default(), sessions: http::Sessions::default() });

    let sender = Arc::clone(&node);
    std::thread::spawn(move || parts::serve(&sender, &interserver));
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1024)
        .enable_all()
        .build()
        .map_err(io("start the runtime".to_owned()))?;
    runtime.block_on(serve(Arc::clone(&node), http))?;
    node.sessions.close();
    node.engine.close(|| node.running.is_empty());
    // SAFETY: nothing of this process has to run after here; the engine's tables survive a kill at any time.
    unsafe { libc::_exit(0) }
}

async fn serve(node: Arc<Node>, listener: StdListener) -> Result<(), NodeError> {
    let io = |action: &str| {
        let action = action.to_owned();
        move |source| NodeError::Io { action, source }
    };
    listener.set_nonblocking(true).map_err(io("prepare the port"))?;
    let listener = TcpListener::from_std(listener).map_err(io("prepare the port"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(io("watch for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("watch for SIGINT"))?;
    let mut stdout = io::stdout();
    writeln!(stdout, "ready").and_then(|()| stdout.flush()).map_err(io("say that the node is ready"))?;
    tokio::select! {
        () = http::serve(node, listener) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
