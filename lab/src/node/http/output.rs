//! The body of a response on its way: small results are sent as a whole, big ones in chunks.
//!
//! Until a megabyte is there, nothing is sent, so that an error still has its status and the summary is true; with
//! `wait_end_of_query` nothing is sent before the end. An error after that is written into the body and the
//! connection is broken off.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::super::engine::{Counters, EngineError};
use super::body::{Body, channel, full};
use super::compression::BlockWriter;
use super::encoding::Encoder;
use super::error::{exception_block, status_of};
use super::request::Request;
use super::response::Head;

/// Bytes of a result that are held back.
const HELD_BACK: usize = 1 << 20;
/// How long a broken-off body has to reach the socket before its connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A response that is being made.
pub struct Output {
    /// Its headers.
    pub head: Head,
    /// What the statement did so far.
    pub counters: Counters,
    respond: Option<oneshot::Sender<Response<Body>>>,
    blocks: Option<BlockWriter>,
    encoder: Option<Encoder>,
    compress: bool,
    held: Vec<u8>,
    limit: usize,
    chunks: Option<mpsc::Sender<io::Result<Bytes>>>,
}

impl Output {
    /// The response to `request`.
    pub fn new(request: &Request, head: Head, respond: oneshot::Sender<Response<Body>>) -> Self {
        let encoder = head.encoding.and_then(|encoding| Encoder::new(encoding).ok());
        Self {
            head,
            counters: Counters::default(),
            respond: Some(respond),
            blocks: request.compress.then(BlockWriter::default),
            encoder,
            compress: request.compress,
            held: Vec::new(),
            limit: if request.wait_end { usize::MAX } else { HELD_BACK },
            chunks: None,
        }
    }

    /// Adds bytes of the result; `false` when the client is gone.
    pub fn write(&mut self, data: &[u8]) -> bool {
        if self.encode(data).is_err() {
            return false;
        }
        if self.held.len() < self.limit {
            return true;
        }
        if let Some(respond) = self.respond.take() {
            let (sender, body) = channel();
            self.chunks = Some(sender);
            if respond.send(self.head.response(StatusCode::OK, self.counters, body)).is_err() {
                return false;
            }
        }
        self.send_held()
    }

    /// Ends a result.
    pub fn finish(mut self) {
        if self.end_encoding().is_err() {
            return self.break_off();
        }
        match self.respond.take() {
            Some(respond) => {
                let body = full(std::mem::take(&mut self.held));
                let _ = respond.send(self.head.response(StatusCode::OK, self.counters, body));
            }
            None => {
                self.send_held();
            }
        }
    }

    /// Ends a failed statement.
    pub fn fail(mut self, error: &EngineError, version: &str) {
        let text = error.text(version);
        if let Some(respond) = self.respond.take() {
            let mut body = format!("{text}\n").into_bytes();
            if self.compress {
                let mut blocks = BlockWriter::default();
                let raw = std::mem::take(&mut body);
                blocks.write(&raw, &mut body);
                blocks.flush(&mut body);
            }
            let _ = respond.send(self.head.error(status_of(error.code), error.code, self.counters, full(body)));
            return;
        }
        if self.encode(&exception_block(&text, &self.head.tag)).is_ok() && self.end_encoding().is_ok() {
            self.send_held();
        }
        self.break_off();
    }

    fn encode(&mut self, data: &[u8]) -> io::Result<()> {
        let mut framed = Vec::new();
        let data = match &mut self.blocks {
            Some(blocks) => {
                blocks.write(data, &mut framed);
                framed.as_slice()
            }
            None => data,
        };
        match &mut self.encoder {
            Some(encoder) => encoder.write(data, &mut self.held),
            None => {
                self.held.extend_from_slice(data);
                Ok(())
            }
        }
    }

    fn end_encoding(&mut self) -> io::Result<()> {
        let mut framed = Vec::new();
        if let Some(blocks) = &mut self.blocks {
            blocks.flush(&mut framed);
        }
        match self.encoder.take() {
            Some(mut encoder) => {
                encoder.write(&framed, &mut self.held)?;
                encoder.finish(&mut self.held)
            }
            None => {
                self.held.append(&mut framed);
                Ok(())
            }
        }
    }

    fn send_held(&mut self) -> bool {
        let piece = Bytes::from(std::mem::take(&mut self.held));
        match &self.chunks {
            Some(chunks) if !piece.is_empty() => chunks.blocking_send(Ok(piece)).is_ok(),
            _ => true,
        }
    }

    fn break_off(self) {
        if let Some(chunks) = self.chunks {
            std::thread::sleep(LAST_WORDS);
            let _ = chunks.blocking_send(Err(io::Error::other("the statement failed after its result began")));
        }
    }
}
