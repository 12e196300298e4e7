//! Addresses behind which another server can be put, or one that answers something else.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Passes connections on to one server; when the file `turn` appears, cuts them all, passes new ones on to the other,
/// and makes the file `turned`. Lives as long as the test.
pub struct Switch {
    port: u16,
}

impl Switch {
    pub fn start(first: &str, second: &str, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        let behind = Arc::new(Mutex::new(address(first)));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (folder, second): (PathBuf, String) = (folder.to_path_buf(), address(second));
        std::thread::spawn({
            let (behind, open) = (Arc::clone(&behind), Arc::clone(&open));
            move || {
                while folder.exists() {
                    if folder.join("turn").exists() && !folder.join("turned").exists() {
                        *behind.lock().unwrap() = second.clone();
                        for stream in open.lock().unwrap().drain(..) {
                            let _ = stream.shutdown(Shutdown::Both);
                        }
                        std::fs::write(folder.join("turned"), "").unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        std::thread::spawn(move || {
            for inner in listener.incoming().flatten() {
                // Held while the connection is made, so that none to the first server is made after the turn.
                let behind = behind.lock().unwrap();
                let Ok(outer) = TcpStream::connect(behind.as_str()) else { continue };
                open.lock().unwrap().extend([inner.try_clone().unwrap(), outer.try_clone().unwrap()]);
                pass(inner.try_clone().unwrap(), outer.try_clone().unwrap());
                pass(outer, inner);
            }
        });
        Self { port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// Passes connections on to a server, and puts one text in the place of another of the same length in its answers as
/// soon as it is told to. Lives as long as the process.
pub struct Rewriter {
    port: u16,
    is_on: Arc<AtomicBool>,
}

impl Rewriter {
    pub fn start(server: &str, text: &str, instead: &str) -> Self {
        assert_eq!(text.len(), instead.len());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let (text, instead) = (text.as_bytes().to_vec(), instead.as_bytes().to_vec());
        let is_on: Arc<AtomicBool> = Arc::default();
        std::thread::spawn({
            let is_on = Arc::clone(&is_on);
            move || {
                for inner in listener.incoming().flatten() {
                    let Ok(outer) = TcpStream::connect(&server) else { continue };
                    pass(inner.try_clone().unwrap(), outer.try_clone().unwrap());
                    let (is_on, text, instead) = (Arc::clone(&is_on), text.clone(), instead.clone());
                    std::thread::spawn(move || rewrite(outer, inner, &is_on, &text, &instead));
                }
            }
        });
        Self { port, is_on }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn turn_on(&self) {
        self.is_on.store(true, Ordering::SeqCst);
    }
}

/// Short answers come in one piece, so that a text is never cut in two.
fn rewrite(mut from: TcpStream, mut to: TcpStream, is_on: &AtomicBool, text: &[u8], instead: &[u8]) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = &mut buffer[..length];
        if is_on.load(Ordering::SeqCst) {
            let places: Vec<usize> = (0..piece.len()).filter(|&at| piece[at..].starts_with(text)).collect();
            places.into_iter().for_each(|at| piece[at..at + text.len()].copy_from_slice(instead));
        }
        if to.write_all(piece).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
