//! Looks at the disks and storage policies of a server.

use super::observe::Asker;
use super::ports::SqlError;
use crate::model::observed::HostWorld;
use crate::model::storage::{DEFAULT_POLICY, Storage};

/// Fills in the data path, the free space, and what the guard on free space needs. A server that does not tell
/// leaves them empty.
pub(super) async fn observe_disks(asker: &Asker<'_>, world: &mut HostWorld) -> Result<(), SqlError> {
    let disks = asker.optional("SELECT name, path, free_space FROM system.disks ORDER BY name").await?;
    let mut storage = Storage::default();
    for row in 0..disks.rows.len() {
        let (Some(name), Some(free)) = (disks.text(row, "name"), disks.number(row, "free_space")) else { continue };
        if name == "default" {
            world.identity.data_path = disks.text(row, "path").unwrap_or_default();
            world.free_bytes = free;
        }
        storage.disks.insert(name, free);
    }
    let policies = asker
        .optional(
            "SELECT policy_name, arrayStringConcat(disks, '\\n') AS disks FROM system.storage_policies ORDER BY policy_name, volume_priority",
        )
        .await?;
    for row in 0..policies.rows.len() {
        let (Some(policy), Some(names)) = (policies.text(row, "policy_name"), policies.text(row, "disks")) else {
            continue;
        };
        storage.policies.entry(policy).or_default().extend(names.lines().map(str::to_owned));
    }
    let default = asker.optional("SELECT value FROM system.merge_tree_settings WHERE name = 'storage_policy'").await?;
    storage.default_policy =
        default.text(0, "value").filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_POLICY.to_owned());
    world.storage = storage;
    Ok(())
}
