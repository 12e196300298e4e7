//! Encodings of HTTP itself, `Content-Encoding` and `Accept-Encoding`: gzip, deflate, lz4, zstd.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

/// An encoding both sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// gzip
    Gzip,
    /// zlib, which HTTP calls deflate
    Deflate,
    /// LZ4 frames
    Lz4,
    /// Zstandard
    Zstd,
}

impl Encoding {
    /// Reads the name of an encoding. `Err` for one that is not known, `None` for none.
    pub fn parse(name: &str) -> Result<Option<Self>, String> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(None),
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "lz4" => Ok(Some(Self::Lz4)),
            "zstd" => Ok(Some(Self::Zstd)),
            other => Err(format!("Unknown HTTP content encoding: {other}")),
        }
    }

    /// The first encoding of an `Accept-Encoding` that is known, in the order ClickHouse prefers them.
    pub fn accepted(header: &str) -> Option<Self> {
        let names: Vec<&str> = header.split(',').filter_map(|part| part.split(';').next()).map(str::trim).collect();
        [Self::Gzip, Self::Deflate, Self::Zstd, Self::Lz4]
            .into_iter()
            .find(|encoding| names.iter().any(|name| name.eq_ignore_ascii_case(encoding.name())))
    }

    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// A reader of what is encoded.
    pub fn decoder(self, body: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(body)),
            Self::Deflate => Box::new(ZlibDecoder::new(body)),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(body)),
            Self::Zstd => Box::new(zstd::Decoder::new(body)?),
        })
    }
}

/// Encodes a body piece by piece into a buffer that is taken out now and then.
pub enum Encoder {
    /// gzip
    Gzip(GzEncoder<Vec<u8>>),
    /// deflate
    Deflate(ZlibEncoder<Vec<u8>>),
    /// LZ4 frames
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
    /// Zstandard
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder that has written nothing.
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Lz4 => Self::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => Self::Zstd(zstd::Encoder::new(Vec::new(), 1)?),
        })
    }

    /// Takes bytes; what is encoded so far goes to `out`.
    pub fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let buffer = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(data)?;
                encoder.get_mut()
            }
            Self::Deflate(encoder) => {
                encoder.write_all(data)?;
                encoder.get_mut()
            }
            Self::Lz4(encoder) => {
                encoder.write_all(data)?;
                encoder.get_mut()
            }
            Self::Zstd(encoder) => {
                encoder.write_all(data)?;
                encoder.get_mut()
            }
        };
        out.append(buffer);
        Ok(())
    }

    /// Ends the encoded body.
    pub fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        let mut rest = match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Deflate(encoder) => encoder.finish()?,
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        out.append(&mut rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_goes_both_ways() {
        let data: Vec<u8> = (0..500_000u32).map(|n| (n / 9) as u8).collect();
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Lz4, Encoding::Zstd] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut encoded = Vec::new();
            for piece in data.chunks(70_000) {
                encoder.write(piece, &mut encoded).unwrap();
            }
            encoder.finish(&mut encoded).unwrap();
            let mut decoded = Vec::new();
            let body: Box<dyn Read> = Box::new(io::Cursor::new(encoded));
            encoding.decoder(body).unwrap().read_to_end(&mut decoded).unwrap();
            assert!(decoded == data, "{encoding:?}");
        }
    }

    #[test]
    fn names_are_chosen_in_the_servers_order() {
        assert_eq!(Encoding::accepted("br, zstd;q=0.5, gzip"), Some(Encoding::Gzip));
        assert_eq!(Encoding::accepted("lz4, zstd"), Some(Encoding::Zstd));
        assert_eq!(Encoding::accepted("identity"), None);
        assert!(Encoding::parse("br").is_err());
        assert_eq!(Encoding::parse("identity"), Ok(None));
    }
}
