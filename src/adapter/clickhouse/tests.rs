//! A server of raw bytes, so that an answer can be cut anywhere.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What the server does with a request.
#[derive(Clone)]
enum Act {
    /// Writes these pieces, with a pause between them, and keeps the connection.
    Keep(Vec<Vec<u8>>),
    /// Writes these pieces and closes.
    Close(Vec<Vec<u8>>),
    /// Never answers.
    Silence,
}

#[derive(Clone)]
struct Request {
    head: String,
    body: String,
    connection: usize,
}

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers the n-th request with the n-th act, later ones with the last.
    async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            let mut connection = 0;
            while let Ok((stream, _)) = listener.accept().await {
                connection += 1;
                tokio::spawn(serve(stream, connection, acts.clone(), Arc::clone(&log)));
            }
        });
        Self { url, seen }
    }

    fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    fn client(&self, password: Option<&str>) -> ClickHouse {
        client(&self.url, password)
    }
}

async fn serve(mut stream: TcpStream, connection: usize, acts: Vec<Act>, log: Arc<Mutex<Vec<Request>>>) {
    while let Some((head, body)) = receive(&mut stream).await {
        let act = {
            let mut log = log.lock().unwrap();
            log.push(Request { head, body, connection });
            acts[(log.len() - 1).min(acts.len() - 1)].clone()
        };
        let (pieces, close) = match act {
            Act::Keep(pieces) => (pieces, false),
            Act::Close(pieces) => (pieces, true),
            Act::Silence => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                return;
            }
        };
        for piece in pieces {
            stream.write_all(&piece).await.unwrap();
            stream.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if close {
            return;
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length: usize = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .unwrap_or(0);
            let start = end + 4;
            if bytes.len() >= start + length {
                return Some((head, String::from_utf8_lossy(&bytes[start..start + length]).into_owned()));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

fn client(url: &str, password: Option<&str>) -> ClickHouse {
    let host = Host {
        name: HostName::from("h"),
        url: url.to_owned(),
        user: "me".to_owned(),
        password: password.map(SecretString::from),
    };
    ClickHouse::with_connect_timeout(vec![host], Redactor::default(), Duration::from_millis(500))
}

fn change(text: &str) -> Call {
    Call::change(SecretString::from(text), "run/step/1".to_owned(), Duration::from_secs(5))
}

async fn run(client: &ClickHouse, call: Call) -> Result<Answer, SqlError> {
    client.call(&HostName::from("h"), call).await
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn good() -> Vec<u8> {
    answer("200 OK", "", r#"{"meta":[{"name":"a","type":"UInt8"}],"data":[[1]],"rows":1}"#)
}

fn chunked(headers: &str, pieces: &[&str], end: bool) -> Vec<Vec<u8>> {
    let mut all = vec![format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n").into_bytes()];
    all.extend(pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()).into_bytes()));
    if end {
        all.push(b"0\r\n\r\n".to_vec());
    }
    all
}

#[tokio::test]
async fn sends_the_statement_verbatim_and_everything_else_beside_it() {
    let server = Server::start(vec![Act::Keep(vec![answer("200 OK", "", "")])]).await;
    let client = server.client(Some("hunter2hunter2"));
    let text = "BACKUP TABLE `a?b` TO S3('u','k','s') -- ?? ?fields ü\n ASYNC";
    let mut call = change(text);
    call.settings.push(("max_threads".to_owned(), "1".to_owned()));
    assert_eq!(run(&client, call).await.unwrap(), Answer::default());
    let [request] = &server.requests()[..] else { panic!() };
    assert_eq!(request.body, text);
    let line = request.head.lines().next().unwrap();
    assert!(line.starts_with("POST /?"), "{line}");
    for part in [
        "default_format=JSONCompact",
        "wait_end_of_query=1",
        "output_format_json_quote_64bit_integers=0",
        "query_id=run%2Fstep%2F1",
        "database=system",
        "max_threads=1",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("hunter2"), "{line}");
    let head = request.head.to_ascii_lowercase();
    assert!(head.contains("x-clickhouse-user: me") && head.contains("x-clickhouse-key: hunter2hunter2"), "{head}");
    assert!(!head.contains("accept-encoding"), "{head}");
    run(&client, Call::read("SELECT 1")).await.unwrap();
    assert!(server.requests()[1].head.to_ascii_lowercase().contains("accept-encoding: lz4"));
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    // Accepts in the kernel, but nobody ever answers the TLS handshake.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Server::start(vec![Act::Keep(vec![good()])]).await;
    for url in [
        format!("http://{closed}"),
        "http://no-such-host.invalid:8123".to_owned(),
        format!("https://{}", mute.local_addr().unwrap()),
        plain.url.replace("http:", "https:"),
        "http://127.0.0.1:notaport".to_owned(),
    ] {
        let client = client(&url, Some("pw"));
        for call in [change("DROP TABLE t"), Call::read("SELECT 1")] {
            let start = Instant::now();
            let error = run(&client, call).await.unwrap_err();
            assert!(matches!(error, SqlError::NotSent { .. }), "{url}: {error:?}");
            assert!(start.elapsed() < Duration::from_secs(3), "{url}: {:?}", start.elapsed());
        }
    }
    assert!(plain.requests().is_empty());
    let error = run(&client(&format!("http://{closed}"), None), change("x")).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_time_out_before_the_connection_stood_is_not_sent() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("https://{}", mute.local_addr().unwrap()), None);
    let mut call = change("DROP TABLE t");
    call.timeout = Duration::from_millis(100);
    assert!(matches!(run(&client, call).await, Err(SqlError::NotSent { .. })));
}

#[tokio::test]
async fn a_lost_answer_is_told_and_a_change_is_sent_once() {
    let half = answer("200 OK", "", r#"{"meta":[],"data":[],"rows":0}"#);
    let acts = [
        ("silence", Act::Silence),
        ("closed at once", Act::Close(vec![])),
        ("cut in the head", Act::Close(vec![b"HTTP/1.1 200 OK\r\nContent-".to_vec()])),
        ("cut in the body", Act::Close(vec![half[..half.len() - 5].to_vec()])),
        ("cut between chunks", Act::Close(chunked("", &["{\"meta\":[],", "\"data\":["], false))),
        ("whole stream, half a document", Act::Close(chunked("", &["{\"meta\":[],", "\"data\":["], true))),
        ("a proxy", Act::Close(vec![answer("502 Bad Gateway", "", "<html>no upstream</html>")])),
        ("another format", Act::Close(vec![answer("200 OK", "", "1\t2\n")])),
    ];
    for (what, act) in acts {
        let server = Server::start(vec![act]).await;
        let mut call = change("EXCHANGE TABLES a AND b");
        call.timeout = Duration::from_millis(500);
        let error = run(&server.client(None), call).await.unwrap_err();
        assert!(matches!(error, SqlError::Lost { .. }), "{what}: {error:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn errors_are_taken_apart_in_every_form() {
    let text =
        "Code: 60. DB::Exception: Table x.y does not exist. (UNKNOWN_TABLE) (version 24.3.1.1 (official build))\n";
    let (front, back) = text.split_at(30);
    let code = "X-ClickHouse-Exception-Code: 60\r\n";
    let tagged = format!(
        "[1],\r\n__exception__\r\nabcdefghijklmnop\r\n{text}{} abcdefghijklmnop\r\n__exception__\r\n",
        text.len()
    );
    let (tag_front, tag_back) = tagged.split_at(tagged.len() - 8);
    let tag = "X-ClickHouse-Exception-Tag: abcdefghijklmnop\r\n";
    let json = r#"{"meta":[],"data":[],"rows":0,"exception":"Code: 60. DB::Exception: Table x.y does not exist. (UNKNOWN_TABLE) (version 24.8)"}"#;
    let old = "Code: 60, e.displayText() = DB::Exception: Table x.y does not exist., e.what() = DB::Exception\n";
    let acts = [
        ("404", vec![answer("404 Not Found", code, text)]),
        ("500 without the header", vec![answer("500 Internal Server Error", "", text)]),
        ("200 with the header", vec![answer("200 OK", code, text)]),
        ("18.16", vec![answer("404 Not Found", "", old)]),
        ("after rows", chunked("", &["{\"meta\":[", text], true)),
        ("after rows, split", chunked("", &["{\"meta\":[", front, back], true)),
        ("marker", chunked("", &["{\"meta\":[", "\r\n__exception__\r\n", text], true)),
        ("tag", chunked(tag, &["{\"meta\":[", &tagged], true)),
        ("tag, split", chunked(tag, &["{\"meta\":[", tag_front, tag_back], true)),
        ("json", vec![answer("200 OK", "", json)]),
        ("json with a status", vec![answer("500 Internal Server Error", code, json)]),
    ];
    for (what, pieces) in acts {
        let server = Server::start(vec![Act::Close(pieces)]).await;
        let error = run(&server.client(None), change("DROP TABLE x.y")).await.unwrap_err();
        let SqlError::Server { code, name, message, .. } = error else { panic!("{what}: {error:?}") };
        assert_eq!(
            (code, name.as_str(), message.as_str()),
            (60, "UNKNOWN_TABLE", "Table x.y does not exist."),
            "{what}"
        );
        assert_eq!(server.requests().len(), 1, "{what}");
    }
}

#[tokio::test]
async fn an_exception_cut_off_by_the_connection_is_never_a_success() {
    // Servers since 25.11 break the connection after the tail.
    let text = "Code: 60. DB::Exception: no. (UNKNOWN_TABLE) (version 25.12)";
    let server = Server::start(vec![Act::Close(chunked("", &["{\"meta\":[", text], false))]).await;
    let error = run(&server.client(None), change("x")).await.unwrap_err();
    assert!(matches!(error, SqlError::Lost { .. } | SqlError::Server { .. }), "{error:?}");
}

#[tokio::test]
async fn a_read_survives_a_stale_connection_and_a_change_never_meets_one() {
    let acts = vec![Act::Keep(vec![good()]), Act::Close(vec![]), Act::Keep(vec![good()])];
    let server = Server::start(acts).await;
    let client = server.client(None);
    for _ in 0..2 {
        assert_eq!(run(&client, Call::read("SELECT 1")).await.unwrap().number(0, "a"), Some(1));
    }
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 2]);

    let server = Server::start(vec![Act::Keep(vec![good()])]).await;
    let client = server.client(None);
    run(&client, Call::read("SELECT 1")).await.unwrap();
    for _ in 0..2 {
        run(&client, change("x")).await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_read_is_repeated_only_once_and_not_after_a_time_out() {
    let server = Server::start(vec![Act::Close(vec![])]).await;
    let error = run(&server.client(None), Call::read("SELECT 1")).await.unwrap_err();
    assert!(matches!(error, SqlError::Lost { .. }), "{error:?}");
    assert_eq!(server.requests().len(), 2);

    let server = Server::start(vec![Act::Silence]).await;
    let mut call = Call::read("SELECT 1");
    call.timeout = Duration::from_millis(300);
    let error = run(&server.client(None), call).await.unwrap_err();
    assert!(error.to_string().contains("may still be working"), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_quoted_statement_gives_no_secret_away() {
    let text = "Code: 62. DB::Exception: Syntax error: failed at position 9: TO S3('http://s3','key','my-own-secret-v. Expected one of: x. (SYNTAX_ERROR) (version 24.3)";
    for body in [answer("400 Bad Request", "", text), answer("502 Bad Gateway", "", "you sent 'my-own-secret-value'")] {
        let server = Server::start(vec![Act::Close(vec![body])]).await;
        let client = server.client(Some("my-own-secret-value"));
        let error = run(&client, change("BACKUP TO S3('http://s3','key','my-own-secret-value')")).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("my-own") && shown.contains("[HIDDEN]"), "{shown}");
    }
}

#[tokio::test]
async fn a_password_in_the_address_is_not_shown() {
    assert_eq!(shown("http://me:pw@ch:8123/path?password=x"), "http://ch:8123/path");
    assert_eq!(shown("https://ch"), "https://ch");
    let error = client("http://127.0.0.1:1", None).call(&HostName::from("other"), change("x")).await.unwrap_err();
    assert!(matches!(error, SqlError::NotSent { .. }));
}
