//! ClickHouse's HTTP interface in front of the engine.

mod auth;
mod body;
mod compression;
mod encoding;
mod error;
mod execute;
mod format;
mod input;
mod multipart;
mod output;
mod request;
mod response;
mod server;
mod session;

pub use request::{Request, pairs as query_pairs};
pub use server::serve;
pub use session::Sessions;
