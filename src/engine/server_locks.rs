//! Locks of single servers: two environments may name the same servers in other words, and the server's own id is the
//! same in all of them. And what can be seen of other runs where there is no Keeper to lock in.

use futures_util::future::join_all;

use super::locks::LOCK_ROOT;
use super::ports::{Call, Ports};
use super::run::Runner;
use super::unlock::statements_of_all;
use crate::diag::{Failure, Refusal};
use crate::model::environment::TargetBinding;
use crate::model::ids::{HostName, RunId};

/// The lock of one server.
pub(super) struct ServerLock {
    /// The server, as this environment names it.
    pub host: HostName,
    /// The node in its Keeper.
    pub path: String,
}

/// The locks of the servers of a target, in the order of their ids. A server that does not answer, or that is too old to
/// have an id, has none; nothing can be sent to the first, and the lock of the target stands for the second.
pub(super) async fn server_locks(target: &TargetBinding, ports: &Ports) -> Vec<ServerLock> {
    let asked = target.hosts.iter().map(|host| async move {
        let host = host.host_name();
        let answer = ports.sql.call(&host, Call::read("SELECT toString(serverUUID()) AS uuid")).await;
        let id = answer.ok()?.text(0, "uuid").filter(|id| !id.is_empty())?;
        Some(ServerLock { host, path: format!("{LOCK_ROOT}/server-{id}") })
    });
    let mut locks: Vec<ServerLock> = join_all(asked).await.into_iter().flatten().collect();
    locks.sort_by(|one, other| one.path.cmp(&other.path));
    locks.dedup_by(|one, other| one.path == other.path);
    locks
}

impl Runner<'_> {
    /// Refuses where a server without a Keeper shows statements of another run. This is no lock: two engines that begin in
    /// the same moment do not see each other.
    pub(super) async fn no_other_run(&self, target: &str, binding: &TargetBinding, run: &RunId) -> Result<(), Failure> {
        let own = format!("clickferry-{run}-");
        let hosts = binding.hosts.iter().map(|host| host.host_name()).collect();
        let found = statements_of_all(hosts, self.ports).await;
        let others: Vec<_> = found.into_iter().filter(|statement| !statement.id.starts_with(&own)).collect();
        let Some(first) = others.first() else { return Ok(()) };
        // What they are about stays out: a backup's name may hold keys of the other run's bucket, which nobody here knows.
        let kind = |what: &str| what.split(',').next().unwrap_or_default().to_owned();
        let told = others.iter().take(8).map(|other| format!("{} on {} ({})", other.id, other.host, kind(&other.what)));
        let told: Vec<String> = told.collect();
        Err(Failure::refused(Refusal {
            what: format!("another run of clickferry is at work on the target `{target}`"),
            expected: "no statement of another run".to_owned(),
            found: told.join("\n"),
            evidence: format!(
                "on {}: SELECT query_id, elapsed FROM system.processes WHERE query_id LIKE 'clickferry-%'; SELECT id, status FROM system.backups WHERE id LIKE 'clickferry-%'",
                first.host
            ),
            action: "wait for its end, or end that run with `clickferry cancel RUN --kill` where its state is; nothing was changed".to_owned(),
        }))
    }
}
