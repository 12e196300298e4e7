//! Locks of a run: the state, and every target with a Keeper, under its name and under the ids of its servers.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::event::RunEvent;
use super::journal::HeldLock;
use super::ports::{Clock, Keeper, KeeperError, LockGuard, LockHolder, StateError, StateStore};
use super::run::{Runner, new_run_id, state_failure};
use super::server_locks::server_locks;
use crate::diag::{Failure, Refusal};
use crate::model::environment::TargetBinding;
use crate::model::ids::RunId;
use crate::plan::plan_file::Plan;

/// Longest wait for the lock of this run's former process; sessions last 10 s.
const OWN_LOCK_WAIT: Duration = Duration::from_secs(30);
const OWN_LOCK_PAUSE: Duration = Duration::from_millis(500);
/// Between two looks at the lock of the state; a living holder renews it every few seconds.
const STATE_LOCK_PAUSE: Duration = Duration::from_secs(1);
/// Folder in Keeper under which targets are locked.
pub(super) const LOCK_ROOT: &str = "/clickferry/locks";

impl Runner<'_> {
    /// Law 8: the state and every target with a Keeper are locked for as long as the run lasts.
    pub(super) async fn locks(&self, targets: &[&str], run: &RunId) -> Result<Vec<HeldLock>, Failure> {
        let holder = self.holder(run);
        let tell = |text: &str| self.observer.event(&RunEvent::Notice { text });
        let guard = lock_state(&*self.ports.state, &holder, &*self.ports.clock, &self.stop, &tell).await?;
        let mut locks = vec![HeldLock { name: format!("the state {}", self.ports.state.describe()), guard }];
        let mut taken: Vec<String> = Vec::new();
        // What can be locked is, before the others are looked at.
        let mut targets = targets.to_vec();
        targets.sort_by_key(|target| !self.ports.keepers.contains_key(*target));
        for target in targets {
            let Some(binding) = self.environment.targets.get(target) else { continue };
            let locked = match self.ports.keepers.get(target) {
                Some(keeper) => self.lock_servers(target, binding, &**keeper, &holder, (&mut locks, &mut taken)).await,
                None => {
                    if binding.hosts.len() > 1 {
                        tell(&format!("the target `{target}` has no `keeper` in the environment and is not locked"));
                    }
                    self.no_other_run(target, binding, run).await
                }
            };
            if let Err(failure) = locked {
                release(&locks).await;
                return Err(failure);
            }
        }
        Ok(locks)
    }

    /// The lock of a target under the name that this environment has for it, then one for each of its servers.
    async fn lock_servers(
        &self,
        target: &str,
        binding: &TargetBinding,
        keeper: &dyn Keeper,
        holder: &LockHolder,
        (locks, taken): (&mut Vec<HeldLock>, &mut Vec<String>),
    ) -> Result<(), Failure> {
        let path = lock_path(binding);
        let mut wanted = vec![(format!("{} {path}", keeper.describe()), format!("the target {target}"), path)];
        for server in server_locks(binding, self.ports).await {
            // A server has one Keeper, however two roles name it.
            wanted.push((server.path.clone(), format!("the server {}", server.host), server.path));
        }
        for (key, what, path) in wanted {
            if taken.contains(&key) {
                continue;
            }
            match self.lock_target(keeper, &path, holder).await {
                Ok(guard) => locks.push(HeldLock { name: format!("{what} ({path} in Keeper)"), guard }),
                Err(error) => return Err(lock_failure(target, &path, &error)),
            }
            taken.push(key);
        }
        Ok(())
    }

    /// This process, as others see it who find one of its locks.
    pub(super) fn holder(&self, run: &RunId) -> LockHolder {
        this_process(run, &self.owner, &*self.ports.clock)
    }

    /// Takes every lock for a run that is about to be planned: what is seen from now on, nobody else's run changes.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the holder where somebody else has one.
    pub async fn reserve(&self) -> Result<Reservation, Failure> {
        let targets: Vec<&str> = self.environment.targets.keys().map(String::as_str).collect();
        self.reserve_targets(&targets).await
    }

    /// As [`Self::reserve`], of some targets only.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub async fn reserve_targets(&self, targets: &[&str]) -> Result<Reservation, Failure> {
        let run = new_run_id(self.ports.clock.now());
        let locks = self.locks(targets, &run).await?;
        Ok(Reservation { run, locks })
    }
}

/// The locks of a run that has not begun.
pub struct Reservation {
    /// Id of the run.
    pub(super) run: RunId,
    /// Its locks.
    pub(super) locks: Vec<HeldLock>,
}

impl Reservation {
    /// Gives the locks back; the run never begins.
    pub async fn cancel(self) {
        release(&self.locks).await;
    }
}

