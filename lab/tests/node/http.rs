//! The smallest HTTP client that shows everything: headers, and whether the body came whole.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A request.
pub struct Request {
    port: u16,
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A reply.
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Request {
    pub fn new(port: u16) -> Self {
        Self { port, method: "POST", target: "/?".to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(mut self) -> Self {
        self.method = "GET";
        self
    }

    pub fn path(mut self, path: &str) -> Self {
        self.target = path.to_owned();
        self
    }

    pub fn url(mut self, name: &str, value: &str) -> Self {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.target.push_str(&format!("&{name}={encoded}"));
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without_credentials(mut self) -> Self {
        self.headers.clear();
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request and reads the reply to its end.
    pub fn send(self) -> Reply {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        (&socket).write_all(head.as_bytes()).unwrap();
        (&socket).write_all(&self.body).unwrap();
        Reply::read(BufReader::new(socket))
    }
}

impl Reply {
    fn read(mut socket: impl BufRead) -> Self {
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).expect("a status line").parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            socket.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut reply = Self { status, headers, body: Vec::new(), whole: true };
        match reply.header("transfer-encoding") {
            Some(_) => reply.whole = read_chunks(&mut socket, &mut reply.body),
            None => {
                let len: usize = reply.header("content-length").map_or(0, |len| len.parse().unwrap());
                reply.body.resize(len, 0);
                socket.read_exact(&mut reply.body).unwrap();
            }
        }
        reply
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// ClickHouse's error code, 0 for success.
    pub fn code(&self) -> i32 {
        self.header("x-clickhouse-exception-code").map_or(0, |code| code.parse().unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A number of `X-ClickHouse-Summary`.
    pub fn summary(&self, key: &str) -> u64 {
        let summary: serde_json::Value = serde_json::from_str(self.header("x-clickhouse-summary").unwrap()).unwrap();
        summary[key].as_str().unwrap().parse().unwrap()
    }
}

/// Reads chunks; `false` when the last one is missing.
fn read_chunks(socket: &mut impl BufRead, body: &mut Vec<u8>) -> bool {
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).is_err() {
            return false;
        }
        let Ok(len) = usize::from_str_radix(line.trim(), 16) else { return false };
        let mut chunk = vec![0; len + 2];
        if socket.read_exact(&mut chunk).is_err() {
            return false;
        }
        if len == 0 {
            return true;
        }
        body.extend_from_slice(&chunk[..len]);
    }
}
