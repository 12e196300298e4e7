//! Formats of results: which can be sent in chunks, and what they are called in `Content-Type`.

/// How chunks of a result, each a document of its own, become one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// Each chunk continues the one before.
    Plain,
    /// All but the first chunk begin with this many lines that only the first keeps.
    Lines(usize),
    /// All but the first begin with the names, and the types when `true`, of RowBinary.
    Binary(bool),
}

/// How chunks of a format are joined; `None` for formats with a frame around the rows.
pub fn joining(format: &str) -> Option<Joining> {
    Some(match format.to_ascii_lowercase().as_str() {
        "tabseparated"
        | "tsv"
        | "tabseparatedraw"
        | "tsvraw"
        | "csv"
        | "jsoneachrow"
        | "jsonlines"
        | "ndjson"
        | "jsonstringseachrow"
        | "jsoncompacteachrow"
        | "jsoncompactstringseachrow"
        | "rowbinary"
        | "native"
        | "null"
        | "rawblob" => Joining::Plain,
        "tabseparatedwithnames" | "tsvwithnames" | "jsoncompacteachrowwithnames" => Joining::Lines(1),
        "tabseparatedwithnamesandtypes" | "tsvwithnamesandtypes" | "jsoncompacteachrowwithnamesandtypes" => {
            Joining::Lines(2)
        }
        "rowbinarywithnames" => Joining::Binary(false),
        "rowbinarywithnamesandtypes" => Joining::Binary(true),
        _ => return None,
    })
}

impl Joining {
    /// Where a chunk that is not the first continues the document.
    pub fn skip(self, chunk: &[u8]) -> usize {
        match self {
            Self::Plain => 0,
            Self::Lines(count) => {
                let ends = chunk.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
                ends.take(count).last().unwrap_or(0)
            }
            Self::Binary(types) => binary_header(chunk, types).unwrap_or(0),
        }
    }
}

/// Length of RowBinary's header: the number of columns, their names, their types.
fn binary_header(chunk: &[u8], types: bool) -> Option<usize> {
    let mut at = 0;
    let columns = varint(chunk, &mut at)?;
    for _ in 0..columns * if types { 2 } else { 1 } {
        let len = varint(chunk, &mut at)?;
        at += len;
    }
    (at <= chunk.len()).then_some(at)
}

fn varint(data: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *data.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The media type of a format.
pub fn content_type(format: &str) -> &'static str {
    let lower = format.to_ascii_lowercase();
    if lower.starts_with("tabseparated") || lower.starts_with("tsv") {
        "text/tab-separated-values; charset=UTF-8"
    } else if lower.starts_with("csvwithnames") {
        "text/csv; charset=UTF-8; header=present"
    } else if lower.starts_with("csv") {
        "text/csv; charset=UTF-8; header=absent"
    } else if matches!(lower.as_str(), "jsoneachrow" | "jsonlines" | "ndjson" | "jsonstringseachrow") {
        "application/x-ndjson; charset=UTF-8"
    } else if lower.starts_with("json") {
        "application/json; charset=UTF-8"
    } else if lower.starts_with("pretty") || lower == "vertical" || lower == "values" {
        "text/plain; charset=UTF-8"
    } else {
        "application/octet-stream"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_later_chunks_are_skipped() {
        assert_eq!(Joining::Lines(2).skip(b"a\tb\nInt8\tInt8\n1\t2\n"), 14);
        assert_eq!(Joining::Binary(true).skip(b"\x01\x01a\x05Int32\x01\0\0\0"), 9);
        assert_eq!(Joining::Binary(false).skip(b"\x01\x01a\x01\0\0\0"), 3);
        assert_eq!(joining("JSONEachRow"), Some(Joining::Plain));
        assert_eq!(joining("JSON"), None);
    }
}
