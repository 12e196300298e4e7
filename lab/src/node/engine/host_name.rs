//! Gives the engine a host name of its own, so that `hostName()` and `system.processes` tell nodes apart.
//!
//! The engine asks the system with `gethostname`. Calls of a library into another go through a table of addresses,
//! one of which is replaced by the address of a function of this process.

use std::ffi::{CStr, c_char, c_int};
use std::sync::OnceLock;

use super::elf::Image;

const SYMBOL: &CStr = c"gethostname";
const STRING_TABLE: usize = 5;
const SYMBOL_TABLE: usize = 6;
const SIZE_OF_JUMPS: usize = 2;
const JUMPS: usize = 23;
/// Size of an entry of the tables of symbols and of relocations.
const ENTRY: usize = 24;

static NAME: OnceLock<String> = OnceLock::new();

/// Sets the host name. `Err` says what is not as expected.
pub fn install(image: &Image, name: &str) -> Result<(), String> {
    let slot = slot(image).ok_or("its call of gethostname is not in its tables")?;
    if !image.is_variable(slot, size_of::<usize>()) {
        return Err("the address of gethostname is no variable of it".to_owned());
    }
    NAME.get_or_init(|| name.to_owned());
    // SAFETY: the slot is a writable word of the library that holds the address of a function of this signature.
    unsafe { (slot as *mut usize).write(answer as *const () as usize) };
    Ok(())
}

/// What the engine calls.
extern "C" fn answer(buffer: *mut c_char, len: usize) -> c_int {
    let name = NAME.get().map_or("", String::as_str).as_bytes();
    if buffer.is_null() || len <= name.len() {
        return -1;
    }
    // SAFETY: the caller gives a buffer of `len` bytes, which is more than the name has.
    unsafe {
        std::ptr::copy_nonoverlapping(name.as_ptr(), buffer.cast(), name.len());
        buffer.add(name.len()).write(0);
    }
    0
}

/// Where the library keeps the address of gethostname.
fn slot(image: &Image) -> Option<usize> {
    let (strings, symbols) = (image.dynamic(STRING_TABLE)?, image.dynamic(SYMBOL_TABLE)?);
    let (jumps, size) = (image.dynamic(JUMPS)?, image.dynamic_value(SIZE_OF_JUMPS)?);
    (0..size / ENTRY).map(|index| jumps + index * ENTRY).find_map(|entry| {
        // SAFETY: the dynamic section of a loaded library describes tables that are mapped with it: each relocation
        // is an address, the number of a symbol (upper half) and an addend, each symbol begins with the offset of
        // its name, a C string.
        unsafe {
            let [offset, info] = (entry as *const [usize; 2]).read_unaligned();
            let symbol = symbols + (info >> 32) * ENTRY;
            let name = strings + (symbol as *const u32).read_unaligned() as usize;
            (CStr::from_ptr(name as *const c_char) == SYMBOL).then(|| image.address(offset))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_given_with_its_end() {
        NAME.get_or_init(|| "s1r1".to_owned());
        let mut buffer = [1; 6];
        assert_eq!(answer(buffer.as_mut_ptr(), 6), 0);
        assert_eq!(&buffer[..5], &[b's' as c_char, b'1' as c_char, b'r' as c_char, b'1' as c_char, 0]);
        assert_eq!(answer(buffer.as_mut_ptr(), 4), -1);
    }
}
