//! HTTP/1.1 with kept connections, one thread each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

pub struct Request {
    pub body: String,
}

/// A whole answer with its head.
#[derive(Clone)]
pub struct Answer(pub Arc<Vec<u8>>);

impl Answer {
    pub fn plain(body: &str) -> Self {
        Self::with("200 OK", "", body.as_bytes())
    }

    pub fn error(code: i32, message: &str) -> Self {
        Self::with("500 Internal Server Error", &format!("X-ClickHouse-Exception-Code: {code}\r\n"), message.as_bytes())
    }

    fn with(status: &str, headers: &str, body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        Self(Arc::new(bytes))
    }
}

/// Listens on a free port.
pub fn serve(answer: impl Fn(Request) -> Answer + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let _ = connection(&stream, &*answer);
            });
        }
    });
    port
}

fn connection(stream: &TcpStream, answer: &dyn Fn(Request) -> Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let answer = answer(Request { body: String::from_utf8(body).unwrap() });
        (&mut &*stream).write_all(&answer.0)?;
    }
}
