//! The statement of a request and the data behind it: `query` of the URL, a line end, and the body.

use std::io::{self, Read};

use super::super::engine::EngineError;
use super::super::sql::{InsertParts, Statement};
use super::body::BodyReader;
use super::compression::BlockReader;
use super::multipart;
use super::request::Request;

/// Bytes read at once.
const HEAD: usize = 256 * 1024;

/// A request's text: what was read of it, and the rest.
pub struct Input {
    /// The statement.
    pub statement: Statement,
    /// Bytes read: the whole statement, or for an INSERT its data's begin from `data_at` on.
    head: Vec<u8>,
    rest: Box<dyn Read>,
}

impl Input {
    /// Reads the statement of a request.
    pub fn read(request: &mut Request, body: BodyReader) -> Result<Self, EngineError> {
        let unreadable = |error: io::Error| {
            EngineError::new(33, "CANNOT_READ_ALL_DATA", format!("Cannot read the request: {error}"))
        };
        let mut rest: Box<dyn Read> = Box::new(body);
        if let Some(encoding) = request.content_encoding {
            rest = encoding.decoder(rest).map_err(unreadable)?;
        }
        if request.decompress {
            rest = Box::new(BlockReader::new(rest));
        }
        if let Some(boundary) = &request.boundary {
            let mut form = Vec::new();
            rest.read_to_end(&mut form).map_err(unreadable)?;
            let fields = multipart::fields(&form, boundary)
                .ok_or_else(|| EngineError::new(36, "BAD_ARGUMENTS", "The form of the request is broken"))?;
            request.add_fields(fields)?;
            rest = Box::new(io::empty());
        }
        let mut head = request.query.clone().into_bytes();
        if !head.is_empty() {
            head.push(b'\n');
        }
        let query_len = head.len();
        let mut piece = vec![0; HEAD];
        let statement = loop {
            // An INSERT begins as soon as its statement is here: its data may take its time.
            let complete = |parts: &InsertParts| query_len > 0 || parts.data_at < head.len();
            if let Some(statement) = insert_in(&head).filter(|found| found.insert().is_some_and(complete)) {
                break statement;
            }
            match rest.read(&mut piece).map_err(unreadable)? {
                0 => break Statement::new(valid_text(&head)),
                count => head.extend_from_slice(&piece[..count]),
            }
        };
        Ok(Self { statement, head, rest })
    }

    /// The bytes of a statement without data.
    pub fn bytes(&self) -> &[u8] {
        &self.head
    }

    /// Hands the data of an INSERT over piece by piece.
    pub fn data(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let data_at = self.statement.insert().map_or(self.head.len(), |parts| parts.data_at);
        if data_at < self.head.len() {
            take(&self.head[data_at..]);
        }
        let mut piece = vec![0; HEAD];
        loop {
            match self.rest.read(&mut piece)? {
                0 => return Ok(()),
                count => take(&piece[..count]),
            }
        }
    }

    /// Reads what is left and forgets it: a client that still sends does not read the answer.
    pub fn drain(&mut self) {
        // A broken body ends here too.
        let _ = io::copy(&mut self.rest, &mut io::sink());
    }
}

/// The INSERT with data the bytes begin with. Longer statements are no such INSERT, and not looked at again and again.
fn insert_in(head: &[u8]) -> Option<Statement> {
    const LONGEST: usize = 4 * HEAD;
    let text = valid_text(head);
    let found = head.len() <= LONGEST && InsertParts::find(text).is_some();
    found.then(|| Statement::new(text))
}

/// The begin of the bytes that is text; behind it lies binary data of an INSERT.
fn valid_text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::valid_text;

    #[test]
    fn text_ends_where_binary_data_begins() {
        assert_eq!(valid_text(b"INSERT \xff\xfe"), "INSERT ");
        assert_eq!(valid_text("ä".as_bytes()), "ä");
    }
}
