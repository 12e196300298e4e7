//! Connections for requests, and the reserve for the time in which the database `default` does not exist.
//!
//! Usually a request gets a new connection, which is closed behind it. After `DROP DATABASE default` the engine
//! opens none; then connections opened before serve, and are cleaned and kept after each request. A connection that
//! changed its database cannot get back to a `default` that does not exist, so those are kept apart and serve
//! requests that name a database.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Connection, Engine, EngineError};

/// How many connections wait for the day `default` is dropped; together about 3 MB.
const RESERVE: usize = 32;
/// How long a request waits for one of them.
const PATIENCE: Duration = Duration::from_secs(30);

/// The connections kept open.
#[derive(Default)]
pub struct Reserve {
    shelves: Mutex<Shelves>,
    returned: Condvar,
}

#[derive(Default)]
struct Shelves {
    /// Their database is `default`.
    untouched: Vec<Connection>,
    /// Their database is another one.
    moved: Vec<Connection>,
}

/// A connection on loan.
pub struct Lease {
    /// The connection.
    pub connection: Connection,
    reserved: bool,
}

impl Lease {
    /// Whether it comes from the shelf, so that it has to go back there.
    pub fn is_reserved(&self) -> bool {
        self.reserved
    }
}

impl Reserve {
    /// Puts a connection on the shelf.
    pub fn keep(&self, connection: Connection) {
        self.shelves().untouched.push(connection);
    }

    /// Closes the connections on the shelves.
    pub fn clear(&self) {
        *self.shelves() = Shelves::default();
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// A connection for one request; `names_database` when the request selects a database of its own.
    pub fn lease(&self, names_database: bool) -> Result<Lease, EngineError> {
        if let Some(connection) = self.connect() {
            return Ok(Lease { connection, reserved: false });
        }
        let (mut shelves, _) = self
            .reserve
            .returned
            .wait_timeout_while(self.reserve.shelves(), PATIENCE, |s| s.untouched.is_empty() && s.moved.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let connection = match names_database {
            true => shelves.moved.pop().or_else(|| shelves.untouched.pop()),
            false => shelves.untouched.pop().or_else(|| shelves.moved.pop()),
        };
        connection.map(|connection| Lease { connection, reserved: true }).ok_or_else(|| {
            EngineError::new(202, "TOO_MANY_SIMULTANEOUS_QUERIES", "Too many queries while `default` does not exist.")
        })
    }

    /// Takes a connection back; `moved` when its database is not `default` any more.
    pub fn give_back(&self, mut lease: Lease, moved: bool) {
        if !lease.reserved {
            return;
        }
        if self.fill_reserve() {
            return;
        }
        if clean(&mut lease.connection).is_err() {
            return;
        }
        let mut shelves = self.reserve.shelves();
        let shelf = if moved { &mut shelves.moved } else { &mut shelves.untouched };
        shelf.push(lease.connection);
        self.reserve.returned.notify_one();
    }

    /// Fills the reserve up with new connections, if the engine gives them.
    pub(super) fn fill_reserve(&self) -> bool {
        let missing = RESERVE.saturating_sub(self.reserve.shelves().untouched.len());
        for _ in 0..missing.max(1) {
            let Some(connection) = self.connect() else { return false };
            let mut shelves = self.reserve.shelves();
            shelves.moved.clear();
            if shelves.untouched.len() < RESERVE {
                shelves.untouched.push(connection);
            }
        }
        true
    }
}

/// Takes back what a request left in a session.
fn clean(connection: &mut Connection) -> Result<(), EngineError> {
    let changed = "SELECT name FROM system.settings WHERE changed \
                   AND name NOT IN ('implicit_select', 'allow_introspection_functions', 'serialize_query_plan', \
                   'storage_file_read_method', 'output_format_arrow_use_native_writer')";
    for name in connection.rows(changed)?.concat() {
        connection.run(&format!("SET {name} = DEFAULT"))?;
    }
    for name in connection.rows("SELECT name FROM system.tables WHERE is_temporary")?.concat() {
        connection.run(&format!("DROP TEMPORARY TABLE `{}`", name.replace('`', "\\`")))?;
    }
    Ok(())
}
