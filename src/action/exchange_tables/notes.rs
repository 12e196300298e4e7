//! What a reviewer should know of an exchange: who goes by the names, what differs, and what stays crossed.

use std::collections::BTreeSet;

use super::swap::Named;
use crate::action::gate::first_of;
use crate::engine::context::PlanContext;
use crate::model::observed::{HostWorld, TargetWorld};
use crate::plan::convert::{Ddl, dependencies, differences};

/// So many names are told.
const MOST: usize = 12;

/// The notes of one pair, each once for all hosts.
pub fn of_pair(context: &PlanContext<'_>, target: &TargetWorld, names: &[Named; 2]) -> Vec<String> {
    let step = context.step;
    let [one, other] = names.each_ref().map(Named::sql);
    let mut notes = Vec::new();
    let differing: BTreeSet<String> = target.hosts.iter().flat_map(|host| definition(host, names)).collect();
    if !differing.is_empty() {
        let told = first_of(&differing.into_iter().collect::<Vec<_>>(), MOST, "; ");
        notes.push(format!("step `{step}`: behind the name {one}, from then on: {told}"));
    }
    let users: BTreeSet<String> = target.hosts.iter().flat_map(|host| users(host, names)).collect();
    if !users.is_empty() {
        let told = first_of(&users.into_iter().collect::<Vec<_>>(), MOST, ", ");
        notes.push(format!(
            "step `{step}`: {one} or {other} is named in {told}. What names a table goes by the name: it reads from, or \
             writes to, the other table from then on"
        ));
    }
    let is_replicated = |named: &Named| {
        let path = |host: &HostWorld| host.table(&named.database, &named.name)?.zookeeper_path.clone();
        target.hosts.iter().find_map(path)
    };
    if let (Some(first), Some(second)) = (is_replicated(&names[0]), is_replicated(&names[1])) {
        notes.push(format!(
            "step `{step}`: paths in Keeper go with the tables: {one} is at {second} from then on and {other} at {first}, so a \
             new table must not take its path from one of these names (error 253)"
        ));
    }
    notes
}

/// In what the definition behind the first name changes, apart from columns and the place in Keeper.
fn definition(host: &HostWorld, [one, other]: &[Named; 2]) -> Vec<String> {
    let text = |named: &Named| host.table(&named.database, &named.name).map(|table| table.create_query.clone());
    let (Some(now), Some(then)) = (text(one), text(other)) else { return Vec::new() };
    let is_replicated = |text: &str| {
        let engine = Ddl::parse(text).ok().and_then(|ddl| ddl.engine());
        engine.is_some_and(|engine| engine.name.starts_with("Replicated"))
    };
    let is_place = |text: &String| text.starts_with("argument 1 ") || text.starts_with("argument 2 ");
    let both = is_replicated(&now) && is_replicated(&then);
    let mut found = differences(&now, &then, &host.identity.macros);
    found.retain(|text| !(both && is_place(text)));
    found
}

/// Views, dictionaries and tables that name one of the two.
fn users(host: &HostWorld, names: &[Named; 2]) -> Vec<String> {
    let known: BTreeSet<(String, String)> = names.iter().map(Named::pair).collect();
    let names_one = |text: &str| {
        let Ok(ddl) = Ddl::parse(text) else { return false };
        let found = dependencies(&ddl, &known);
        let target = ddl
            .target()
            .map(|(database, name)| (database.unwrap_or_else(|| ddl.database.clone().unwrap_or_default()), name));
        found.needed.iter().chain(&found.wished).chain(&target).any(|pair| known.contains(pair))
    };
    let others = host.tables.iter().filter(|table| !known.contains(&(table.database.clone(), table.name.clone())));
    others
        .filter(|table| names_one(&table.create_query))
        .map(|table| format!("{} ({})", table.full_name(), table.engine))
        .collect()
}
