//! Bodies: a request's body as a blocking reader, a response's body as a channel.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Body of every response.
pub type Body = BoxBody<Bytes, io::Error>;

/// A body that is known as a whole.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body whose pieces come over a channel. An error breaks the connection off, so that the client sees that the
/// body is not whole.
pub fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Body) {
    // Two pieces: enough to overlap work and sending, and a slow client slows the statement down.
    let (sender, receiver) = mpsc::channel(2);
    let frames = stream::unfold(receiver, |mut receiver| async {
        let piece: io::Result<Bytes> = receiver.recv().await?;
        Some((piece.map(Frame::data), receiver))
    });
    (sender, BodyExt::boxed(StreamBody::new(frames)))
}

/// Reads a request's body from a thread that may block.
pub struct BodyReader {
    runtime: Handle,
    body: Incoming,
    piece: Bytes,
}

impl BodyReader {
    /// A reader for the threads of `runtime` that may block.
    pub fn new(runtime: Handle, body: Incoming) -> Self {
        Self { runtime, body, piece: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Err(error)) => return Err(io::Error::other(error)),
                Some(Ok(frame)) => self.piece = frame.into_data().unwrap_or_default(),
            }
        }
        let count = buffer.len().min(self.piece.len());
        buffer[..count].copy_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        Ok(count)
    }
}
