//! The catalogue of actions. One file (or folder) per action; adding one adds one line to [`CATALOGUE`].

pub mod assert;
pub mod backup;
pub mod restore;
pub mod run;
pub mod verify;
pub mod wait_for;
pub mod clear_keeper;
pub mod create_replicated;
pub mod gate;
pub mod mark_migrations_clean;
#[cfg(test)]
mod planning;
pub mod recreate_database;
pub mod select;
pub mod sql;

use serde_json::{Map, Value, json};

use crate::engine::action::Action;

/// Every action, in the order of the reference.
pub static CATALOGUE: &[&dyn Action] = &[
    &backup::Backup,
    &restore::Restore,
    &verify::Verify,
    &sql::Sql,
    &run::Run,
    &assert::Assert,
    &wait_for::WaitFor,
    &recreate_database::RecreateDatabase,
    &clear_keeper::ClearKeeper,
    &create_replicated::CreateReplicated,
    &mark_migrations_clean::MarkMigrationsClean,
];

/// The action of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Action> {
    CATALOGUE.iter().copied().find(|action| action.name() == name)
}

/// Names of all actions.
#[must_use]
pub fn names() -> Vec<String> {
    CATALOGUE.iter().map(|action| action.name().to_owned()).collect()
}

/// Schemas of all actions' arguments as properties of a step, with one generator so that `$defs` are shared.
#[must_use]
pub fn step_properties(generator: &mut schemars::SchemaGenerator) -> Map<String, Value> {
    CATALOGUE
        .iter()
        .map(|action| {
            let mut schema = action.schema(generator).to_value();
            if schema.get("$ref").is_none() {
                schema["description"] = json!(action.summary());
            } else {
                schema = json!({ "$ref": schema["$ref"], "description": action.summary() });
            }
            (action.name().to_owned(), schema)
        })
        .collect()
}
