//! Reading of many nodes: their requests go out one behind the other without waiting for answers, many to a packet.
//!
//! The client of everything else sends a packet for each request and wakes a thread for each answer, which takes a
//! multiple of the servers' own time. Asked for many nodes with one request (`multiRead`), ClickHouse Keeper and ZooKeeper
//! answer in different forms where one of them is missing; the requests used here have one form.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::engine::ports::KeeperStat;

/// Requests that are not answered yet, at most.
const WINDOW: u32 = 1024;
/// Requests to a packet.
const PACKET: usize = 128;
/// Limit of a new session; the client of everything else has more patience, and takes over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between two signs of life.
const PING_EVERY: Duration = Duration::from_secs(2);
/// Number and kind of a sign of life.
const PING: (i32, i32) = (-2, 11);
/// Number and kind of the request that waits for what the leader has (`sync`); requests of nodes count from 1.
const CATCH_UP: (i32, i32) = (i32::MAX - 1, 9);
/// Number and kind of the request that closes the session.
const CLOSE: (i32, i32) = (i32::MAX, -11);
/// Limit of one answer, and of sending a packet.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// No answer is larger: servers refuse values above 1 MB (`jute.maxbuffer`), and a list has the names of one node.
const LARGEST: usize = 1 << 28;
/// Bytes of a stat in an answer.
const STAT: usize = 68;

/// What is asked of a node, by the numbers of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its value and facts.
    Data = 4,
    /// The names of its children.
    Children = 8,
}

/// The node does not exist (`ZNONODE`).
const NO_NODE: i32 = -101;

/// A session that reads, and owns nothing.
pub struct ManyReader {
    answers: BufReader<OwnedReadHalf>,
    requests: OwnedWriteHalf,
    pinged: Instant,
}

/// Gets the bytes of one answer after the other, in the order of the requests; `None` for a node that does not exist.
pub type Each<'e> = dyn FnMut(usize, Option<&[u8]>) -> Result<(), String> + Send + 'e;

impl ManyReader {
    /// A session at one server.
    ///
    /// # Errors
    /// What the server or the network said.
    pub async fn connect(host: &str, session_timeout: Duration) -> Result<Self, String> {
        let within = async {
            let stream = TcpStream::connect(host).await.map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let (answers, mut requests) = stream.into_split();
            let timeout = i32::try_from(session_timeout.as_millis()).unwrap_or(i32::MAX);
            // Version, last transaction seen, time-out, session and its password: all of a new session.
            let mut hello = [&0_i32.to_be_bytes()[..], &0_i64.to_be_bytes(), &timeout.to_be_bytes()].concat();
            hello.extend([&0_i64.to_be_bytes()[..], &16_i32.to_be_bytes(), &[0; 16]].concat());
            let mut packet = Vec::new();
            put_bytes(&mut packet, &hello);
            requests.write_all(&packet).await.map_err(|error| error.to_string())?;
            let mut answers = BufReader::with_capacity(1 << 16, answers);
            let answer = frame(&mut answers).await?;
            let mut answer = answer.as_slice();
            let (version, granted) = (take_i32(&mut answer)?, take_i32(&mut answer)?);
            // A server without a quorum closes the connection; one of ClickHouse Keeper tells another version.
            if version != 0 || granted <= 0 {
                return Err(format!("no session was granted (version {version}, time-out {granted} ms)"));
            }
            let mut reader = Self { answers, requests, pinged: Instant::now() };
            reader.catch_up().await?;
            Ok(reader)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, within)
            .await
            .unwrap_or_else(|_| Err(format!("no session within {CONNECT_TIMEOUT:?}")))
    }

    /// Lets a server that is behind its leader hear of everything that is committed by now: other nodes are read through
    /// other servers.
    async fn catch_up(&mut self) -> Result<(), String> {
        let mut path = Vec::new();
        put_bytes(&mut path, b"/");
        let mut packet = Vec::new();
        put_plain(&mut packet, CATCH_UP, &path);
        self.requests.write_all(&packet).await.map_err(|error| error.to_string())?;
        loop {
            let answer = frame(&mut self.answers).await?;
            match header(&mut answer.as_slice())? {
                (..0, _) => {}
                (id, 0) if id == CATCH_UP.0 => return Ok(()),
                (id, code) => return Err(format!("Keeper error code {code} in answer to request {id}")),
            }
        }
    }

