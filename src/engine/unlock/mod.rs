//! Who holds the locks of an environment, and whether they live. A lock is removed only of a holder that is gone, and
//! only after a person has seen why.

mod evidence;
mod statements;

use std::time::Duration;

pub use evidence::{Process, process};
pub(super) use statements::statements_of_all;
pub use statements::{Running, Statement, statements_of};

use super::locks::{lock_path, this_process};
use super::ports::{Held, Keeper, KeeperError, Life, LockHolder, Ports};
use super::server_locks::{ServerLock, server_locks};
use super::state_failure::state_failure;
use crate::diag::{Failure, Refusal};
use crate::model::environment::Environment;
use crate::model::ids::RunId;

/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_secs(1);
/// A node in Keeper that is still there after so long has a living session; sessions last 10 s.
const SESSION: Duration = Duration::from_secs(15);

/// One lock of an environment.
pub struct Lock<'a> {
    /// What it protects, for people.
    pub name: String,
    /// Worth a word also where nobody holds it; a server's follows its target's.
    pub is_plain: bool,
    place: Place<'a>,
}

enum Place<'a> {
    State,
    Keeper { keeper: &'a dyn Keeper, path: String },
}

/// What was found about a lock.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it protects.
    pub lock: String,
    /// Who holds it.
    pub holder: LockHolder,
    /// What this machine knows of the holder's process.
    pub process: Process,
    /// The last sign of life, for people.
    pub last_sign: String,
    /// Whether the holder lives, and how that is known.
    pub verdict: Verdict,
}

/// Whether a holder lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives.
    Alive(String),
    /// It is gone: the lock may be removed.
    Gone(String),
}

/// The locks of an environment; of one target and the state where one is named.
pub async fn locks_of<'a>(environment: &Environment, ports: &'a Ports, target: Option<&str>) -> Vec<Lock<'a>> {
    let state = Lock { name: format!("the state {}", ports.state.describe()), is_plain: true, place: Place::State };
    let mut locks = vec![state];
    let mut known: Vec<String> = Vec::new();
    for (role, binding) in &environment.targets {
        let Some(keeper) = ports.keepers.get(role) else { continue };
        let path = lock_path(binding);
        let key = format!("{} {path}", keeper.describe());
        if target.is_some_and(|only| only != role) || known.contains(&key) {
            continue;
        }
        known.push(key);
        let name = format!("the target {role} ({path} in Keeper)");
        locks.push(Lock { name, is_plain: true, place: Place::Keeper { keeper: &**keeper, path } });
        for ServerLock { host, path } in server_locks(binding, ports).await {
            if known.contains(&path) {
                continue;
            }
            known.push(path.clone());
            let name = format!("the server {host} ({path} in Keeper)");
            locks.push(Lock { name, is_plain: false, place: Place::Keeper { keeper: &**keeper, path } });
        }
    }
    locks
}

