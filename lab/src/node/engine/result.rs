//! What the engine hands back: bytes in the asked format and counters.

use std::ffi::CStr;
use std::ops::AddAssign;
use std::sync::Arc;

use super::error::EngineError;
use super::ffi::{Api, ResultHandle};

/// Counters of a statement, as `X-ClickHouse-Summary` shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Rows read from tables.
    pub read_rows: u64,
    /// Bytes read from tables.
    pub read_bytes: u64,
    /// Rows written.
    pub written_rows: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Rows of the result.
    pub result_rows: u64,
    /// Bytes of the result in the engine's own form.
    pub result_bytes: u64,
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.read_rows += other.read_rows;
        self.read_bytes += other.read_bytes;
        self.written_rows += other.written_rows;
        self.written_bytes += other.written_bytes;
        self.result_rows += other.result_rows;
        self.result_bytes += other.result_bytes;
    }
}

/// One result, or one chunk of a streamed result.
pub struct Output {
    api: Arc<Api>,
    handle: ResultHandle,
}

// SAFETY: a result is memory of its own; the engine does not touch it after handing it out.
unsafe impl Send for Output {}

impl Output {
    /// Takes a result over; an error in it becomes `Err`.
    pub(super) fn take(api: &Arc<Api>, handle: ResultHandle) -> Result<Self, EngineError> {
        if handle.is_null() {
            return Err(EngineError::new(1002, "UNKNOWN_EXCEPTION", "the engine gave no result"));
        }
        let output = Self { api: Arc::clone(api), handle };
        // SAFETY: `handle` is a live result of the library.
        match unsafe { text((api.error)(handle)) } {
            Some(error) => Err(EngineError::parse(&error)),
            None => Ok(output),
        }
    }

    /// The bytes of the result.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `handle` is live; buffer and length belong together and live as long as it.
        unsafe {
            let data = (self.api.buffer)(self.handle);
            let len = (self.api.length)(self.handle);
            if data.is_null() || len == 0 { &[] } else { std::slice::from_raw_parts(data, len) }
        }
    }

    /// The counters of the result.
    pub fn counters(&self) -> Counters {
        // SAFETY: `handle` is live; the functions only read it.
        unsafe {
            Counters {
                read_rows: (self.api.storage_rows)(self.handle),
                read_bytes: (self.api.storage_bytes)(self.handle),
                written_rows: (self.api.written_rows)(self.handle),
                written_bytes: (self.api.written_bytes)(self.handle),
                result_rows: (self.api.rows)(self.handle),
                result_bytes: (self.api.bytes)(self.handle),
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: `handle` is live and destroyed once.
        unsafe { (self.api.destroy)(self.handle) }
    }
}

/// A C string of the library, copied.
///
/// # Safety
/// `data` must be null or a C string.
pub(super) unsafe fn text(data: *const std::ffi::c_char) -> Option<String> {
    if data.is_null() {
        return None;
    }
    // SAFETY: not null, and the caller says it is a C string.
    Some(unsafe { CStr::from_ptr(data) }.to_string_lossy().into_owned())
}
