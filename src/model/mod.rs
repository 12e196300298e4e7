//! Pure data: runbooks, environments, what was observed. No input or output happens here.

pub mod environment;
pub mod ids;
pub mod secret;
