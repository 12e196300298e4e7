//! Whether the Keeper of the environment is the one that the servers use.
//!
//! A wrong address or root answers "not there" to everything: gates would pass, locks would lock nobody out, and what
//! looks alike elsewhere would be cleared.

use futures_util::future::join_all;

use super::ports::{Keeper, Ports};
use crate::diag::Refusal;
use crate::model::environment::{Environment, TargetBinding};
use crate::model::observed::{HostWorld, Table, World};
use crate::model::words::count_of;

/// So many tables of a host are asked for: one may be dropped just now, several are not.
const ASKED: usize = 4;

/// Hosts whose replicas are not in the Keeper that the environment names. A Keeper that does not answer is told where
/// it is needed.
pub(super) async fn foreign_keepers(world: &World, environment: &Environment, ports: &Ports) -> Vec<Refusal> {
    let mut asked = Vec::new();
    for (role, target) in &world.targets {
        let (Some(keeper), Some(binding)) = (ports.keepers.get(role), environment.targets.get(role)) else { continue };
        asked.extend(target.hosts.iter().map(|host| foreign(role, host, binding, &**keeper)));
    }
    join_all(asked).await.into_iter().flatten().collect()
}

async fn foreign(role: &str, host: &HostWorld, binding: &TargetBinding, keeper: &dyn Keeper) -> Option<Refusal> {
    let paths: Vec<String> = host.tables.iter().filter_map(|table| replica_path(table)).take(ASKED).collect();
    if paths.is_empty() {
        return None;
    }
    let answers = join_all(paths.iter().map(|path| keeper.children(path))).await;
    if !answers.iter().all(|answer| matches!(answer, Ok(None))) {
        return None;
    }
    let root = binding.keeper.as_ref().and_then(|keeper| keeper.root.as_deref()).unwrap_or("/");
    Some(Refusal {
        what: format!("the Keeper of `{role}` is not the one that {} uses", host.name),
        expected: format!("{} at {}, below the root {root}", paths.join(", "), keeper.describe()),
        found: format!("none of {} there", count_of(paths.len(), "replica path")),
        evidence: format!(
            "on {}: SELECT database, table, replica_path, zookeeper_name FROM system.replicas",
            host.name
        ),
        action: "correct `keeper` (hosts and root) of the target in the environment; the server's own is in its \
                 configuration under <zookeeper>"
            .to_owned(),
    })
}

/// Where the server says that its replica of a table is. One that is read-only may have lost its place, and one in
/// another Keeper than the server's first (`'name:/path'`) is not asked for.
fn replica_path(table: &Table) -> Option<String> {
    let (path, replica) = (table.zookeeper_path.as_ref()?, table.replica_name.as_ref()?);
    let is_elsewhere = table.engine_full.split('\'').nth(1).is_some_and(|path| !path.starts_with('/'));
    (path.starts_with('/') && !table.is_readonly && !is_elsewhere).then(|| format!("{path}/replicas/{replica}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replicas_that_must_be_in_the_servers_own_keeper_are_asked_for() {
        let table = |engine: &str, is_readonly| Table {
            engine_full: engine.into(),
            zookeeper_path: Some("/t/1".to_owned()),
            replica_name: Some("r1".to_owned()),
            is_readonly,
            ..Table::default()
        };
        let own = "ReplicatedMergeTree('/t/{shard}', '{replica}') ORDER BY id";
        assert_eq!(replica_path(&table(own, false)).as_deref(), Some("/t/1/replicas/r1"));
        assert_eq!(replica_path(&table("ReplicatedMergeTree ORDER BY id", false)).as_deref(), Some("/t/1/replicas/r1"));
        assert!(replica_path(&table(own, true)).is_none());
        assert!(replica_path(&table("ReplicatedMergeTree('other:/t/{shard}', '{replica}')", false)).is_none());
        assert!(replica_path(&Table::default()).is_none());
    }
}
