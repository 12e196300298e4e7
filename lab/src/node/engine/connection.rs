//! One connection of the engine: a session that runs one statement at a time.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::error::EngineError;
use super::ffi::{Api, ConnectionSlot, InsertHandle, ResultHandle};
use super::query_id::QueryIdField;
use super::result::{Counters, Output, text};

/// Query parameters, `{name:Type}`, as name and text.
pub type Parameters = [(String, String)];

/// An open connection; closed when dropped.
pub struct Connection {
    api: Arc<Api>,
    slot: ConnectionSlot,
    /// `None` only in a library of another layout, which the node refuses at its start.
    query_id: Option<QueryIdField>,
}

// SAFETY: the engine's client object is guarded by its own mutex and may be used from any thread, one at a time;
// `&mut self` keeps it at one.
unsafe impl Send for Connection {}

impl Connection {
    /// Takes over a connection that ran nothing yet.
    pub(super) fn new(api: Arc<Api>, slot: ConnectionSlot) -> Self {
        Self { api, slot, query_id: QueryIdField::find(slot) }
    }

    fn handle(&self) -> *mut c_void {
        // SAFETY: `slot` is a live connection until `drop`.
        unsafe { *self.slot }
    }

    /// Sets the query id of the next statements.
    pub fn set_query_id(&mut self, id: &str) {
        if let Some(field) = &mut self.query_id {
            field.set(id);
        }
    }

    /// Runs a statement and holds its whole result.
    pub fn execute(&mut self, sql: &[u8], format: &str, parameters: &Parameters) -> Result<Output, EngineError> {
        let list = ParameterList::new(parameters);
        // SAFETY: all pointers are valid for the call, lengths belong to them; the engine copies what it keeps.
        let result = unsafe {
            (self.api.query)(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                list.names.as_ptr(),
                list.name_lens.as_ptr(),
                list.values.as_ptr(),
                list.value_lens.as_ptr(),
                parameters.len(),
            )
        };
        Output::take(&self.api, result)
    }

    /// Runs a statement whose result does not matter.
    pub fn run(&mut self, sql: &str) -> Result<(), EngineError> {
        self.execute(sql.as_bytes(), "Null", &[]).map(drop)
    }

    /// Rows of a query, each column as text.
    pub fn rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, EngineError> {
        let output = self.execute(sql.as_bytes(), "TabSeparatedRaw", &[])?;
        let lines = String::from_utf8_lossy(output.bytes());
        Ok(lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
    }

    /// Starts a SELECT whose result comes in chunks, each a document of its own in the format.
    pub fn stream(&mut self, sql: &[u8], format: &str, parameters: &Parameters) -> Result<Stream<'_>, EngineError> {
        let list = ParameterList::new(parameters);
        // SAFETY: as in `execute`.
        let result = unsafe {
            (self.api.stream_query)(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                list.names.as_ptr(),
                list.name_lens.as_ptr(),
                list.values.as_ptr(),
                list.value_lens.as_ptr(),
                parameters.len(),
            )
        };
        // SAFETY: `result` is null or a live stream handle.
        match unsafe { text((self.api.error)(result)) } {
            Some(error) => {
                // SAFETY: the failed handle is live and destroyed once.
                unsafe { (self.api.destroy)(result) };
                Err(EngineError::parse(&error))
            }
            None => Ok(Stream { connection: self, handle: result, ended: false }),
        }
    }

    /// Starts an INSERT whose data is appended in `format`; the statement has neither FORMAT nor data.
    pub fn insert(&mut self, sql: &str, format: &str, parameters: &Parameters) -> Result<Insert<'_>, EngineError> {
        let list = ParameterList::new(parameters);
        // SAFETY: as in `execute`.
        let handle = unsafe {
            (self.api.insert)(
                self.handle(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                list.names.as_ptr(),
                list.name_lens.as_ptr(),
                list.values.as_ptr(),
                list.value_lens.as_ptr(),
                parameters.len(),
            )
        };
        let insert = Insert { connection: self, handle, ended: false };
        match insert.error() {
            Some(error) => Err(error),
            None => Ok(insert),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.query_id = None;
        // SAFETY: `slot` is live and closed once; the query id was given back just before.
        unsafe { (self.api.close)(self.slot) }
    }
}

/// A result that comes in chunks. Dropping it before its end cancels the query.
pub struct Stream<'a> {
    connection: &'a mut Connection,
    handle: ResultHandle,
    ended: bool,
}

impl Stream<'_> {
    /// The next chunk, `None` at the end.
    pub fn next_chunk(&mut self) -> Result<Option<Output>, EngineError> {
        // SAFETY: connection and stream are live; `&mut` serialises the calls.
        let chunk = unsafe { (self.connection.api.stream_fetch)(self.connection.handle(), self.handle) };
        let chunk = Output::take(&self.connection.api, chunk);
        match chunk {
            Ok(chunk) if chunk.bytes().is_empty() => {
                self.ended = true;
                Ok(None)
            }
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) => {
                self.ended = true;
                Err(error)
            }
        }
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let api = &self.connection.api;
        // SAFETY: connection and stream are live; the stream is cancelled at most once and destroyed once.
        unsafe {
            if !self.ended {
                (api.stream_cancel)(self.connection.handle(), self.handle);
            }
            (api.destroy)(self.handle);
        }
    }
}

/// A running INSERT. Dropping it before [`Insert::finish`] cancels it.
pub struct Insert<'a> {
    connection: &'a mut Connection,
    handle: InsertHandle,
    ended: bool,
}

impl Insert<'_> {
    fn error(&self) -> Option<EngineError> {
        // SAFETY: the insert is live.
        unsafe { text((self.connection.api.insert_error)(self.handle)) }.map(|text| EngineError::parse(&text))
    }

    /// The id the engine gave the insert; it differs from the one that was set.
    pub fn engine_query_id(&self) -> Option<String> {
        self.connection.query_id.as_ref().map(QueryIdField::read).filter(|id| !id.is_empty())
    }

    /// Appends data; `false` when the insert failed and [`Insert::finish`] tells why.
    pub fn append(&mut self, data: &[u8]) -> bool {
        // SAFETY: the insert is live, the engine copies the data.
        unsafe { (self.connection.api.insert_append)(self.handle, data.as_ptr().cast(), data.len()) == 0 }
    }

    /// Ends the data and waits until it is written.
    pub fn finish(mut self) -> Result<Counters, EngineError> {
        self.ended = true;
        // SAFETY: the insert is live and finished once.
        let result = unsafe { (self.connection.api.insert_done)(self.handle) };
        Output::take(&self.connection.api, result).map(|output| output.counters())
    }
}

impl Drop for Insert<'_> {
    fn drop(&mut self) {
        let api = &self.connection.api;
        // SAFETY: the insert is live, cancelled at most once and destroyed once.
        unsafe {
            if !self.ended {
                (api.insert_cancel)(self.handle);
            }
            (api.insert_destroy)(self.handle);
        }
    }
}

/// Parameters in the four arrays the interface wants; they borrow the texts.
struct ParameterList {
    names: Vec<*const c_char>,
    name_lens: Vec<usize>,
    values: Vec<*const c_char>,
    value_lens: Vec<usize>,
}

impl ParameterList {
    fn new(parameters: &Parameters) -> Self {
        Self {
            names: parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect(),
            name_lens: parameters.iter().map(|(name, _)| name.len()).collect(),
            values: parameters.iter().map(|(_, value)| value.as_ptr().cast()).collect(),
            value_lens: parameters.iter().map(|(_, value)| value.len()).collect(),
        }
    }
}
