//! How replicas get parts from this node: the sending half of ClickHouse's part exchange.
//!
//! The fetching half is the engine's own. A request names a table by its path in Keeper and a part; the answer is
//! the stream of [`stream`].

mod hash;
mod server;
mod stream;

pub use server::serve;
