//! Ids nobody has to guess: query ids, marks of errors, UUIDs of databases.

use std::hash::{BuildHasher, RandomState};

/// 64 random bits: the keys of a new hasher are random.
fn bits() -> u64 {
    RandomState::new().hash_one(0)
}

/// A UUID of version 4.
pub fn uuid() -> String {
    let (high, low) = (bits(), bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// 16 lower-case letters and digits.
pub fn tag() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let (first, second) = (bits(), bits());
    let letter = |bits: u64, at: u32| char::from(LETTERS[(bits >> (at * 5) & 31) as usize]);
    (0..8).map(|at| letter(first, at)).chain((0..8).map(|at| letter(second, at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form_and_differ() {
        let (one, two) = (uuid(), uuid());
        assert_ne!(one, two);
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
        assert!(matches!(one.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        assert!(tag().len() == 16 && tag().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_ne!(tag(), tag());
    }
}
