//! The port other replicas fetch parts from.
//!
//! The engine's request line may lack the slash before the query, which HTTP libraries refuse, so the few lines of
//! HTTP this needs are read and written here. One thread per fetch, one fetch per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::super::Node;
use super::super::engine::EngineError;
use super::super::http::query_pairs;
use super::super::sql::quote_string;
use super::stream::{PROTOCOL_VERSION, Part, send_part};

/// A request line and headers longer than this are refused.
const LONGEST_HEAD: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);
const ENDPOINT: &str = "DataPartsExchange:";

/// Serves fetches until the process ends.
pub fn serve(node: &Arc<Node>, listener: &TcpListener) {
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let node = Arc::clone(node);
        // A fetch that breaks off is the receiver's to repeat; it does so by itself.
        std::thread::spawn(move || drop(answer(&node, &socket)));
    }
}

fn answer(node: &Node, socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let target = read_head(socket)?;
    let mut out = io::BufWriter::with_capacity(1 << 16, socket);
    match find_part(node, &target) {
        Ok(part) => {
            write!(
                out,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                 Set-Cookie: server_protocol_version={PROTOCOL_VERSION}\r\n\r\n"
            )?;
            send_part(&part, |piece| {
                write!(out, "{:x}\r\n", piece.len())?;
                out.write_all(&piece)?;
                out.write_all(b"\r\n")
            })?;
            // Without the last chunk the receiver sees that the part is not whole.
            out.write_all(b"0\r\n\r\n")?;
        }
        Err(error) => {
            let text = error.text(&node.engine.version);
            write!(
                out,
                "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nX-ClickHouse-Exception-Code: {}\r\n\
                 Content-Length: {}\r\n\r\n{text}",
                error.code,
                text.len()
            )?;
        }
    }
    out.flush()
}

/// The target of the request line; headers and an empty body are read and forgotten.
fn read_head(socket: &TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(socket.take(LONGEST_HEAD));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    let mut chunked = false;
    loop {
        header.clear();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        chunked |= header.to_ascii_lowercase().starts_with("transfer-encoding: chunked");
    }
    if chunked {
        // The empty chunk that ends the empty body: left unread, it would make closing the socket a reset.
        header.clear();
        reader.read_line(&mut header)?;
        reader.read_line(&mut header)?;
    }
    let target = request.split(' ').nth(1).unwrap_or_default();
    Ok(target.to_owned())
}

fn find_part(node: &Node, target: &str) -> Result<Part, EngineError> {
    let pairs = query_pairs(target.split_once('?').map_or("", |(_, query)| query));
    let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let (Some(path), Some(name)) = (value("endpoint").and_then(|id| id.strip_prefix(ENDPOINT)), value("part")) else {
        return Err(EngineError::new(221, "NO_SUCH_INTERSERVER_IO_ENDPOINT", "No interserver IO endpoint"));
    };
    // The path of a table in another Keeper has that Keeper's name before it; the laboratory has one Keeper.
    let path = path.find('/').map_or(path, |slash| &path[slash..]);
    let mut lease = node.engine.lease(false)?;
    let rows = lease.connection.rows(&format!(
        "SELECT p.path, p.part_type, toString(p.uuid) FROM system.parts AS p \
         JOIN system.replicas AS r ON p.database = r.database AND p.table = r.table \
         WHERE r.replica_path = {} AND p.name = {} ORDER BY p.active DESC LIMIT 1",
        quote_string(path),
        quote_string(name)
    ));
    node.engine.give_back(lease, false);
    match rows?.into_iter().next().map(<[String; 3]>::try_from) {
        Some(Ok([path, kind, uuid])) => Ok(Part { path, kind, uuid }),
        _ => Err(EngineError::new(232, "NO_SUCH_DATA_PART", format!("No part {name} in table"))),
    }
}
