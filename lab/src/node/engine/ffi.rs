//! The part of libchdb's C interface the node uses, as function pointers of the opened library.
//!
//! Only plain pointers and lengths cross this border; everything that owns memory of the engine is wrapped in
//! the modules above.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL, Symbol};

use super::error::EngineError;

/// A connection as the engine hands it out; it points to the handle the query functions want.
pub type ConnectionSlot = *mut *mut c_void;
/// A result or a stream of the engine.
pub type ResultHandle = *mut c_void;
/// An open streaming INSERT.
pub type InsertHandle = *mut c_void;

type QueryFn = unsafe extern "C" fn(
    connection: *mut c_void,
    query: *const c_char,
    query_len: usize,
    format: *const c_char,
    format_len: usize,
    names: *const *const c_char,
    name_lens: *const usize,
    values: *const *const c_char,
    value_lens: *const usize,
    count: usize,
) -> *mut c_void;
type CountFn = unsafe extern "C" fn(ResultHandle) -> u64;

/// Functions of the opened library. The library stays loaded for the life of the process.
pub struct Api {
    library: Library,
    pub(super) connect: Symbol<unsafe extern "C" fn(c_int, *mut *mut c_char) -> ConnectionSlot>,
    pub(super) close: Symbol<unsafe extern "C" fn(ConnectionSlot)>,
    pub(super) query: Symbol<QueryFn>,
    pub(super) stream_query: Symbol<QueryFn>,
    pub(super) stream_fetch: Symbol<unsafe extern "C" fn(*mut c_void, ResultHandle) -> ResultHandle>,
    pub(super) stream_cancel: Symbol<unsafe extern "C" fn(*mut c_void, ResultHandle)>,
    pub(super) insert: Symbol<QueryFn>,
    pub(super) insert_append: Symbol<unsafe extern "C" fn(InsertHandle, *const c_void, usize) -> c_int>,
    pub(super) insert_done: Symbol<unsafe extern "C" fn(InsertHandle) -> ResultHandle>,
    pub(super) insert_cancel: Symbol<unsafe extern "C" fn(InsertHandle)>,
    pub(super) insert_error: Symbol<unsafe extern "C" fn(InsertHandle) -> *const c_char>,
    pub(super) insert_destroy: Symbol<unsafe extern "C" fn(InsertHandle)>,
    pub(super) destroy: Symbol<unsafe extern "C" fn(ResultHandle)>,
    pub(super) buffer: Symbol<unsafe extern "C" fn(ResultHandle) -> *const u8>,
    pub(super) length: Symbol<unsafe extern "C" fn(ResultHandle) -> usize>,
    pub(super) error: Symbol<unsafe extern "C" fn(ResultHandle) -> *const c_char>,
    pub(super) rows: Symbol<CountFn>,
    pub(super) bytes: Symbol<CountFn>,
    pub(super) storage_rows: Symbol<CountFn>,
    pub(super) storage_bytes: Symbol<CountFn>,
    pub(super) written_rows: Symbol<CountFn>,
    pub(super) written_bytes: Symbol<CountFn>,
    signal_handlers: Symbol<unsafe extern "C" fn(c_int)>,
}

impl Api {
    /// Opens the library and looks every function up.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        // SAFETY: the library's initialisers are those of a ClickHouse build whose hash was verified when it was
        // installed; it is never unloaded.
        let library = unsafe { Library::open(Some(path), RTLD_LAZY | RTLD_LOCAL) }
            .map_err(|error| EngineError::library(path, &error))?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the signatures of this file are those of chdb.h of the same release.
                unsafe { library.get($name.as_bytes()) }.map_err(|error| EngineError::library(path, &error))?
            };
        }
        Ok(Self {
            connect: symbol!("chdb_connect"),
            close: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            stream_query: symbol!("chdb_stream_query_with_params_n"),
            stream_fetch: symbol!("chdb_stream_fetch_result"),
            stream_cancel: symbol!("chdb_stream_cancel_query"),
            insert: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_cancel: symbol!("chdb_stream_cancel_insert"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            destroy: symbol!("chdb_destroy_query_result"),
            buffer: symbol!("chdb_result_buffer"),
            length: symbol!("chdb_result_length"),
            error: symbol!("chdb_result_error"),
            rows: symbol!("chdb_result_rows_read"),
            bytes: symbol!("chdb_result_bytes_read"),
            storage_rows: symbol!("chdb_result_storage_rows_read"),
            storage_bytes: symbol!("chdb_result_storage_bytes_read"),
            written_rows: symbol!("chdb_result_rows_written"),
            written_bytes: symbol!("chdb_result_bytes_written"),
            signal_handlers: symbol!("chdb_set_signal_handlers_enabled"),
            library,
        })
    }

    /// Keeps the engine from taking SIGTERM and SIGSEGV over; called before the first connection.
    pub fn disable_signal_handlers(&self) {
        // SAFETY: a plain flag of the library, documented to be set before the first connection.
        unsafe { (self.signal_handlers)(0) }
    }

    /// Where the library lies in memory: the address its file offset 0 is mapped to.
    pub fn base(&self) -> Option<usize> {
        let known = *self.connect as usize;
        // SAFETY: Dl_info is plain data that dladdr fills; zeros are a valid start.
        let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
        // SAFETY: `known` is the address of a function of the library, `info` is writable.
        let found = unsafe { libc::dladdr(known as *const c_void, &raw mut info) };
        let _ = &self.library;
        (found != 0).then_some(info.dli_fbase as usize)
    }
}
