//! Gives a statement the query id its client chose.
//!
//! libchdb's interface has no way to name a query: the engine makes an id up when the session of the connection
//! has none. The session keeps the id as a string; this module writes the client's id there before a statement,
//! so that `queryID()`, `system.processes`, `system.backups.query_id`, KILL QUERY and error 216 are the engine's
//! own. The place of the string belongs to the build; [`QueryIdField::find`] proves it by asking for `queryID()`
//! before the node serves, and the node refuses to start when the answer differs.
//!
//! A streaming INSERT overwrites the string with an id of the engine's; [`QueryIdField::read`] returns that one.

use super::ffi::ConnectionSlot;

/// Offset of the session context's pointer in the client object.
const CONTEXT_AT: usize = 64;
/// Offset of the id in the session context.
const STRING_AT: usize = 56;
/// libc++ marks the long form of a string in the top bit of its capacity.
const LONG_FORM: u64 = 1 << 63;
/// Longest id that is taken over; longer ones are cut.
const CAPACITY: usize = 1024;

/// The string of one connection, with the memory its long form points to.
pub struct QueryIdField {
    string: *mut [u64; 3],
    original: [u64; 3],
    text: Box<[u8; CAPACITY]>,
}

// SAFETY: the pointers lead to memory of the connection, which is used by one thread at a time.
unsafe impl Send for QueryIdField {}

impl QueryIdField {
    /// The field of a connection. The pointers on the way are read through the kernel, so that a library of another
    /// layout leads to `None` and not to a crash.
    pub fn find(connection: ConnectionSlot) -> Option<Self> {
        let handle = read_word(connection as usize)?;
        let client = read_word(handle)?;
        let string = read_word(client + CONTEXT_AT)? + STRING_AT;
        let original = [read_word(string)?, read_word(string + 8)?, read_word(string + 16)?].map(|word| word as u64);
        // A connection that ran nothing yet has the empty short form.
        (original == [0; 3]).then(|| Self { string: string as *mut [u64; 3], original, text: Box::new([0; CAPACITY]) })
    }

    /// Sets the id of the next statements.
    pub fn set(&mut self, id: &str) {
        let mut len = id.len().min(CAPACITY - 1);
        while !id.is_char_boundary(len) {
            len -= 1;
        }
        self.text[..len].copy_from_slice(&id.as_bytes()[..len]);
        self.text[len] = 0;
        let capacity = CAPACITY as u64 | LONG_FORM;
        // SAFETY: `string` is the id of the connection's session, which no statement reads now; its long form may
        // point to our memory as long as it is given back before the engine frees it, see `restore`.
        unsafe { self.string.write([self.text.as_ptr() as u64, len as u64, capacity]) };
    }

    /// The id in use. The engine assigns into our memory, whose capacity suffices for its own ids.
    pub fn read(&self) -> String {
        // SAFETY: as in `set`; the length is the engine's and lies within the capacity.
        let [data, len, _] = unsafe { self.string.read() };
        if data != self.text.as_ptr() as u64 || len as usize >= CAPACITY {
            return String::new();
        }
        String::from_utf8_lossy(&self.text[..len as usize]).into_owned()
    }

    /// Gives the engine back what it had, so that it frees nothing of ours.
    pub fn restore(&mut self) {
        // SAFETY: as in `set`.
        unsafe { self.string.write(self.original) };
    }
}

impl Drop for QueryIdField {
    fn drop(&mut self) {
        self.restore();
    }
}

/// One word of this process's memory, or `None` where nothing is mapped.
fn read_word(address: usize) -> Option<usize> {
    let mut word = 0usize;
    let local = libc::iovec { iov_base: (&raw mut word).cast(), iov_len: size_of::<usize>() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size_of::<usize>() };
    // SAFETY: both vectors describe one word; the kernel checks the remote one and answers EFAULT.
    let read = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    (read == size_of::<usize>() as isize).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::read_word;

    #[test]
    fn reads_mapped_words_only() {
        let word = 0x1234_5678usize;
        assert_eq!(read_word((&raw const word) as usize), Some(0x1234_5678));
        assert_eq!(read_word(8), None);
    }
}
