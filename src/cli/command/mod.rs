//! One file per command; each only joins parts.

pub mod apply;
pub mod approve;
pub mod cancel;
pub mod completions;
pub mod dev;
pub mod diff;
pub mod explain;
pub mod init;
pub mod inspect;
pub mod lab;
pub mod man;
pub mod plan;
pub mod purge;
pub mod report;
pub mod resolve;
pub mod resume;
pub mod runs;
pub mod schema;
pub mod state;
pub mod status;
pub mod undo;
pub mod unlock;
pub mod validate;
pub mod verify;
