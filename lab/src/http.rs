//! A small blocking HTTP/1.1 client for the nodes: one connection per request, no runtime needed.
//!
//! Tests are plain functions, and a node may be paused, killed or half dead, so every read has a time limit.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use thiserror::Error;

/// An answer of a node that is not a result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{url}: {message}")]
pub struct HttpError {
    /// The node.
    pub url: String,
    /// ClickHouse's error code; 0 when the node did not answer.
    pub code: i32,
    /// HTTP status; 0 when the node did not answer.
    pub status: u16,
    /// ClickHouse's text, or what went wrong on the way.
    pub message: String,
}

/// Where and as whom to ask.
#[derive(Clone)]
pub struct Client {
    /// Address of the HTTP interface.
    pub address: SocketAddr,
    /// Name of the user.
    pub user: String,
    /// Password of the user.
    pub password: String,
    /// Limit for each read and write.
    pub timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The password stays out of every log.
        f.debug_struct("Client").field("address", &self.address).field("user", &self.user).finish_non_exhaustive()
    }
}

/// A complete HTTP answer.
struct Answer {
    status: u16,
    code: Option<i32>,
    body: String,
}

impl Client {
    /// Runs one statement and returns its result as the server formats it (TSV unless it says otherwise).
    pub fn query(&self, sql: &str) -> Result<String, HttpError> {
        self.send("POST", "/", sql)
    }

    /// Runs one statement in a current database.
    pub fn query_in(&self, database: &str, sql: &str) -> Result<String, HttpError> {
        let name = percent_encoding::utf8_percent_encode(database, percent_encoding::NON_ALPHANUMERIC);
        self.send("POST", &format!("/?database={name}"), sql)
    }

    /// Whether the HTTP interface answers.
    pub fn ping(&self) -> bool {
        self.send("GET", "/ping", "").is_ok()
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Result<String, HttpError> {
        let error =
            |code, status, message| HttpError { url: format!("http://{}", self.address), code, status, message };
        let answer = self.exchange(method, path, body).map_err(|e| error(0, 0, format!("no answer: {e}")))?;
        if answer.status == 200 {
            return Ok(answer.body);
        }
        let code = answer.code.or_else(|| code_in_text(&answer.body)).unwrap_or(0);
        Err(error(code, answer.status, answer.body.trim_end().to_owned()))
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&self.address, self.timeout.min(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.user, self.password));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {login}\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw)?;
        parse(&raw).ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was cut"))
    }
}

fn parse(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|w| w == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(raw.get(..end)?).into_owned();
    let rest = raw.get(end + 4..)?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.split("\r\n").find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let body = if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        unchunk(rest)?
    } else {
        let length = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(rest.len());
        rest.get(..length)?.to_vec()
    };
    let code = header("x-clickhouse-exception-code").and_then(|v| v.parse().ok());
    Some(Answer { status, code, body: String::from_utf8_lossy(&body).into_owned() })
}

/// Joins the chunks; `None` when the last one is missing, which is how a cut answer looks.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n")?;
        let line = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size)?);
        rest = rest.get(end + 2 + size + 2..)?;
    }
}

/// Old servers name the code only in the text: `Code: 60, e.displayText() = ...`.
fn code_in_text(body: &str) -> Option<i32> {
    let digits: String = body.split_once("Code: ")?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_cut_answer_is_no_answer() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(whole).unwrap().body, "abcde");
        assert!(parse(&whole[..whole.len() - 6]).is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").is_none());
    }

    #[test]
    fn the_code_comes_from_the_header_or_the_text() {
        let raw = b"HTTP/1.1 404 Not Found\r\nX-ClickHouse-Exception-Code: 60\r\nContent-Length: 2\r\n\r\nno";
        let answer = parse(raw).unwrap();
        assert_eq!((answer.status, answer.code), (404, Some(60)));
        assert_eq!(code_in_text("Code: 81, e.displayText() = DB::Exception"), Some(81));
        assert_eq!(code_in_text("Ok."), None);
    }

    #[test]
    fn the_password_is_not_in_the_debug_text() {
        let client = Client {
            address: ([127, 0, 0, 1], 1).into(),
            user: "default".into(),
            password: "hush".into(),
            timeout: Duration::from_secs(1),
        };
        assert!(!format!("{client:?}").contains("hush"));
        let error = client.query("SELECT 1").unwrap_err();
        assert_eq!((error.code, error.status), (0, 0));
    }
}
