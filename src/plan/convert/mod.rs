//! CREATE statements as text: what a statement makes, how it becomes a replicated one, in which order a database's
//! objects are created, and whether a created object is the one that was promised. Pure.
//!
//! The input is what the server itself writes (`system.tables.create_table_query`): names are qualified, columns
//! are listed, defaults are filled in, and `POPULATE` is gone (seen on 26.7).

mod array_join;
mod called;
mod columns;
mod compare;
mod ddl;
mod engines;
mod normalise;
mod order;
mod replicate;
mod secrets;
mod setting;
mod sources;
mod told;

pub use array_join::{ArrayJoinName, array_join_name};
pub use called::called;
pub use columns::{Column, column_differences, columns, typed};
pub use compare::differences;
pub use ddl::{Ddl, Engine, ObjectKind};
pub use normalise::{expand, normalise, normalise_part};
pub use order::{Dependencies, Place, dependencies, levels};
pub use replicate::{
    Conversion, Created, Demand, LogTables, Reason, Replication, expand_names, path_part, to_replicated,
};
pub use secrets::{HIDDEN, mask, secrets};
pub use setting::setting;
pub use sources::{DictionarySource, dictionary_source};
