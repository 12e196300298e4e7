//! A collector of traces: a real HTTP server that keeps what it is sent, and reads it as far as a test needs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Takes spans on a port of its own.
pub struct Collector {
    pub address: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One span.
#[derive(Clone, Debug, Default)]
pub struct Span {
    pub trace: Vec<u8>,
    pub id: Vec<u8>,
    pub parent: Vec<u8>,
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub is_error: bool,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&bodies);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || take(&stream, &kept));
            }
        });
        Self { address, bodies }
    }

    /// Everything that came, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().concat()
    }

    pub fn spans(&self) -> Vec<Span> {
        self.bodies.lock().unwrap().iter().flat_map(|body| spans(body)).collect()
    }
}

fn take(stream: &TcpStream, kept: &Mutex<Vec<Vec<u8>>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || reader.read_exact(&mut body).is_err() {
            return;
        }
        kept.lock().unwrap().push(body);
        let mut out = stream;
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// Fields of a message: number and, where it has a length, its bytes; of numbers the value in little endian.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut out = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let value = match key & 7 {
            0 => varint(&mut message).to_le_bytes().to_vec(),
            1 => cut(&mut message, 8),
            5 => cut(&mut message, 4),
            _ => {
                let length = usize::try_from(varint(&mut message)).unwrap();
                cut(&mut message, length)
            }
        };
        out.push((key >> 3, value));
    }
    out
}

fn cut(message: &mut &[u8], length: usize) -> Vec<u8> {
    let (head, rest) = message.split_at(length);
    *message = rest;
    head.to_vec()
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = message[0];
        *message = &message[1..];
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn below(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    fields(message).into_iter().filter(|(of, _)| *of == number).map(|(_, value)| value).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `ExportTraceServiceRequest` > `ResourceSpans` > `ScopeSpans` > `Span`.
fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = below(body, 1).into_iter().flat_map(|resource| below(&resource, 2));
    scopes.flat_map(|scope| below(&scope, 2)).map(|span| one(&span)).collect()
}

fn one(message: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, value) in fields(message) {
        match number {
            1 => span.trace = value,
            2 => span.id = value,
            4 => span.parent = value,
            5 => span.name = text(&value),
            9 => {
                let key = text(&below(&value, 1).concat());
                let value = fields(&below(&value, 2).concat()).remove(0);
                let value = if value.0 == 1 { text(&value.1) } else { value.1[0].to_string() };
                span.attributes.insert(key, value);
            }
            11 => span.events.push(text(&below(&value, 2).concat())),
            15 => span.is_error = below(&value, 3).first().is_some_and(|code| code[0] == 2),
            _ => {}
        }
    }
    span
}
