//! The users of the new servers, asked only where a definition names one: a view with a DEFINER that is not there is not
//! created (error 192).

use std::collections::BTreeMap;

use super::Arguments;
use crate::diag::Failure;
use crate::engine::context::ObserveContext;
use crate::engine::errors::explain_look;
use crate::engine::ports::Call;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::convert::{Conversion, Demand, to_replicated};

/// The statement that shows them.
pub const QUERY: &str = "SELECT name FROM system.users";

/// Whether the definition of a table names a user.
fn names_user(arguments: &Arguments, create_query: &str) -> bool {
    // Few definitions do; the others need not be taken apart.
    create_query.contains("DEFINER")
        && matches!(to_replicated(create_query, &arguments.replication()), Conversion::Create(created)
            if created.demands.iter().any(|demand| matches!(demand, Demand::User(_))))
}

/// Names by host; without the hosts that do not let the user of the environment see them.
pub async fn observe(
    context: &ObserveContext<'_>,
    arguments: &Arguments,
    source: &HostWorld,
    target: &TargetWorld,
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut users = BTreeMap::new();
    let mut tables = source.tables_of(arguments.database.as_str());
    if !tables.any(|table| !arguments.leaves_out(&table.name) && names_user(arguments, &table.create_query)) {
        return Ok(users);
    }
    for host in &target.hosts {
        match context.ports.sql.call(&host.name, Call::read(QUERY)).await {
            Ok(answer) => {
                let names = (0..answer.rows.len()).filter_map(|row| answer.text(row, "name"));
                users.insert(host.name.0.clone(), names.collect());
            }
            // ACCESS_DENIED: whoever may not see users can plan all the same; UNKNOWN_TABLE: an old version.
            Err(error) if matches!(error.code(), Some(497 | 60)) => {}
            Err(error) => {
                return Err(Failure::error(explain_look(format!("looking at the users of {}", host.name), &error)));
            }
        }
    }
    Ok(users)
}
