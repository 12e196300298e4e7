//! ClickHouse's framing of compressed blocks (`compress=1`, `decompress=1`).
//!
//! A block is 16 bytes of CityHash128 v1.0.2 over what follows, one byte for the method, the size of the compressed
//! data with the 9 bytes of this header (u32), the raw size (u32), and the data.

use std::io::{self, Read};

use cityhash_rs::cityhash_102_128;

const HASH: usize = 16;
const HEADER: usize = 9;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;
/// Raw bytes of a block that is written.
const BLOCK: usize = 1 << 20;
/// Largest block that is read.
const LARGEST: usize = 1 << 30;

/// Cuts bytes into blocks.
#[derive(Default)]
pub struct BlockWriter {
    raw: Vec<u8>,
}

impl BlockWriter {
    /// Takes bytes; whole blocks go to `out`.
    pub fn write(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while !data.is_empty() {
            let (now, later) = data.split_at((BLOCK - self.raw.len()).min(data.len()));
            self.raw.extend_from_slice(now);
            data = later;
            if self.raw.len() == BLOCK {
                self.flush(out);
            }
        }
    }

    /// Writes what is left as a block.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.raw.is_empty() {
            out.extend_from_slice(&compress_block(&self.raw));
            self.raw.clear();
        }
    }
}

/// One LZ4 block.
fn compress_block(raw: &[u8]) -> Vec<u8> {
    let data = lz4_flex::block::compress(raw);
    let mut block = vec![0; HASH];
    block.push(LZ4);
    block.extend_from_slice(&((data.len() + HEADER) as u32).to_le_bytes());
    block.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    block.extend_from_slice(&data);
    let hash = hash(&block[HASH..]);
    block[..HASH].copy_from_slice(&hash);
    block
}

fn hash(data: &[u8]) -> [u8; HASH] {
    let hash = cityhash_102_128(data);
    let mut bytes = [0; HASH];
    bytes[..8].copy_from_slice(&((hash >> 64) as u64).to_le_bytes());
    bytes[8..].copy_from_slice(&(hash as u64).to_le_bytes());
    bytes
}

/// Reads blocks as the bytes they were made of.
pub struct BlockReader<R> {
    inner: R,
    raw: Vec<u8>,
    read: usize,
}

impl<R: Read> BlockReader<R> {
    /// Reads blocks from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, raw: Vec::new(), read: 0 }
    }

    /// Reads the next block; `false` at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut head = [0; HASH + HEADER];
        match self.inner.read(&mut head[..1])? {
            0 => return Ok(false),
            _ => self.inner.read_exact(&mut head[1..])?,
        }
        let size = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (compressed, raw) = (size(HASH + 1), size(HASH + 5));
        if !(HEADER..=LARGEST).contains(&compressed) || raw > LARGEST {
            return Err(invalid("a compressed block has an impossible size"));
        }
        let mut block = head[HASH..].to_vec();
        block.resize(compressed, 0);
        self.inner.read_exact(&mut block[HEADER..])?;
        if hash(&block) != head[..HASH] {
            return Err(invalid("Checksum doesn't match: corrupted data"));
        }
        let data = &block[HEADER..];
        self.raw = match block[0] {
            LZ4 => lz4_flex::block::decompress(data, raw).map_err(|error| invalid(&error.to_string()))?,
            ZSTD => zstd::bulk::decompress(data, raw)?,
            NONE => data.to_vec(),
            other => return Err(invalid(&format!("Unknown compression method: {other:#04x}"))),
        };
        self.read = 0;
        Ok(true)
    }
}

impl<R: Read> Read for BlockReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.raw.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.raw.len() - self.read);
        buffer[..count].copy_from_slice(&self.raw[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        BlockReader::new(bytes).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn reads_a_block_another_client_wrote() {
        // `select 4200`, framed by Python's lz4 and clickhouse-cityhash.
        let block = [
            143, 155, 228, 149, 245, 77, 151, 85, 230, 118, 50, 134, 10, 140, 145, 39, 130, 21, 0, 0, 0, 11, 0, 0, 0,
            176, 115, 101, 108, 101, 99, 116, 32, 52, 50, 48, 48,
        ];
        assert_eq!(read(&block).unwrap(), b"select 4200");
        assert!(read(&block[..30]).is_err(), "cut short");
    }

    #[test]
    fn blocks_go_both_ways() {
        let data: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
        let mut writer = BlockWriter::default();
        let mut framed = Vec::new();
        data.chunks(999).for_each(|piece| writer.write(piece, &mut framed));
        writer.flush(&mut framed);
        assert!(framed.len() < data.len() / 10);
        assert_eq!(framed[16], LZ4);
        assert!(read(&framed).unwrap() == data);
    }

    #[test]
    fn other_methods_are_read_and_damage_is_seen() {
        for (method, data) in [(NONE, b"abc".to_vec()), (ZSTD, zstd::bulk::compress(b"abc", 1).unwrap())] {
            let mut body = vec![method];
            body.extend_from_slice(&((data.len() + HEADER) as u32).to_le_bytes());
            body.extend_from_slice(&3u32.to_le_bytes());
            body.extend_from_slice(&data);
            let mut block = hash(&body).to_vec();
            block.extend_from_slice(&body);
            assert_eq!(read(&block).unwrap(), b"abc");
            *block.last_mut().unwrap() ^= 1;
            assert!(read(&block).is_err());
        }
    }
}
