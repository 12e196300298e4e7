//! Pure data: runbooks, environments, what was observed. No input or output happens here.

pub mod environment;
pub mod formats;
pub mod guards;
pub mod ids;
pub mod observed;
pub mod runbook;
pub mod schema_check;
pub mod secret;
pub mod storage;
pub mod tables;
pub mod text;
pub mod words;
pub mod yaml;
