//! What a verification rests on.

use std::collections::BTreeMap;

use super::arguments::Health;
use crate::action::facts;
use crate::model::observed::HostWorld;
use crate::plan::fact::Fact;
use crate::plan::sql::{identifier, literal};

/// Detached parts of the tables that are looked at; of all where that is not known before.
pub fn detached(host: &HostWorld, databases: &[String]) -> BTreeMap<String, u64> {
    let is_shown = |name: &str| databases.is_empty() || databases.iter().any(|database| is_in(name, database));
    host.detached_parts.iter().filter(|(name, _)| is_shown(name)).map(|(name, parts)| (name.clone(), *parts)).collect()
}

fn is_in(name: &str, database: &str) -> bool {
    name.strip_prefix(database).is_some_and(|rest| rest.starts_with('.'))
}

/// Which tables are looked at, and how many parts are detached before; rows may move.
pub fn host_facts(host: &HostWorld, databases: &[String], parts: Health) -> Vec<Fact> {
    let mut found = Vec::new();
    for database in databases {
        let Some(tables) = facts::tables_of(host, database) else { continue };
        found.push(tables);
        if parts == Health::Healthy {
            let parts: u64 = detached(host, std::slice::from_ref(database)).values().sum();
            let query = format!(
                "SELECT table, count() FROM system.detached_parts WHERE database = {} GROUP BY table",
                literal(database)
            );
            found.push(Fact::new(
                &host.name,
                format!("detached parts of {}", identifier(database)),
                parts.to_string(),
                query,
            ));
        }
    }
    found
}