/// The targets of a plan, each once.
#[must_use]
pub fn targets_of(plan: &Plan) -> Vec<&str> {
    let mut targets: Vec<&str> = plan.hosts.iter().map(|host| host.target.as_str()).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Where a target is locked in its Keeper.
pub(super) fn lock_path(target: &TargetBinding) -> String {
    let hosts = || {
        let mut names: Vec<String> = target.hosts.iter().map(|host| host.host_name().0).collect();
        // The order in the file means nothing.
        names.sort();
        names.join(",")
    };
    format!("{LOCK_ROOT}/{}", target.cluster.clone().unwrap_or_else(hosts))
}

/// This process as the holder of a lock.
pub fn this_process(run: &RunId, owner: &str, clock: &dyn Clock) -> LockHolder {
    LockHolder {
        run: run.0.clone(),
        owner: owner.to_owned(),
        pid: std::process::id(),
        since: clock.now().to_string(),
        machine: machine(),
    }
}

/// Takes the lock of a state. A holder that gives no sign of life is watched until it does, or until its lock has run
/// out; one whose process was on this machine and is gone is not waited for.
///
/// # Errors
/// [`Failure::Refused`] with the holder where it lives.
pub async fn lock_state(
    state: &dyn StateStore,
    holder: &LockHolder,
    clock: &dyn Clock,
    stop: &CancellationToken,
    tell: &(dyn Fn(&str) + Sync),
) -> Result<Box<dyn LockGuard>, Failure> {
    let mut has_told = false;
    loop {
        let other = match state.lock(holder).await {
            Err(StateError::Locked { holder: other, is_alive: false, .. }) => other,
            result => return result.map_err(state_failure),
        };
        if stop.is_cancelled() {
            return Err(Failure::Cancelled("stopped while waiting for the lock of the state".to_owned()));
        }
        if is_dead_here(&other, &holder.machine) {
            state.remove_lock(&other).await.map_err(state_failure)?;
            continue;
        }
        if !has_told {
            has_told = true;
            tell(&format!(
                "waiting: run {} of {} has the lock of the state; watching whether that process lives",
                other.run, other.owner
            ));
        }
        clock.sleep(STATE_LOCK_PAUSE).await;
    }
}

impl Runner<'_> {
    /// A killed engine's ephemeral node stays until its session times out. Where its process was on this machine and is
    /// gone (another process id than any in use, in the same boot and process namespace), its node is removed; where
    /// this very run was elsewhere, the end of its session is waited for.
    async fn lock_target(
        &self,
        keeper: &dyn Keeper,
        path: &str,
        holder: &LockHolder,
    ) -> Result<Box<dyn LockGuard>, KeeperError> {
        let mut waited = Duration::ZERO;
        loop {
            let other = match keeper.lock(path, holder).await {
                Err(KeeperError::Locked { holder: other }) if waited < OWN_LOCK_WAIT => other,
                result => return result,
            };
            if is_dead_here(&other, &holder.machine) {
                keeper.remove_lock(path, &other).await?;
            } else if other.run != holder.run {
                return Err(KeeperError::Locked { holder: other });
            } else if waited.is_zero() {
                self.observer.event(&RunEvent::Notice {
                    text: "waiting: the process that held this run before may still live elsewhere; its lock vanishes with its session",
                });
            }
            self.ports.clock.sleep(OWN_LOCK_PAUSE).await;
            waited += OWN_LOCK_PAUSE;
        }
    }
}

/// Whether the holder's process was on this machine and is gone.
pub(super) fn is_dead_here(holder: &LockHolder, machine: &str) -> bool {
    is_here(holder, machine) && !process_exists(holder.pid)
}

/// Whether the holder's process was started on this machine.
pub(super) fn is_here(holder: &LockHolder, machine: &str) -> bool {
    !holder.machine.is_empty() && holder.machine == machine
}

/// This boot of this machine and the process namespace: two containers differ, and so do two machines of one name.
#[must_use]
pub fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default();
    if boot.is_empty() || space.is_empty() { String::new() } else { format!("{} {space}", boot.trim()) }
}

/// Whether a process of this machine has this id; it need not be the one that had it before. One that has ended and
/// that nobody asked about yet has it still, and does nothing any more.
fn process_exists(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state stands behind the name, which may hold anything.
        Ok(stat) => !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']),
        Err(_) => std::path::Path::new(&format!("/proc/{pid}")).exists(),
    }
}

/// Gives every lock back.
pub(super) async fn release(locks: &[HeldLock]) {
    for lock in locks {
        lock.guard.release().await;
    }
}

fn lock_failure(target: &str, path: &str, error: &KeeperError) -> Failure {
    let refusal = |expected: &str, action: &str| Refusal {
        what: format!("the target `{target}` cannot be locked"),
        expected: expected.to_owned(),
        found: error.to_string(),
        evidence: format!("the node {path} in Keeper"),
        action: action.to_owned(),
    };
    match error {
        KeeperError::Locked { .. } => Failure::refused(refusal(
            "no other engine works on this target",
            "wait for that run, or stop it; its lock vanishes with its process and the session time-out",
        )),
        _ => Failure::error(refusal(
            "Keeper answers",
            "start Keeper or correct `keeper` in the environment; nothing was changed",
        )),
    }
}
