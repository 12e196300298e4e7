//! ClickHouse's engine in this process.
//!
//! A connection is a session and runs one statement at a time; several run side by side. Opening one costs 0.2 ms
//! and 100 KB, so each request gets its own and settings, `USE` and temporary tables never leak.
//!
//! The engine opens a connection only while the database `default` exists: it selects it unconditionally. A server
//! has to answer even after `DROP DATABASE default`, so [`Engine`] keeps a reserve of connections that were opened
//! before; see [`pool`].

mod accessors;
mod connection;
mod elf;
mod error;
mod ffi;
mod host_name;
mod pool;
mod query_id;
mod result;
mod server_uuid;

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use connection::Connection;
pub use error::EngineError;
pub use pool::Lease;
pub use result::Counters;
pub use server_uuid::load as load_uuid;

use super::NodeError;
use elf::Image;
use ffi::Api;
use pool::Reserve;

/// Settings of every connection in which libchdb differs from a server.
const SERVER_LIKE_SETTINGS: [&str; 2] = ["--implicit_select=0", "--allow_introspection_functions=0"];

/// The running engine.
pub struct Engine {
    api: Arc<Api>,
    arguments: Vec<CString>,
    reserve: Reserve,
    /// `version()` of the engine.
    pub version: String,
    /// `timezone()` of the engine.
    pub timezone: String,
}

/// What the engine is started with.
pub struct Start<'a> {
    /// Path of libchdb.so.
    pub library: &'a Path,
    /// Folder of the tables.
    pub data: &'a Path,
    /// The engine's `config.xml`.
    pub config: &'a Path,
    /// Name of the node, its `hostName()`.
    pub name: &'a str,
    /// The server's UUID.
    pub uuid: &'a str,
    /// Where other replicas fetch parts: host and port.
    pub interserver: (&'a str, u16),
}

impl Engine {
    /// Loads the library, gives it its interserver address and opens the data folder.
    pub fn start(start: &Start<'_>) -> Result<Self, NodeError> {
        let unknown = |reason: String| NodeError::UnknownLibrary { library: start.library.to_owned(), reason };
        let api = Arc::new(Api::open(start.library).map_err(NodeError::Engine)?);
        let base = api.base().ok_or_else(|| unknown("its place in memory is not known".to_owned()))?;
        // SAFETY: `base` is the load address of a library that is never unloaded.
        let image = unsafe { Image::at(base) };
        accessors::install(&image, start.interserver.0, start.interserver.1).map_err(unknown)?;
        server_uuid::install(&image, start.uuid).map_err(unknown)?;
        host_name::install(&image, start.name).map_err(unknown)?;
        api.disable_signal_handlers();

        let mut arguments = vec![
            "clickhouse".to_owned(),
            format!("--path={}", start.data.display()),
            format!("--config-file={}", start.config.display()),
            "--database=default".to_owned(),
        ];
        arguments.extend(SERVER_LIKE_SETTINGS.map(str::to_owned));
        let arguments = arguments
            .into_iter()
            .map(|argument| CString::new(argument).map_err(|_| NodeError::NoEngine))
            .collect::<Result<_, _>>()?;

        let mut engine =
            Self { api, arguments, reserve: Reserve::default(), version: String::new(), timezone: String::new() };
        let mut first = engine.connect().ok_or(NodeError::NoEngine)?;
        first.set_query_id("a-query-id-of-the-node-itself");
        let row = first.rows("SELECT queryID(), version(), timezone(), serverUUID()").map_err(NodeError::Engine)?;
        let [id, version, timezone, uuid] = row.concat().try_into().map_err(|_| NodeError::NoEngine)?;
        if id != "a-query-id-of-the-node-itself" {
            return Err(unknown("the query id of a session lies elsewhere".to_owned()));
        }
        if uuid != start.uuid {
            return Err(unknown("the server's UUID lies elsewhere".to_owned()));
        }
        (engine.version, engine.timezone) = (version, timezone);
        engine.reserve.keep(first);
        engine.fill_reserve();
        Ok(engine)
    }

    /// Ends what runs, for at most a few seconds, and closes the connections that are not in use. When the last one is
    /// closed the engine shuts down: tables are flushed and the Keeper session ends at once.
    pub fn close(&self, nothing_runs: impl Fn() -> bool) {
        const STEP: Duration = Duration::from_millis(20);
        if let Some(mut connection) = self.connect()
            && !nothing_runs()
        {
            // Whatever it answers: the wait below has an end.
            let _ = connection.run("KILL QUERY WHERE 1 ASYNC");
        }
        for _ in 0..150 {
            if nothing_runs() {
                break;
            }
            std::thread::sleep(STEP);
        }
        self.reserve.clear();
    }

    /// A new connection; `None` while the database `default` does not exist.
    fn connect(&self) -> Option<Connection> {
        let mut arguments: Vec<_> = self.arguments.iter().map(|argument| argument.as_ptr().cast_mut()).collect();
        let count = arguments.len() as std::ffi::c_int;
        // SAFETY: `arguments` are C strings that live in `self`; the engine only reads them.
        let slot = unsafe { (self.api.connect)(count, arguments.as_mut_ptr()) };
        (!slot.is_null()).then(|| Connection::new(Arc::clone(&self.api), slot))
    }
}
