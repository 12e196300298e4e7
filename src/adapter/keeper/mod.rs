//! Keeper and ZooKeeper: reading, deleting with proof, and the lock on a target.

mod lock;
mod many;
mod trees;

use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use zookeeper_client::{Acls, Client, CreateMode, Error as ClientError, Stat};

use super::boot_clock::BootClock;
use crate::engine::ports::{
    EachChildren, Keeper, KeeperError, KeeperNode, KeeperStat, LockGuard, LockHolder, SkipNode,
};

/// After this long without contact the servers drop a session, and with it the lock. ClickHouse Keeper does
/// not grant less (`min_session_timeout_ms`).
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of the check that a port is open at all.
const PORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Limit of one request; a request outlives short interruptions of the connection.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts of a read whose connection was lost.
const ATTEMPTS: usize = 3;

/// One ensemble, through one session that is made at the first read.
pub struct ZooKeeper {
    hosts: Vec<String>,
    root: String,
    session: Mutex<Option<Client>>,
    /// Number of the server that made a session for many nodes last.
    answering: AtomicUsize,
    clock: BootClock,
}

impl ZooKeeper {
    /// An ensemble of servers `host:port`; paths are below `root`. Connects to none of them.
    #[must_use]
    pub fn new(hosts: Vec<String>, root: Option<&str>) -> Self {
        let root = root.unwrap_or_default().trim_end_matches('/').to_owned();
        Self { hosts, root, session: Mutex::new(None), answering: AtomicUsize::new(0), clock: BootClock::default() }
    }

