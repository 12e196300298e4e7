//! Just enough of ELF to find things in the mapped library: its segments and its build id.

const PROGRAM_HEADERS_AT: usize = 32;
const PROGRAM_HEADER_SIZE: usize = 56;
const KIND_LOAD: u32 = 1;
const KIND_DYNAMIC: u32 = 2;
const KIND_NOTE: u32 = 4;
const FLAG_EXECUTE: u32 = 1;
const FLAG_WRITE: u32 = 2;
const NOTE_BUILD_ID: u32 = 3;

/// The mapped library.
pub struct Image {
    base: usize,
    segments: Vec<Segment>,
}

struct Segment {
    kind: u32,
    flags: u32,
    address: usize,
    size: usize,
    size_in_memory: usize,
}

impl Image {
    /// Reads the program headers of the library mapped at `base`.
    ///
    /// # Safety
    /// `base` must be the load address of a library that stays loaded.
    pub unsafe fn at(base: usize) -> Self {
        // SAFETY: the caller vouches for `base`; the ELF header and the program headers lie at its begin.
        let header = unsafe { bytes(base, 64) };
        let table = base + number(&header[PROGRAM_HEADERS_AT..], 8);
        let count = number(&header[56..], 2);
        let segments = (0..count)
            .map(|index| {
                // SAFETY: the table has `count` entries and lies in the first mapped segment.
                let entry = unsafe { bytes(table + index * PROGRAM_HEADER_SIZE, PROGRAM_HEADER_SIZE) };
                Segment {
                    kind: number(entry, 4) as u32,
                    flags: number(&entry[4..], 4) as u32,
                    address: number(&entry[16..], 8),
                    size: number(&entry[32..], 8),
                    size_in_memory: number(&entry[40..], 8),
                }
            })
            .collect();
        Self { base, segments }
    }

    /// Address in memory of an address as the file counts it.
    pub fn address(&self, file_address: usize) -> usize {
        self.base + file_address
    }

    /// Code at an address in memory; `None` where no code lies.
    pub fn code(&self, start: usize, len: usize) -> Option<&'static [u8]> {
        self.loaded(true).find_map(|(at, code)| code.get(start.checked_sub(at)?..)?.get(..len))
    }

    /// Whether a variable of this size lies at the address.
    pub fn is_variable(&self, start: usize, len: usize) -> bool {
        let writable = self.segments.iter().filter(|s| s.kind == KIND_LOAD && s.flags & FLAG_WRITE != 0);
        writable
            .map(|s| self.base + s.address..self.base + s.address + s.size_in_memory)
            .any(|segment| segment.contains(&start) && segment.contains(&(start + len - 1)))
    }

    /// The loaded segments, code or the rest, with their addresses in memory.
    pub fn loaded(&self, code: bool) -> impl Iterator<Item = (usize, &'static [u8])> {
        self.segments.iter().filter(move |s| s.kind == KIND_LOAD && (s.flags & FLAG_EXECUTE != 0) == code).map(|s| {
            // SAFETY: a loaded segment of a library that is never unloaded; the file-backed part is readable.
            (self.base + s.address, unsafe { bytes(self.base + s.address, s.size) })
        })
    }

    /// A number of the dynamic section.
    pub fn dynamic_value(&self, tag: usize) -> Option<usize> {
        let section = self.segments.iter().find(|s| s.kind == KIND_DYNAMIC)?;
        // SAFETY: the dynamic section of a loaded library is mapped and readable.
        let data = unsafe { bytes(self.base + section.address, section.size) };
        data.chunks_exact(16).find(|entry| number(entry, 8) == tag).map(|entry| number(&entry[8..], 8))
    }

    /// An address of the dynamic section; the loader may have made it one in memory already.
    pub fn dynamic(&self, tag: usize) -> Option<usize> {
        self.dynamic_value(tag).map(|value| if value < self.base { self.base + value } else { value })
    }

    /// The linker's fingerprint of the build, in hex.
    pub fn build_id(&self) -> Option<String> {
        let note = self.segments.iter().find(|s| s.kind == KIND_NOTE)?;
        // SAFETY: the note segment lies in the first loaded segment, which is readable.
        let data = unsafe { bytes(self.base + note.address, note.size) };
        let (name, body) = (number(data, 4), number(&data[4..], 4));
        let start = 12 + name.next_multiple_of(4);
        let id = data.get(start..start + body).filter(|_| number(&data[8..], 4) as u32 == NOTE_BUILD_ID)?;
        Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Little-endian number of the first `size` bytes.
fn number(data: &[u8], size: usize) -> usize {
    data[..size].iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// # Safety
/// `address..address + len` must be readable for the life of the process.
unsafe fn bytes(address: usize, len: usize) -> &'static [u8] {
    // SAFETY: passed on to the caller.
    unsafe { std::slice::from_raw_parts(address as *const u8, len) }
}
