//! The world afterwards: on every host each of the two tables has the other's name.

use std::collections::BTreeMap;

use super::swap::Named;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, Table};
use crate::plan::convert::{called, expand_names};

/// Plays the exchange of a pair on a target.
pub fn exchange(context: &mut PlanContext<'_>, role: &str, names: &[Named; 2]) {
    let Some(target) = context.world.targets.get_mut(role) else { return };
    for host in &mut target.hosts {
        on_host(host, names);
    }
}

fn on_host(host: &mut HostWorld, [one, other]: &[Named; 2]) {
    let (Some(first), Some(second)) =
        (host.table(&one.database, &one.name).cloned(), host.table(&other.database, &other.name).cloned())
    else {
        return;
    };
    host.tables.add([renamed(first, other), renamed(second, one)]);
    let names = [one, other].map(|named| format!("{}.{}", named.database, named.name));
    for numbers in [&mut host.detached_parts, &mut host.waiting_files, &mut host.waiting_rows] {
        exchange_keys(numbers, &names);
    }
    for mutation in &mut host.mutations {
        for (name, new) in [(&names[0], &names[1]), (&names[1], &names[0])] {
            if let Some(command) = mutation.strip_prefix(name.as_str()).filter(|rest| rest.starts_with(": ")) {
                *mutation = format!("{new}{command}");
                break;
            }
        }
    }
}

fn exchange_keys(numbers: &mut BTreeMap<String, u64>, names: &[String; 2]) {
    let (one, other) = (numbers.remove(&names[0]), numbers.remove(&names[1]));
    numbers.extend(one.map(|number| (names[1].clone(), number)));
    numbers.extend(other.map(|number| (names[0].clone(), number)));
}

/// The path in Keeper stays what it was, also where an earlier step of the plan has written it with `{table}`.
fn renamed(table: Table, to: &Named) -> Table {
    let text = expand_names(&table.create_query, &table.database, &table.name);
    let create_query = called(&text, &to.database, &to.name).into();
    let renamed_from = table.renamed_from.clone().or_else(|| Some((table.database.clone(), table.name.clone())));
    Table { database: to.database.clone(), name: to.name.clone(), create_query, renamed_from, ..table }
}
