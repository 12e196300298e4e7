//! What the engine needs from the outside, as traits. Adapters implement them; tests of pure parts need none.

mod clock;
mod command;
mod keeper;
mod objects;
mod secrets;
mod sql;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use clock::Clock;
pub use command::{Command, CommandLife, CommandOutput, Commands};
pub use keeper::{EachChildren, Keeper, KeeperError, KeeperNode, KeeperStat, LockGuard, LockHolder, SkipNode};
pub use objects::{ObjectError, ObjectInfo, Objects};
pub use secrets::{SecretError, Secrets};
pub use sql::{Answer, Call, Sql, SqlError};
pub use state::{Document, Held, Life, StateError, StateStore};

/// Every port of one environment.
#[derive(Clone)]
pub struct Ports {
    /// ClickHouse servers of all targets, by host name.
    pub sql: Arc<dyn Sql>,
    /// Buckets, by storage role.
    pub objects: BTreeMap<String, Arc<dyn Objects>>,
    /// Keepers, by target role; absent where the environment names none.
    pub keepers: BTreeMap<String, Arc<dyn Keeper>>,
    /// Values of secret references.
    pub secrets: Arc<dyn Secrets>,
    /// Local commands.
    pub commands: Arc<dyn Commands>,
    /// Plans, journals and locks.
    pub state: Arc<dyn StateStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}
