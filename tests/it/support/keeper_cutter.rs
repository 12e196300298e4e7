//! A way to Keeper on which the answer to a chosen change is lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::cutter::Cut;

/// How much later a change arrives whose connection is cut at once.
const LATER: Duration = Duration::from_millis(600);

/// Codes of requests that make or remove a node.
const CHANGES: [i32; 3] = [1, 2, 15];

/// What is cut, and what has passed so far.
#[derive(Default)]
struct Aim {
    target: Option<(usize, Cut)>,
    passed: Vec<String>,
    holds_answers: bool,
}

/// A way to Keeper; as long as it aims at nothing, everything passes.
pub struct KeeperWay {
    port: u16,
    aim: Arc<Mutex<Aim>>,
}

impl KeeperWay {
    /// Listens; changes below `root` are counted, so that locks are left alone.
    pub fn to(keeper: &str, root: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let aim: Arc<Mutex<Aim>> = Arc::default();
        let (keeper, root, shared) = (keeper.to_owned(), root.to_owned(), Arc::clone(&aim));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (keeper, root, aim) = (keeper.clone(), root.clone(), Arc::clone(&shared));
                // A broken connection is the engine's to deal with.
                std::thread::spawn(move || serve(client, &keeper, &root, &aim));
            }
        });
        Self { port, aim }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on counts anew, and cuts the change with this number, from 1.
    pub fn aim(&self, target: Option<(usize, Cut)>) {
        *self.aim.lock().unwrap() = Aim { target, ..Aim::default() };
    }

    /// From now on no answer passes, though connections stay open; or every one again. None comes later.
    pub fn hold_answers(&self, holds: bool) {
        self.aim.lock().unwrap().holds_answers = holds;
    }

    /// Paths of the changes that have passed.
    pub fn passed(&self) -> Vec<String> {
        self.aim.lock().unwrap().passed.clone()
    }
}

fn serve(mut client: TcpStream, keeper: &str, root: &str, aim: &Arc<Mutex<Aim>>) -> io::Result<()> {
    let mut server = TcpStream::connect(keeper)?;
    let lost: Arc<Mutex<Option<i32>>> = Arc::default();
    std::thread::spawn({
        let (from, to, lost, aim) = (server.try_clone()?, client.try_clone()?, Arc::clone(&lost), Arc::clone(aim));
        move || answers(from, to, &lost, &aim)
    });
    // The first message asks for a session.
    server.write_all(&message(&mut client)?)?;
    loop {
        let request = message(&mut client)?;
        match change(&request, root).and_then(|path| next(aim, path)) {
            None => server.write_all(&request)?,
            Some(Cut::Answer | Cut::Sent) => {
                *lost.lock().unwrap() = Some(number(&request, 4));
                server.write_all(&request)?;
            }
            Some(Cut::Late) => {
                client.shutdown(Shutdown::Both)?;
                std::thread::sleep(LATER);
                return server.write_all(&request);
            }
            Some(Cut::Swallowed) => return client.shutdown(Shutdown::Both),
        }
    }
}

/// Passes answers on until the one that is to be lost.
fn answers(
    mut server: TcpStream,
    mut client: TcpStream,
    lost: &Mutex<Option<i32>>,
    aim: &Mutex<Aim>,
) -> io::Result<()> {
    client.write_all(&message(&mut server)?)?;
    loop {
        let answer = message(&mut server)?;
        if aim.lock().unwrap().holds_answers {
            continue;
        }
        if *lost.lock().unwrap() == Some(number(&answer, 4)) {
            return client.shutdown(Shutdown::Both);
        }
        client.write_all(&answer)?;
    }
}

fn next(aim: &Mutex<Aim>, path: String) -> Option<Cut> {
    let mut aim = aim.lock().unwrap();
    aim.passed.push(path);
    aim.target.filter(|(number, _)| *number == aim.passed.len()).map(|(_, cut)| cut)
}

/// The node that a request changes, at or below `root`. Behind its length a request has its number and its code.
fn change(request: &[u8], root: &str) -> Option<String> {
    if request.len() < 16 || !CHANGES.contains(&number(request, 8)) {
        return None;
    }
    let length = usize::try_from(number(request, 12)).ok()?;
    let path = String::from_utf8(request.get(16..16 + length)?.to_vec()).ok()?;
    path.starts_with(root).then_some(path)
}

/// A message with the four bytes of its length.
fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message)?;
    let length = usize::try_from(number(&message, 0)).map_err(io::Error::other)?;
    message.resize(4 + length, 0);
    stream.read_exact(&mut message[4..])?;
    Ok(message)
}

fn number(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}
