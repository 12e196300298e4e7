//! Plans as data, and the pure functions that make them: templates, SQL text, digests. No network, no clock.

pub mod classify;
pub mod cleared;
pub mod conversion;
pub mod convert;
pub mod data;
mod digest;
pub mod fact;
pub mod layout;
pub mod operation;
pub(crate) mod pieces;
pub mod plan_file;
pub mod read;
pub mod sql;
pub mod statement;
pub mod template;
pub mod text_diff;
pub mod world_diff;

/// So many objects of a database are planned by one thread at least, for a smaller share is not worth waking one.
pub const SHARE: usize = 128;
