//! Gives the engine a UUID of its own.
//!
//! A server reads its UUID from a file; libchdb never does, and all its engines would share the one of zeros. That
//! is not only a matter of `serverUUID()`: the engine registers its Keeper session under its UUID, so two nodes of
//! one UUID throw each other out of Keeper (999, "Node exists, path /clickhouse/sessions/...").
//!
//! The engine keeps the UUID in a variable. The function that returns it loads the variable with its first
//! instructions, which tell where it lies; the check of disks, the only place with a certain error text, calls that
//! function.

use std::io;
use std::path::Path;

use memchr::memmem;

use super::super::random;
use super::accessors::{KNOWN_BUILD, refers_to};
use super::elf::Image;

const KNOWN_ADDRESS: usize = 0x12f9_d5c0;
const ERROR_TEXT: &[u8] = b"Server UUID is not initialized\0";
/// Begin of the function, up to and with the opcode of the load: `push`es, `sub rsp`, `mov rax, [rip + disp32]`.
const BEGINS_WITH: &[u8] = &[0x55, 0x41, 0x56, 0x53, 0x48, 0x83, 0xec, 0x60, 0x48, 0x8b, 0x05];
/// How far before the error text the function is called.
const CALLED_WITHIN: usize = 0x200;
/// `or rax, rdx`, by which the caller sees whether the UUID is zero.
const IS_ZERO: &[u8] = &[0x48, 0x09, 0xd0];
/// Distance from the call to that instruction.
const FROM_CALL: usize = 15;

/// The UUID of a node: made at its first start and kept in the file `uuid`, as a server does.
pub fn load(dir: &Path) -> io::Result<String> {
    let file = dir.join("uuid");
    match std::fs::read_to_string(&file) {
        Ok(text) if words(text.trim()).is_some() => Ok(text.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let uuid = random::uuid();
            std::fs::write(&file, &uuid)?;
            Ok(uuid)
        }
    }
}

/// Sets the engine's variable. `Err` says what is not as expected.
pub fn install(image: &Image, uuid: &str) -> Result<(), String> {
    let words = words(uuid).ok_or_else(|| format!("`{uuid}` is no UUID"))?;
    let function = locate(image).ok_or("the function that returns the server's UUID is not in it")?;
    let begin = image.code(function, BEGINS_WITH.len() + 4).ok_or("the server's UUID lies outside of its code")?;
    let (known, load) = begin.split_at(BEGINS_WITH.len());
    if known != BEGINS_WITH {
        return Err(format!("the function that returns the server's UUID begins with {known:02x?}"));
    }
    let distance = i32::from_le_bytes([load[0], load[1], load[2], load[3]]);
    let variable = (function + begin.len()).wrapping_add_signed(distance as isize);
    if !image.is_variable(variable, 16) {
        return Err("the server's UUID is no variable of it".to_owned());
    }
    // SAFETY: 16 bytes of the library's zeroed data, which nothing reads before the engine is started.
    unsafe { (variable as *mut [u64; 2]).write_unaligned(words) };
    Ok(())
}

fn locate(image: &Image) -> Option<usize> {
    if image.build_id().as_deref() == Some(KNOWN_BUILD) {
        return Some(image.address(KNOWN_ADDRESS));
    }
    refers_to(image, ERROR_TEXT, |at, code, found| {
        let from = found.saturating_sub(CALLED_WITHIN);
        let call = (from + memmem::rfind(&code[from..found], IS_ZERO)?).checked_sub(FROM_CALL)?;
        let distance = code.get(call + 1..call + 5).filter(|_| code[call] == 0xe8)?;
        let distance = i32::from_le_bytes(distance.try_into().ok()?);
        Some((at + call + 5).wrapping_add_signed(distance as isize))
    })
}

/// The two words of a UUID as the engine keeps them: the first half of the text first.
fn words(uuid: &str) -> Option<[u64; 2]> {
    let digits: String = uuid.split('-').collect();
    let half = |range| digits.get(range).and_then(|half| u64::from_str_radix(half, 16).ok());
    (digits.len() == 32).then_some(())?;
    Some([half(0..16)?, half(16..32)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path()).unwrap();
        assert_eq!(load(dir.path()).unwrap(), first);
        assert_eq!(words("00000000-0000-0001-0000-0000000000ff"), Some([1, 255]));
        assert_eq!(words("x"), None);
    }
}
