//! Long lists of a plan, written in pieces on all cores and handed on in their order.

use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// So many entries are written at a time.
const CHUNK: usize = 128;
/// So many pieces are written side by side. What is written and not handed on yet is all that takes memory.
pub(crate) const WINDOW: usize = 8;

/// Memory of pieces that are not needed any longer: new one is given by the system page by page.
#[derive(Default)]
pub(crate) struct Spare(Mutex<Vec<Vec<u8>>>);

impl Spare {
    /// Takes the memory of a piece.
    pub(crate) fn put(&self, mut piece: Vec<u8>) {
        piece.clear();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
    }

    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }
}

/// Writes each entry with `write`, and hands piece after piece to `put`.
///
/// # Errors
/// One of either.
pub(crate) fn in_pieces<'p, T: Sync, E: Send>(
    all: &'p [T],
    spare: &Spare,
    write: impl Fn(&'p T, &mut Vec<u8>) -> Result<(), E> + Sync,
    mut put: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    for window in all.chunks(CHUNK * WINDOW) {
        let chunks: Vec<&'p [T]> = window.chunks(CHUNK).collect();
        let written = chunks.par_iter().map(|chunk| {
            let mut piece = spare.take();
            chunk.iter().try_for_each(|entry| write(entry, &mut piece))?;
            Ok(piece)
        });
        written.collect::<Result<Vec<_>, E>>()?.into_iter().try_for_each(&mut put)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_the_first_error_ends_them() {
        let numbers: Vec<u32> = (0..5000).collect();
        let spare = Spare::default();
        let written = |last: u32| {
            let mut all = Vec::new();
            let write = |number: &u32, piece: &mut Vec<u8>| {
                piece.extend(number.to_be_bytes());
                if *number == last { Err("no more") } else { Ok(()) }
            };
            let result = in_pieces(&numbers, &spare, write, |piece| {
                all.extend_from_slice(&piece);
                spare.put(piece);
                Ok(())
            });
            (result, all)
        };
        let expected: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        assert_eq!(written(5000), (Ok(()), expected));
        assert_eq!(written(4000).0, Err("no more"));
    }
}
