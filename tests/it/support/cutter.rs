//! A way to a node on which the answer to a chosen statement is lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When the connection of the chosen statement is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// When the node has carried it out and begins to answer.
    Answer,
    /// As soon as the node has the whole statement; it goes on with it.
    Sent,
    /// At once; the node comes to the statement a moment later, as one does that has too much to do.
    Late,
    /// Before the node has seen anything of it.
    Swallowed,
}

/// How much later.
const LATER: Duration = Duration::from_millis(600);

/// What is cut, and what has passed so far; shared by the ways to all nodes.
#[derive(Default)]
pub struct Cutter {
    target: Option<(usize, Cut)>,
    passed: Vec<String>,
}

impl Cutter {
    /// Cuts nothing until it aims.
    pub fn new() -> Arc<Mutex<Self>> {
        Arc::default()
    }

    /// From now on counts anew, and cuts the changing statement with this number, from 1, or nothing.
    pub fn aim(cutter: &Mutex<Self>, target: Option<(usize, Cut)>) {
        *cutter.lock().unwrap() = Self { target, passed: Vec::new() };
    }

    /// Ids of the changing statements that have passed.
    pub fn passed(cutter: &Mutex<Self>) -> Vec<String> {
        cutter.lock().unwrap().passed.clone()
    }

    fn next(&mut self, query_id: &str) -> Option<Cut> {
        self.passed.push(query_id.to_owned());
        self.target.filter(|(number, _)| *number == self.passed.len()).map(|(_, cut)| cut)
    }
}

/// Listens; whoever connects reaches the node at `url`. Returns the address to connect to.
pub fn way_to(url: &str, cutter: &Arc<Mutex<Cutter>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let node = url.strip_prefix("http://").unwrap().to_owned();
    let cutter = Arc::clone(cutter);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (node, cutter) = (node.clone(), Arc::clone(&cutter));
            // A broken connection is the engine's to deal with.
            std::thread::spawn(move || serve(client, &node, &cutter));
        }
    });
    address
}

/// A changing statement has a connection of its own, and an id that the engine gave it.
fn serve(mut client: TcpStream, node: &str, cutter: &Mutex<Cutter>) -> io::Result<()> {
    let head = head_of(&mut client)?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let query_id = text
        .lines()
        .next()
        .and_then(|line| line.split("query_id=").nth(1))
        .map(|rest| rest.split(['&', ' ']).next().unwrap_or_default().to_owned());
    let cut = query_id.and_then(|query_id| cutter.lock().unwrap().next(&query_id));
    if cut == Some(Cut::Swallowed) {
        body_of(&mut client, &text)?;
        return client.shutdown(Shutdown::Both);
    }
    let mut server = TcpStream::connect(node)?;
    if let Some(cut) = cut {
        let body = body_of(&mut client, &text)?;
        if cut == Cut::Late {
            client.shutdown(Shutdown::Both)?;
            std::thread::sleep(LATER);
        }
        server.write_all(&[head, body].concat())?;
        let mut first = [0];
        if cut == Cut::Answer {
            server.read_exact(&mut first)?;
        }
        if cut != Cut::Late {
            client.shutdown(Shutdown::Both)?;
        }
        // The node is not told that nobody listens any more.
        return io::copy(&mut server, &mut io::sink()).map(|_| ());
    }
    server.write_all(&head)?;
    let (mut to_client, mut from_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)
}

fn head_of(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(head)
}

fn body_of(client: &mut TcpStream, head: &str) -> io::Result<Vec<u8>> {
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    client.read_exact(&mut body)?;
    let mut byte = [0];
    while head.contains("transfer-encoding: chunked") && !body.ends_with(b"0\r\n\r\n") {
        client.read_exact(&mut byte)?;
        body.push(byte[0]);
    }
    Ok(body)
}