    /// A new session. The ports are tried first: the client reports a refused connection as a time-out
    /// after its whole session time-out, and names no host.
    async fn connect(&self) -> Result<Client, KeeperError> {
        let tries = self.hosts.iter().map(|host| async move {
            match tokio::time::timeout(PORT_TIMEOUT, TcpStream::connect(host)).await {
                Ok(Ok(_)) => Ok(host.clone()),
                Ok(Err(error)) => Err(format!("{host}: {error}")),
                Err(_) => Err(format!("{host}: no connection within {PORT_TIMEOUT:?}")),
            }
        });
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for tried in futures_util::future::join_all(tries).await {
            match tried {
                Ok(host) => open.push(host),
                Err(reason) => closed.push(reason),
            }
        }
        if open.is_empty() {
            let reason = if closed.is_empty() { "no servers are named".to_owned() } else { closed.join("; ") };
            return Err(self.unreachable(reason));
        }
        // Servers that are down now may be the ones that are up later.
        open.extend(self.hosts.iter().filter(|host| !open.contains(host)).cloned().collect::<Vec<_>>());
        let cluster = format!("{}{}", open.join(","), self.root);
        // Goes round the servers until the session time-out: one that starts or elects refuses for a moment.
        let connecting = Client::connector().with_session_timeout(SESSION_TIMEOUT).connect(&cluster);
        match tokio::time::timeout(REQUEST_TIMEOUT, connecting).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => {
                Err(self.unreachable(format!("{error} (the port is open; a server without a quorum does not answer)")))
            }
            Err(_) => Err(self.unreachable(format!("no session within {REQUEST_TIMEOUT:?}"))),
        }
    }

    /// The session for reads and deletes; a dead one is replaced.
    async fn session(&self) -> Result<Client, KeeperError> {
        let mut session = self.session.lock().await;
        if let Some(client) = session.as_ref()
            && !client.state().is_terminated()
        {
            return Ok(client.clone());
        }
        let client = self.connect().await?;
        *session = Some(client.clone());
        Ok(client)
    }

    /// A read, asked again when the connection broke. `None` when the node does not exist.
    async fn read<T, F>(&self, request: impl Fn(Client) -> F) -> Result<Option<T>, KeeperError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut attempt = 1;
        loop {
            let client = self.session().await?;
            match limited(request(client)).await {
                Ok(value) => return Ok(Some(value)),
                Err(ClientError::NoNode) => return Ok(None),
                Err(error) if attempt < ATTEMPTS && is_interruption(&error) => attempt += 1,
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn unreachable(&self, reason: String) -> KeeperError {
        KeeperError::Unreachable { hosts: self.hosts.join(", "), reason }
    }

    fn failed(&self, error: &ClientError) -> KeeperError {
        self.failed_because(error.to_string())
    }

    fn failed_because(&self, reason: String) -> KeeperError {
        KeeperError::Failed { hosts: self.hosts.join(", "), reason }
    }
}

#[async_trait]
impl Keeper for ZooKeeper {
    async fn get(&self, path: &str) -> Result<Option<KeeperNode>, KeeperError> {
        let path = clean(path);
        let found = self.read(|client| async move { client.get_data(path).await }).await?;
        Ok(found.map(|(value, stat)| KeeperNode { path: path.to_owned(), value, stat: facts(&stat) }))
    }

    async fn children(&self, path: &str) -> Result<Option<Vec<String>>, KeeperError> {
        let path = clean(path);
        let found = self.read(|client| async move { client.list_children(path).await }).await?;
        Ok(found.map(|mut names| {
            names.sort();
            names
        }))
    }

    async fn children_of(&self, paths: &[String], each: &mut EachChildren<'_>) -> Result<(), KeeperError> {
        self.list(paths, each).await
    }

    async fn subtrees_without(&self, paths: &[String], skips: &SkipNode<'_>) -> Result<Vec<KeeperNode>, KeeperError> {
        self.trees(paths, skips).await
    }

    async fn delete(&self, path: &str, version: i32) -> Result<(), KeeperError> {
        let path = clean(path);
        if version < 0 {
            // To the servers, -1 means "whatever version".
            return Err(self.failed_because(format!("{path}: deleting needs the version that was read")));
        }
        let client = self.session().await?;
        // Sent once: after a lost answer the node may be gone and may have been made again by somebody.
        match limited(client.delete(path, Some(version))).await {
            Ok(()) => Ok(()),
            Err(ClientError::NoNode) => Err(KeeperError::NoNode { path: path.to_owned() }),
            Err(ClientError::BadVersion | ClientError::NotEmpty) => Err(KeeperError::Changed { path: path.to_owned() }),
            Err(error) if is_interruption(&error) => {
                Err(self.failed_because(format!("{error}; {path} may have been deleted or not")))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<(), KeeperError> {
        let path = clean(path);
        let client = self.session().await?;
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        // Sent once: after a lost answer the node that is there may be our own or somebody else's.
        match limited(client.create(path, value, &options)).await {
            Ok(_) => Ok(()),
            Err(ClientError::NodeExists) => Err(KeeperError::Changed { path: path.to_owned() }),
            Err(ClientError::NoNode) => Err(KeeperError::NoNode { path: path.to_owned() }),
            Err(error) if is_interruption(&error) => {
                Err(self.failed_because(format!("{error}; {path} may have been made or not")))
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn lock(&self, path: &str, holder: &LockHolder) -> Result<Box<dyn LockGuard>, KeeperError> {
        // A session of its own: the lock must not share the fate of reads, nor they of it.
        let client = self.connect().await?;
        let guard = lock::take(self, client, clean(path), holder).await?;
        Ok(Box::new(guard))
    }

    async fn remove_lock(&self, path: &str, holder: &LockHolder) -> Result<(), KeeperError> {
        let Some(node) = self.get(path).await? else { return Ok(()) };
        let is_theirs = serde_json::from_slice::<LockHolder>(&node.value).is_ok_and(|found| found == *holder);
        if !is_theirs {
            return Err(KeeperError::Changed { path: path.to_owned() });
        }
        self.delete(path, node.stat.version).await
    }

    fn describe(&self) -> String {
        format!("{}{}", self.hosts.join(","), self.root)
    }
}

/// A request with the limit of requests.
async fn limited<T>(request: impl Future<Output = Result<T, ClientError>>) -> Result<T, ClientError> {
    tokio::time::timeout(REQUEST_TIMEOUT, request).await.unwrap_or(Err(ClientError::Timeout))
}

/// Whether the answer was lost, as opposed to refused. The client tells of a connection that was reset, or that no answer
/// came through, by texts of its own.
fn is_interruption(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Custom(_)
            | ClientError::UnexpectedError(_)
            | ClientError::ConnectionLoss
            | ClientError::SessionExpired
            | ClientError::SessionMoved
            | ClientError::ClientClosed
            | ClientError::Timeout
    )
}

fn facts(stat: &Stat) -> KeeperStat {
    KeeperStat {
        version: stat.version,
        children: u32::try_from(stat.num_children).unwrap_or_default(),
        // TTL and container nodes have an owner too; taking them for live sessions errs on the safe side.
        ephemeral: stat.ephemeral_owner != 0,
        created_zxid: stat.czxid,
    }
}

/// A path without a slash at its end.
fn clean(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent == "/" { format!("/{name}") } else { format!("{parent}/{name}") }
}

#[cfg(test)]
mod tests;
