//! What goes over the wire for one part, in version 9 of the protocol.
//!
//! Total size (u64), TTL infos (text with length), type of the part (text), UUID (36 characters), number of
//! projections (u64); then per projection its name and its files; then the files of the part. Files are their number
//! (u64) and, each, name, size (u64), bytes and hash. Numbers are little-endian, lengths of texts are varints.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::hash::HashingStream;

/// Version of the protocol that is spoken.
pub const PROTOCOL_VERSION: u32 = 9;

/// Files the receiver makes itself, or that version 9 does not know.
const NOT_SENT: [&str; 3] = ["txn_version.txt", "uuid.txt", "invalidated_system_columns.txt"];
const NO_TTL: &[u8] = b"ttl format version: 1\n{}";
/// Bytes handed on at once.
const CHUNK: usize = 256 * 1024;

/// What `system.parts` says about a part.
pub struct Part {
    /// Its folder.
    pub path: String,
    /// `Wide` or `Compact`.
    pub kind: String,
    /// Its UUID, usually all zeros.
    pub uuid: String,
}

/// Files of a folder, opened: a part that is removed meanwhile can still be sent.
struct Files {
    entries: Vec<(String, File, u64)>,
}

impl Files {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !NOT_SENT.contains(&name.as_str()) {
                let file = File::open(entry.path())?;
                let size = file.metadata()?.len();
                entries.push((name, file, size));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { entries })
    }

    fn size(&self) -> u64 {
        self.entries.iter().map(|(_, _, size)| size).sum()
    }

    fn send(self, send: &mut impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        send((self.entries.len() as u64).to_le_bytes().to_vec())?;
        for (name, mut file, size) in self.entries {
            let mut head = text(name.as_bytes());
            head.extend_from_slice(&size.to_le_bytes());
            send(head)?;
            let mut hash = HashingStream::new();
            let mut left = size;
            while left > 0 {
                let mut chunk = vec![0; CHUNK.min(left as usize)];
                file.read_exact(&mut chunk)?;
                hash.update(&chunk);
                left -= chunk.len() as u64;
                send(chunk)?;
            }
            send(hash.finish().to_vec())?;
        }
        Ok(())
    }
}

/// Sends a part piece by piece.
pub fn send_part(part: &Part, mut send: impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let folder = Path::new(&part.path);
    let files = Files::open(folder)?;
    let mut projections = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(projection) = name.strip_suffix(".proj") {
            projections.push((projection.to_owned(), Files::open(&entry.path())?));
        }
    }
    projections.sort_by(|a, b| a.0.cmp(&b.0));
    let total = files.size() + projections.iter().map(|(_, files)| files.size()).sum::<u64>();
    let ttl = match std::fs::read(folder.join("ttl.txt")) {
        Ok(ttl) => ttl,
        Err(error) if error.kind() == io::ErrorKind::NotFound => NO_TTL.to_vec(),
        Err(error) => return Err(error),
    };

    let mut head = total.to_le_bytes().to_vec();
    head.extend_from_slice(&text(&ttl));
    head.extend_from_slice(&text(part.kind.as_bytes()));
    head.extend_from_slice(part.uuid.as_bytes());
    head.extend_from_slice(&(projections.len() as u64).to_le_bytes());
    send(head)?;
    for (name, files) in projections {
        send(text(name.as_bytes()))?;
        files.send(&mut send)?;
    }
    files.send(&mut send)
}

/// A text with its length before it.
fn text(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 2);
    let mut len = data.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_varints() {
        assert_eq!(text(b"ab"), b"\x02ab");
        assert_eq!(text(&[b'x'; 200])[..3], [0xc8, 0x01, b'x']);
    }

    #[test]
    fn a_part_with_a_projection() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("p.proj")).unwrap();
        std::fs::write(dir.path().join("p.proj/count.txt"), "2").unwrap();
        std::fs::write(dir.path().join("count.txt"), "10").unwrap();
        std::fs::write(dir.path().join("txn_version.txt"), "x").unwrap();
        let part = Part {
            path: dir.path().display().to_string(),
            kind: "Compact".into(),
            uuid: "00000000-0000-0000-0000-000000000000".into(),
        };
        let mut sent = Vec::new();
        send_part(&part, |piece| {
            sent.extend(piece);
            Ok(())
        })
        .unwrap();
        assert_eq!(sent[..8], 3u64.to_le_bytes());
        assert_eq!(sent[8..9 + NO_TTL.len()], text(NO_TTL));
        let rest = &sent[9 + NO_TTL.len()..];
        assert_eq!(&rest[..8], b"\x07Compact");
        assert_eq!(rest[44..52], 1u64.to_le_bytes());
        assert_eq!(&rest[52..54], b"\x01p");
        assert_eq!(rest[54..62], 1u64.to_le_bytes());
        assert_eq!(&rest[62..72], b"\x09count.txt");
        assert_eq!(rest.len(), 54 + 8 + 10 + 8 + 1 + 16 + 8 + 10 + 8 + 2 + 16);
    }
}
