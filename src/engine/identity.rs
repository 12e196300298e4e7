//! Who a server is: what a plan rests on, whatever its steps do.

use crate::model::observed::{HostWorld, World};
use crate::plan::fact::Fact;

use super::observe::cluster_query;

/// Who a server is, in one line.
#[must_use]
pub fn identity_line(host: &HostWorld) -> String {
    format!("{} with macros {}", server(host), macros(host))
}

/// The statement that shows [`identity_line`].
pub const IDENTITY_QUERY: &str = "SELECT serverUUID(), hostName(), (SELECT path FROM system.disks WHERE name = 'default'), (SELECT groupArray((macro, substitution)) FROM system.macros)";

/// The statement that shows the fact `identity`.
pub const SERVER_QUERY: &str =
    "SELECT serverUUID(), hostName(), (SELECT path FROM system.disks WHERE name = 'default')";

/// The same address with another UUID, name or folder is another server.
fn server(host: &HostWorld) -> String {
    let identity = &host.identity;
    format!("uuid {} on {} in {}", identity.server_uuid, identity.host_name, identity.data_path)
}

fn macros(host: &HostWorld) -> String {
    let macros: Vec<String> = host.identity.macros.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if macros.is_empty() { "none".to_owned() } else { macros.join(", ") }
}

/// Facts of every server that a plan touches or only reads.
#[must_use]
pub fn server_facts(world: &World) -> Vec<Fact> {
    let mut facts = Vec::new();
    for target in world.targets.values() {
        for host in &target.hosts {
            let name = &host.name;
            facts.push(Fact::new(name, "identity", server(host), SERVER_QUERY));
            facts.push(Fact::new(name, "version", host.version.clone(), "SELECT version()"));
            facts.push(Fact::new(
                name,
                "macros",
                macros(host),
                "SELECT macro, substitution FROM system.macros ORDER BY macro",
            ));
            if let Some(cluster) = &target.cluster {
                let members = match host.cluster_members.as_slice() {
                    [] => "no such cluster".to_owned(),
                    members => members.join(", "),
                };
                facts.push(Fact::new(name, format!("members of cluster `{cluster}`"), members, cluster_query(cluster)));
            }
        }
    }
    facts
}