impl Lock<'_> {
    /// Looks at the lock, and watches it where only time can tell. `None` where nobody holds it.
    ///
    /// # Errors
    /// A place that cannot be read.
    pub async fn look(&self, ports: &Ports, tell: &(dyn Fn(&str) + Sync)) -> Result<Option<Finding>, Failure> {
        match &self.place {
            Place::State => self.look_at_state(ports, tell).await,
            Place::Keeper { keeper, path } => self.look_at_keeper(*keeper, path, ports, tell).await,
        }
    }

    async fn look_at_state(&self, ports: &Ports, tell: &(dyn Fn(&str) + Sync)) -> Result<Option<Finding>, Failure> {
        let holder = || async { ports.state.holder().await.map_err(state_failure) };
        let Some(Held { holder: held, life }) = holder().await? else { return Ok(None) };
        let process = process(&held, &here(ports));
        let finding = |last_sign: String, verdict| Finding {
            lock: self.name.clone(),
            holder: held.clone(),
            process: process.clone(),
            last_sign,
            verdict,
        };
        let (mark, life, at) = match life {
            Life::Process => {
                let sign = "now: the operating system holds the lock for its process".to_owned();
                let verdict = Verdict::Alive("a lock of the operating system ends with its process".to_owned());
                return Ok(Some(finding(sign, verdict)));
            }
            Life::Renewed { mark, life, at } => (mark, life, at),
        };
        let sign = at.map_or_else(
            || "not told by the store".to_owned(),
            |at| format!("{} by the clock of the store", at.strftime("%Y-%m-%d %H:%M:%S UTC")),
        );
        if let Some(verdict) = process.verdict() {
            return Ok(Some(finding(sign, verdict)));
        }
        tell(&format!("Watching {} for {} s.", self.name, life.as_secs()));
        let watching = std::time::Instant::now();
        loop {
            // Taken before asking: what is still the same after that was the same for so long.
            let is_over = watching.elapsed() > life;
            match holder().await? {
                None => return Ok(None),
                Some(Held { life: Life::Renewed { mark: now, .. }, .. }) if now == mark => {}
                Some(_) => {
                    let verdict = Verdict::Alive("it renewed the lock while it was watched".to_owned());
                    return Ok(Some(finding("just now".to_owned(), verdict)));
                }
            }
            if is_over {
                let verdict = Verdict::Gone(format!("it did not renew the lock for {} s", life.as_secs()));
                return Ok(Some(finding(sign, verdict)));
            }
            ports.clock.sleep(PAUSE).await;
        }
    }

    async fn look_at_keeper(
        &self,
        keeper: &dyn Keeper,
        path: &str,
        ports: &Ports,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<Option<Finding>, Failure> {
        let node = || async { keeper.get(path).await.map_err(|error| keeper_failure(&self.name, &error)) };
        let Some(first) = node().await? else { return Ok(None) };
        let Ok(held) = serde_json::from_slice::<LockHolder>(&first.value) else {
            return Err(not_ours(&self.name, path));
        };
        let process = process(&held, &here(ports));
        let finding = |last_sign: &str, verdict| Finding {
            lock: self.name.clone(),
            holder: held.clone(),
            process: process.clone(),
            last_sign: last_sign.to_owned(),
            verdict,
        };
        if !first.stat.ephemeral {
            let verdict = Verdict::Gone("no session holds the node".to_owned());
            return Ok(Some(finding("none", verdict)));
        }
        if let Some(verdict) = process.verdict() {
            return Ok(Some(finding("its session in Keeper", verdict)));
        }
        tell(&format!("Watching {} for {} s.", self.name, SESSION.as_secs()));
        let watching = std::time::Instant::now();
        loop {
            let is_over = watching.elapsed() > SESSION;
            match node().await? {
                Some(now) if now.stat.created_zxid == first.stat.created_zxid => {}
                _ => return Ok(None),
            }
            if is_over {
                let verdict = Verdict::Alive("its session in Keeper lives; the lock would vanish with it".to_owned());
                return Ok(Some(finding("its session in Keeper", verdict)));
            }
            ports.clock.sleep(PAUSE).await;
        }
    }

    /// Removes the lock of a holder that is gone.
    ///
    /// # Errors
    /// Where somebody else holds it meanwhile.
    pub async fn remove(&self, ports: &Ports, holder: &LockHolder) -> Result<(), Failure> {
        match &self.place {
            Place::State => ports.state.remove_lock(holder).await.map_err(state_failure),
            Place::Keeper { keeper, path } => {
                keeper.remove_lock(path, holder).await.map_err(|error| keeper_failure(&self.name, &error))
            }
        }
    }
}

/// This process's machine.
fn here(ports: &Ports) -> String {
    this_process(&RunId::default(), "", &*ports.clock).machine
}

fn keeper_failure(lock: &str, error: &KeeperError) -> Failure {
    Failure::error(Refusal {
        what: format!("the lock on {lock} cannot be looked at"),
        expected: "Keeper answers".to_owned(),
        found: error.to_string(),
        evidence: String::new(),
        action: "start Keeper or correct `keeper` in the environment; nothing was changed".to_owned(),
    })
}

fn not_ours(lock: &str, path: &str) -> Failure {
    Failure::refused(Refusal {
        what: format!("the lock on {lock} was not written by clickferry"),
        expected: "a node with the holder's run, owner and process".to_owned(),
        found: "another content".to_owned(),
        evidence: format!("SELECT * FROM system.zookeeper WHERE path = '{path}'"),
        action: "find out who made the node; clickferry removes its own only".to_owned(),
    })
}

impl Process {
    /// What the process alone tells about its lock.
    fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Here { pid, state } => Some(Verdict::Alive(format!("its process {pid} is on this machine, {state}"))),
            Self::Gone { pid } => Some(Verdict::Gone(format!("its process {pid} was on this machine and is gone"))),
            Self::Elsewhere => None,
        }
    }
}
