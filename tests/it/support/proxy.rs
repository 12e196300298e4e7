//! An address behind which another server can be put.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
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

fn pass(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
