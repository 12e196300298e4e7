//! The lock on a target: an ephemeral node, and a lease that its holder keeps proving to itself.
//!
//! The client's session state alone is not enough to know that the lock is held: a process that was stopped
//! for a minute finds its last known state unchanged, while the servers have given the lock away. So a heartbeat
//! reads the node once a second, and the lock counts as held only while the last proof is younger than the
//! session time-out, less a margin.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, Client, CreateMode, Error as ClientError, SessionState, StateWatcher};

use super::{ATTEMPTS, ZooKeeper, is_interruption, limited};
use crate::adapter::boot_clock::{BootClock, Moment};
use crate::engine::ports::{KeeperError, LockGuard, LockHolder};

/// Time between two proofs.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Makes the ephemeral node, or tells who has made it.
pub(super) async fn take(
    keeper: &ZooKeeper,
    client: Client,
    path: &str,
    holder: &LockHolder,
) -> Result<SessionLock, KeeperError> {
    if path == "/" {
        return Err(keeper.failed_because("the lock needs a path of its own".to_owned()));
    }
    if let Some((parent, _)) = path.rsplit_once('/')
        && !parent.is_empty()
    {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        limited(client.mkdir(parent, &persistent)).await.map_err(|error| match error {
            ClientError::NoNode => keeper.failed_because(format!(
                "the root {} does not exist; the ClickHouse servers of this environment do not use it",
                client.path()
            )),
            error => keeper.failed(&error),
        })?;
    }
    let content = serde_json::to_vec(holder).map_err(|error| keeper.failed_because(error.to_string()))?;
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    for _ in 0..ATTEMPTS {
        let asked = keeper.clock.now();
        match limited(client.create(path, &content, &options)).await {
            Ok(_) => return Ok(SessionLock::new(client, path, keeper.clock.clone(), asked)),
            // After a lost answer the node that is there may be our own.
            Err(error) if error == ClientError::NodeExists || is_interruption(&error) => {}
            Err(error) => return Err(keeper.failed(&error)),
        }
        let asked = keeper.clock.now();
        match limited(client.get_data(path)).await {
            Ok((_, stat)) if stat.ephemeral_owner == client.session_id().0 => {
                return Ok(SessionLock::new(client, path, keeper.clock.clone(), asked));
            }
            Ok((content, _)) => {
                return Err(KeeperError::Locked { holder: read_holder(&content) });
            }
            // Given back meanwhile, or not arrived: once more.
            Err(ClientError::NoNode) => {}
            Err(error) if is_interruption(&error) => {}
            Err(error) => return Err(keeper.failed(&error)),
        }
    }
    Err(keeper.failed_because(format!("the lock {path} could not be taken in {ATTEMPTS} attempts")))
}

/// The holder written in a lock; a node that somebody else made says so.
fn read_holder(content: &[u8]) -> LockHolder {
    serde_json::from_slice(content).unwrap_or_else(|_| LockHolder {
        run: "(not written by clickferry)".to_owned(),
        owner: String::from_utf8_lossy(content).chars().take(100).collect(),
        pid: 0,
        since: "(unknown)".to_owned(),
        machine: String::new(),
    })
}

/// What the heartbeat knows.
struct Lease {
    /// When the last successful proof was asked for.
    proven: Mutex<Moment>,
    clock: BootClock,
    /// For how long a proof counts.
    valid: Duration,
    /// The node is gone or belongs to another session; never turns back.
    lost: AtomicBool,
}

impl Lease {
    fn prove(&self, asked: Moment) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = asked;
    }

    /// Whether the last proof is young enough to be believed.
    fn is_proven(&self) -> bool {
        let proven = *self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        !self.lost.load(Ordering::SeqCst) && self.clock.age(&proven) < self.valid
    }
}

/// A lock held by a session.
pub(super) struct SessionLock {
    client: Mutex<Option<Client>>,
    state: StateWatcher,
    path: String,
    lease: Arc<Lease>,
    heartbeat: JoinHandle<()>,
}

impl SessionLock {
    fn new(client: Client, path: &str, clock: BootClock, proven: Moment) -> Self {
        // A third is left for clocks that run differently and for the write that follows the question.
        let valid = client.session_timeout() * 2 / 3;
        let lease = Arc::new(Lease { proven: Mutex::new(proven), clock, valid, lost: AtomicBool::new(false) });
        let heartbeat = tokio::spawn(beat(client.clone(), path.to_owned(), Arc::clone(&lease)));
        Self {
            state: client.state_watcher(),
            client: Mutex::new(Some(client)),
            path: path.to_owned(),
            lease,
            heartbeat,
        }
    }
}

/// Proves once a second that the node is there and ours.
async fn beat(client: Client, path: String, lease: Arc<Lease>) {
    let own = client.session_id().0;
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        let asked = lease.clock.now();
        match limited(client.check_stat(&path)).await {
            Ok(Some(stat)) if stat.ephemeral_owner == own => {
                lease.prove(asked);
            }
            Ok(_) => lease.lost.store(true, Ordering::SeqCst),
            // No news is no proof; the lease runs out by itself.
            Err(_) if client.state().is_terminated() => lease.lost.store(true, Ordering::SeqCst),
            Err(_) => {}
        }
        if lease.lost.load(Ordering::SeqCst) {
            return;
        }
    }
}

#[async_trait]
impl LockGuard for SessionLock {
    fn is_held(&self) -> bool {
        self.state.peek_state() == SessionState::SyncConnected && self.lease.is_proven()
    }

    async fn release(&self) {
        let held = self.is_held();
        self.lease.lost.store(true, Ordering::SeqCst);
        self.heartbeat.abort();
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Where the session is gone, so is the node; one of that name is somebody else's.
        if let Some(client) = client
            && held
        {
            // A failure leaves the node to the end of the session, which comes right now.
            let _ = limited(client.delete(&self.path, None)).await;
        }
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // The heartbeat holds the session open.
        self.heartbeat.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::boot_clock::tests::ByHand;

    #[test]
    fn a_lock_is_not_believed_in_after_the_machine_slept() {
        let hand = ByHand::new();
        let clock = hand.clock();
        let proven = Mutex::new(clock.now());
        let lease = Lease { proven, clock, valid: Duration::from_secs(6), lost: AtomicBool::new(false) };
        hand.sleeps(Duration::from_secs(5));
        assert!(lease.is_proven());
        hand.sleeps(Duration::from_secs(1));
        assert!(!lease.is_proven());
        // The heartbeat finds the node still there: nobody took it.
        lease.prove(lease.clock.now());
        assert!(lease.is_proven());
        hand.wall_jumps(7);
        assert!(!lease.is_proven());
    }
}
