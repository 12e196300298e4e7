//! The catalogue of actions. One file (or folder) per action; adding one adds one line to [`CATALOGUE`].

pub mod assert;
pub mod backup;
pub mod clear_keeper;
mod column_words;
pub mod create_replicated;
pub mod exchange_tables;
pub mod facts;
pub mod gate;
pub mod mark_migrations_clean;
#[cfg(test)]
mod planning;
pub mod recreate_database;
pub mod restore;
pub mod run;
pub mod select;
pub mod sql;
pub mod undo;
pub mod verify;
pub mod wait_for;

use std::sync::LazyLock;

use crate::engine::action::Action;
use crate::engine::schema::Catalogue;

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
    &exchange_tables::ExchangeTables,
];

static RUNNABLE: LazyLock<Vec<&'static dyn Action>> =
    LazyLock::new(|| CATALOGUE.iter().copied().chain(std::iter::once(&undo::TakeBack as &dyn Action)).collect());

/// Every action that plans may hold: those of the catalogue, and the one that takes them back.
#[must_use]
pub fn runnable() -> &'static Catalogue {
    &RUNNABLE
}
