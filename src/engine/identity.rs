//! Who a server is: what a plan rests on, whatever its steps do.

use crate::engine::ports::{Answer, Call, Sql, SqlError};
use crate::model::ids::HostName;
use crate::model::observed::{HostWorld, Identity, World};
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

/// Asks a server who it is, as the observation does: what this version does not have counts as empty.
///
/// # Errors
/// A server that does not answer.
pub async fn ask_identity(sql: &dyn Sql, host: &HostName) -> Result<String, SqlError> {
    let text = |answer: &Answer, column: &str| answer.text(0, column).unwrap_or_default();
    let optional = async |text: &str| match sql.call(host, Call::read(text)).await {
        Err(error) if matches!(error.code(), Some(46 | 47 | 60)) => Ok(Answer::default()),
        other => other,
    };
    let name = sql.call(host, Call::read("SELECT hostName() AS host")).await?;
    let uuid = optional("SELECT toString(serverUUID()) AS uuid").await?;
    let disk = optional("SELECT path FROM system.disks WHERE name = 'default'").await?;
    let macros = sql.call(host, Call::read("SELECT macro, substitution FROM system.macros ORDER BY macro")).await?;
    let identity = Identity {
        server_uuid: text(&uuid, "uuid"),
        host_name: text(&name, "host"),
        data_path: text(&disk, "path"),
        macros: (0..macros.rows.len())
            .filter_map(|row| Some((macros.text(row, "macro")?, macros.text(row, "substitution")?)))
            .collect(),
    };
    Ok(identity_line(&HostWorld { identity, ..HostWorld::default() }))
}

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
