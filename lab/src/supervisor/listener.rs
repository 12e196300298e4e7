//! What can reach the supervisor: requests over its socket, signals, and the end of its standard input.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::control::{self, Request, Response};
use crate::error::LabError;
use crate::layout::Layout;

/// Something that happened.
pub enum Event {
    /// A request, and where its answer goes.
    Request(Request, Sender<Response>),
    /// A signal, or the end of standard input.
    End,
}

/// Opens the socket and listens to everything; gives the runtime that serves S3 too.
pub fn start(layout: &Layout, bound: bool, events: &Sender<Event>) -> Result<Runtime, LabError> {
    let socket = layout.socket();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(LabError::io("serve", &socket))?;
    listen_to_signals(&runtime, events).map_err(LabError::io("serve", &socket))?;
    if bound {
        let events = events.clone();
        thread::spawn(move || wait_for_end_of_input(&events));
    }
    let listener = open(layout).map_err(LabError::io("open", &socket))?;
    let events = events.clone();
    thread::spawn(move || accept(&listener, &events));
    Ok(runtime)
}

fn open(layout: &Layout) -> io::Result<UnixListener> {
    let (_dir, path) = control::short_socket_path(layout)?;
    UnixListener::bind(path)
}

fn listen_to_signals(runtime: &Runtime, events: &Sender<Event>) -> io::Result<()> {
    let _guard = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut stream, events) = (signal(kind)?, events.clone());
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                // Nobody listens any more when the laboratory is ending already.
                let _ = events.send(Event::End);
            }
        });
    }
    Ok(())
}

fn wait_for_end_of_input(events: &Sender<Event>) {
    let mut sink = [0; 64];
    // Bytes mean nothing; the end and an error both mean that the other side is gone.
    while matches!(io::stdin().read(&mut sink), Ok(1..)) {}
    let _ = events.send(Event::End);
}

fn accept(listener: &UnixListener, events: &Sender<Event>) {
    for stream in listener.incoming().flatten() {
        let events = events.clone();
        // A client that goes away in the middle has no answer to get.
        thread::spawn(move || converse(stream, &events).ok());
    }
}

fn converse(stream: UnixStream, events: &Sender<Event>) -> io::Result<()> {
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => {
            let (reply, answer) = mpsc::channel();
            let sent = events.send(Event::Request(request, reply));
            let ending = || Response::Error { message: "the laboratory is ending".to_owned() };
            sent.map_or_else(|_| ending(), |()| answer.recv().unwrap_or_else(|_| ending()))
        }
        Err(error) => Response::Error {
            message: format!(
                "not a request: {error}; the supervisor may be of another version, run `clickferry-lab down`"
            ),
        },
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    (&stream).write_all(&text)
}