    /// Asks for all paths. After an error the session cannot be used any more.
    ///
    /// # Errors
    /// What the server or the network said, or what `each` returned.
    pub async fn ask(&mut self, ask: Ask, paths: &[String], each: &mut Each<'_>) -> Result<(), String> {
        let Self { answers, requests, pinged } = self;
        let window = Semaphore::new(WINDOW as usize);
        // Side by side: a server that cannot get rid of its answers may read no more requests.
        let send = async {
            for (at, packet) in paths.chunks(PACKET).enumerate() {
                let number = u32::try_from(packet.len()).unwrap_or(WINDOW);
                window.acquire_many(number).await.map_err(|error| error.to_string())?.forget();
                let mut bytes = Vec::with_capacity(packet.len() * 128);
                // Reads alone do not keep a session alive at a follower of ClickHouse Keeper: its leader hears of none.
                if pinged.elapsed() > PING_EVERY {
                    put_plain(&mut bytes, PING, &[]);
                    *pinged = Instant::now();
                }
                for (inside, path) in packet.iter().enumerate() {
                    put_request(&mut bytes, id_of(at * PACKET + inside), ask, path);
                }
                let sent = tokio::time::timeout(ANSWER_TIMEOUT, requests.write_all(&bytes)).await;
                sent.map_err(|_| no_answer())?.map_err(|error| error.to_string())?;
            }
            Ok(())
        };
        let receive = async {
            // ClickHouse Keeper may answer a read that waits for other sessions' writes behind a later one.
            let mut early: HashMap<i32, Vec<u8>> = HashMap::new();
            for (at, path) in paths.iter().enumerate() {
                let answer = loop {
                    if let Some(answer) = early.remove(&id_of(at)) {
                        break answer;
                    }
                    let frame = frame(answers);
                    let answer = tokio::time::timeout(ANSWER_TIMEOUT, frame).await.map_err(|_| no_answer())??;
                    match take_i32(&mut answer.as_slice())? {
                        id if id == id_of(at) => break answer,
                        // Negative numbers are those of pings and notices.
                        ..0 => {}
                        id if early.len() < WINDOW as usize => drop(early.insert(id, answer)),
                        id => return Err(format!("an answer to request {id} that nobody waits for")),
                    }
                };
                let mut answer = answer.as_slice();
                match header(&mut answer)? {
                    (_, 0) => each(at, Some(answer))?,
                    (_, NO_NODE) => each(at, None)?,
                    (_, code) => return Err(format!("{path}: Keeper error code {code}")),
                }
                window.add_permits(1);
            }
            Ok(())
        };
        tokio::try_join!(send, receive).map(|_: ((), ())| ())
    }

    /// Ends the session. One that is dropped instead stays at the server until its time-out, and owns nothing.
    pub async fn close(mut self) {
        let mut packet = Vec::new();
        put_plain(&mut packet, CLOSE, &[]);
        let closing = async {
            let _ = self.requests.write_all(&packet).await;
            let _ = frame(&mut self.answers).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), closing).await;
    }
}

/// The names in an answer to [`Ask::Children`], sorted.
///
/// # Errors
/// For bytes of another form.
pub fn names(mut body: &[u8]) -> Result<Vec<&str>, String> {
    let number = usize::try_from(take_i32(&mut body)?).unwrap_or(0);
    // A name takes four bytes at least, whatever the number says.
    let mut names = Vec::with_capacity(number.min(body.len() / 4));
    for _ in 0..number {
        names.push(std::str::from_utf8(take_bytes(&mut body)?).map_err(|error| error.to_string())?);
    }
    names.sort_unstable();
    Ok(names)
}

/// Value and facts in an answer to [`Ask::Data`].
///
/// # Errors
/// For bytes of another form.
pub fn data(mut body: &[u8]) -> Result<(Vec<u8>, KeeperStat), String> {
    let value = take_bytes(&mut body)?.to_vec();
    let stat = take(&mut body, STAT)?;
    let long = |at: usize| stat.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
    let word = |at: usize| stat.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
    let stat = KeeperStat {
        version: word(32),
        children: u32::try_from(word(56)).unwrap_or_default(),
        ephemeral: long(44) != 0,
        created_zxid: long(0),
    };
    Ok((value, stat))
}

fn no_answer() -> String {
    format!("no answer within {ANSWER_TIMEOUT:?}")
}

fn id_of(at: usize) -> i32 {
    i32::try_from(at % (CATCH_UP.0 as usize - 1)).unwrap_or_default() + 1
}

fn put_request(bytes: &mut Vec<u8>, id: i32, ask: Ask, path: &str) {
    let length = i32::try_from(4 + 4 + 4 + path.len() + 1).unwrap_or(i32::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend((ask as i32).to_be_bytes());
    put_bytes(bytes, path.as_bytes());
    bytes.push(0); // without a watch
}

/// A request that is of no node.
fn put_plain(bytes: &mut Vec<u8>, (id, kind): (i32, i32), body: &[u8]) {
    put_bytes(bytes, &[&id.to_be_bytes()[..], &kind.to_be_bytes(), body].concat());
}

fn put_bytes(bytes: &mut Vec<u8>, put: &[u8]) {
    bytes.extend(i32::try_from(put.len()).unwrap_or(i32::MAX).to_be_bytes());
    bytes.extend(put);
}

async fn frame(from: &mut (impl AsyncReadExt + Unpin)) -> Result<Vec<u8>, String> {
    let length = from.read_i32().await.map_err(|error| error.to_string())?;
    let length = usize::try_from(length).ok().filter(|length| *length <= LARGEST);
    let mut bytes = vec![0; length.ok_or("an answer of a length that none has")?];
    from.read_exact(&mut bytes).await.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Number of the request that is answered, and the error code, 0 for none. What is left is the answer itself.
fn header(answer: &mut &[u8]) -> Result<(i32, i32), String> {
    let id = take_i32(answer)?;
    let _transaction = take(answer, 8)?;
    Ok((id, take_i32(answer)?))
}

fn take<'b>(from: &mut &'b [u8], number: usize) -> Result<&'b [u8], String> {
    let (taken, rest) = from.split_at_checked(number).ok_or("an answer that ends early")?;
    *from = rest;
    Ok(taken)
}

fn take_i32(from: &mut &[u8]) -> Result<i32, String> {
    take(from, 4)?.try_into().map(i32::from_be_bytes).map_err(|_| "an answer that ends early".to_owned())
}

/// Bytes behind their number; -1 stands for none.
fn take_bytes<'b>(from: &mut &'b [u8]) -> Result<&'b [u8], String> {
    let number = take_i32(from)?;
    take(from, usize::try_from(number).unwrap_or(0))
}
