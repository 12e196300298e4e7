//! The hash behind each file of a part on its way: CityHash128 v1.0.2 chained over blocks.

use cityhash_rs::cityhash_102_128;

/// Bytes hashed at once.
const BLOCK: usize = 2048;
/// CityHash128 with a seed equals CityHash128 of the seed, its low word mixed with this, before the block.
const SEED_MIX: u64 = 0xc949_d7c7_509e_6557;

/// A hash that takes data in pieces of any size.
pub struct HashingStream {
    low: u64,
    high: u64,
    /// The seed's 16 bytes and the begin of the next block.
    pending: Vec<u8>,
}

impl HashingStream {
    /// The hash of nothing yet.
    pub fn new() -> Self {
        let mut stream = Self { low: 0, high: 0, pending: Vec::with_capacity(16 + BLOCK) };
        stream.begin_block();
        stream
    }

    /// Adds data.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let room = 16 + BLOCK - self.pending.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.pending.extend_from_slice(now);
            data = later;
            if self.pending.len() == 16 + BLOCK {
                self.end_block();
            }
        }
    }

    /// The hash of all data, as it goes over the wire.
    pub fn finish(mut self) -> [u8; 16] {
        if self.pending.len() > 16 {
            self.end_block();
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.low.to_le_bytes());
        bytes[8..].copy_from_slice(&self.high.to_le_bytes());
        bytes
    }

    fn begin_block(&mut self) {
        self.pending.clear();
        self.pending.extend_from_slice(&(self.low ^ SEED_MIX).to_le_bytes());
        self.pending.extend_from_slice(&self.high.to_le_bytes());
    }

    fn end_block(&mut self) {
        let hash = cityhash_102_128(&self.pending);
        // The crate returns the two words of the hash as one number, the first word on top.
        (self.low, self.high) = ((hash >> 64) as u64, hash as u64);
        self.begin_block();
    }
}

#[cfg(test)]
mod tests {
    use super::HashingStream;

    fn hash(pieces: &[&[u8]]) -> [u8; 16] {
        let mut stream = HashingStream::new();
        pieces.iter().for_each(|piece| stream.update(piece));
        stream.finish()
    }

    #[test]
    fn the_size_of_the_pieces_does_not_matter() {
        let data: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        assert_eq!(hash(&[&data]), hash(&[&data[..1], &data[1..2048], &data[2048..5000], &data[5000..]]));
        assert_eq!(hash(&[]), [0; 16]);
    }

    #[test]
    fn agrees_with_the_engine() {
        // Hashes under which another replica took files of these bytes.
        let one = [108, 156, 85, 189, 233, 154, 147, 124, 169, 83, 84, 88, 244, 20, 5, 255];
        assert_eq!(hash(&[b"1"]), one);
        let five_kilobytes: Vec<u8> = (0..5120u32).map(|n| n as u8).collect();
        let several = [186, 237, 136, 88, 36, 16, 69, 175, 231, 218, 79, 60, 76, 136, 253, 250];
        assert_eq!(hash(&[&five_kilobytes]), several);
    }
}
