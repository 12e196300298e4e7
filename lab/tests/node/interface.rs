//! The HTTP interface, request by request.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use crate::nodes::{Node, Pair, shared};

#[test]
fn errors_have_the_code_status_and_text_of_a_server() {
    let node = &shared().one;
    for (sql, code, status) in [
        ("SELECT * FROM nowhere", 60, 404),
        ("SELEC 1", 62, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("", 62, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("DROP DATABASE nowhere", 81, 404),
        ("CREATE USER u", 497, 403),
    ] {
        let reply = node.fails(sql);
        assert_eq!((reply.code(), reply.status), (code, status), "{sql}: {}", reply.text());
        let text = reply.text();
        assert!(text.starts_with(&format!("Code: {code}. DB::Exception: ")), "{text}");
        assert!(text.trim_end().ends_with("(official build))"), "{text}");
    }
    let setting = node.request().url("nonsense", "1").body("SELECT 1").send();
    assert_eq!(setting.code(), 115, "{}", setting.text());
    assert_eq!(node.request().url("database", "nowhere").body("SELECT 1").send().code(), 81);
}

#[test]
fn a_get_changes_nothing_and_a_wrong_password_is_refused() {
    let node = &shared().one;
    let get = |sql: &str| node.request().get().url("query", sql).send();
    assert_eq!(get("CREATE TABLE refused (a Int8) ENGINE = Memory").code(), 164);
    assert_eq!(get("SELECT 1 + 1").text(), "2\n");
    let reply = node.request().without_credentials().body("SELECT 1").send();
    assert_eq!((reply.code(), reply.status), (516, 403));
    // `lab:it's a p@ss`
    let basic = node.request().without_credentials().header("Authorization", "Basic bGFiOml0J3MgYSBwQHNz");
    assert_eq!(basic.body("SELECT 1").send().text(), "1\n");
    for path in ["/ping", "/", "/replicas_status"] {
        assert_eq!(node.request().without_credentials().get().path(path).send().text(), "Ok.\n", "{path}");
    }
}

#[test]
fn settings_parameters_database_and_headers() {
    let node = &shared().one;
    let reply = node
        .request()
        .url("max_threads", "3")
        .url("param_text", "a\\tb")
        .url("database", "system")
        .url("query_id", "my own id")
        .url("query", "SELECT getSetting('max_threads'), {text:String}, currentDatabase(), queryID()")
        .url("default_format", "JSONCompactEachRow")
        .send();
    assert_eq!(reply.text(), "[3, \"a\\tb\", \"system\", \"my own id\"]\n");
    assert_eq!(reply.header("x-clickhouse-query-id"), Some("my own id"));
    assert_eq!(reply.header("x-clickhouse-format"), Some("JSONCompactEachRow"));
    assert!(reply.header("x-clickhouse-timezone").is_some() && reply.header("x-clickhouse-exception-tag").is_some());
    assert_eq!((reply.summary("read_rows"), reply.summary("result_rows")), (1, 1));
    let split = node.request().url("query", "SELECT").body("1 AS x FORMAT JSON").send();
    assert_eq!(split.header("content-type"), Some("application/json; charset=UTF-8"));
    assert_eq!(node.run("SELECT getSetting('max_threads') = 3, currentDatabase()"), "0\tdefault\n");
}

#[test]
fn inserts_of_every_kind() {
    let node = &shared().one;
    node.run("CREATE TABLE inserted (a Int32, s String) ENGINE = Memory");
    let binary = [&b"\x07\0\0\0\x06"[..], b"\n\n;\xff\0\n"].concat();
    let in_body = [b"INSERT INTO inserted FORMAT RowBinary\n", binary.as_slice()].concat();
    let native = node.request().body("SELECT toInt32(8) AS a, '\n\n;' AS s FORMAT Native").send().body;
    let bodies: [(&str, &[u8], u64); 8] = [
        ("", b"INSERT INTO inserted VALUES (1, 'a;b'), (1 + 1, concat('x', 'y'));", 2),
        ("", b"INSERT INTO inserted (s, a) FORMAT JSONEachRow\n{\"a\":3,\"s\":\"x;y\"}\n\n{\"a\":4,\"s\":\"\"}\n", 2),
        ("INSERT INTO inserted FORMAT TSV", b"5\tx;y\n", 1),
        ("INSERT INTO inserted SETTINGS async_insert = 0 FORMAT CSV", b"6,\"a\nb\"\n", 1),
        ("", &in_body, 1),
        ("INSERT INTO inserted FORMAT RowBinary", &binary, 1),
        ("INSERT INTO inserted FORMAT Native", &native, 1),
        ("INSERT INTO inserted SELECT 9, 'query'", b"", 1),
    ];
    for (query, body, rows) in bodies {
        let reply = node.request().url("query", query).body(body).send();
        assert_eq!(reply.code(), 0, "{query}: {}", reply.text());
        assert_eq!(reply.summary("written_rows"), rows, "{query}");
    }
    let read = node.run("SELECT a, hex(s) FROM inserted ORDER BY a");
    let seven = "7\t0A0A3BFF000A\n";
    let expected = format!(
        "1\t613B62\n2\t7879\n3\t783B79\n4\t\n5\t783B79\n6\t610A62\n{seven}{seven}8\t0A0A3B\n9\t{}\n",
        "7175657279"
    );
    assert_eq!(read, expected);
    let broken = node.request().body("INSERT INTO inserted FORMAT JSONEachRow\n{\"a\":\"x\"}").send();
    assert_eq!((broken.code(), broken.status), (27, 400), "{}", broken.text());
    assert_eq!(node.request().body("INSERT INTO inserted FORMAT CSV").send().code(), 0);
    // The client sends all of it before it reads the answer.
    let lost = [b"INSERT INTO nowhere FORMAT CSV\n".to_vec(), b"1\n".repeat(5_000_000)].concat();
    assert_eq!(node.request().body(lost).send().code(), 60);
    let lost = [b"INSERT INTO inserted FORMAT JSONEachRow\n".to_vec(), b"x\n".repeat(5_000_000)].concat();
    assert_eq!(node.request().body(lost).send().code(), 27);
    node.run("DROP TABLE inserted");
}

#[test]
fn big_results_stream_and_end_with_the_error() {
    let node = &shared().one;
    let reply = node.request().body("SELECT number AS n FROM numbers(2000000) FORMAT TSVWithNames").send();
    assert!(reply.whole && reply.header("transfer-encoding").is_some());
    let text = reply.text();
    assert_eq!((text.lines().count(), text.lines().filter(|line| *line == "n").count()), (2_000_001, 1));

    let failing = "SELECT number, throwIf(number = 3000000) FROM numbers(4000000)";
    let reply = node.request().body(failing).send();
    let tag = reply.header("x-clickhouse-exception-tag").unwrap().to_owned();
    assert!(reply.status == 200 && !reply.whole);
    assert!(reply.text().ends_with(&format!(" {tag}\r\n__exception__\r\n")));
    assert!(reply.text().contains(&format!("\r\n__exception__\r\n{tag}\r\nCode: 395. ")));
    let waited = node.request().url("wait_end_of_query", "1").body(failing).send();
    assert_eq!((waited.code(), waited.status), (395, 500));
}

/// One block of ClickHouse's framing: hash, method, sizes, data.
fn block(raw: &[u8]) -> Vec<u8> {
    let data = lz4_flex::block::compress(raw);
    let mut body = vec![0x82];
    body.extend_from_slice(&(data.len() as u32 + 9).to_le_bytes());
    body.extend_from_slice(&(raw.len() as u32).to_le_bytes());
    body.extend_from_slice(&data);
    let hash = cityhash_rs::cityhash_102_128(&body);
    [&((hash >> 64) as u64).to_le_bytes()[..], &(hash as u64).to_le_bytes(), &body].concat()
}

/// The raw bytes of blocks whose hashes are right.
fn unblock(mut blocks: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    while !blocks.is_empty() {
        let number = |at: usize| u32::from_le_bytes(blocks[at..at + 4].try_into().unwrap()) as usize;
        let end = 16 + number(17);
        let data = lz4_flex::block::decompress(&blocks[25..end], number(21)).unwrap();
        assert_eq!(block(&data)[..16], blocks[..16]);
        raw.extend(data);
        blocks = &blocks[end..];
    }
    raw
}

#[test]
fn compressed_blocks_and_encodings_go_both_ways() {
    let node = &shared().one;
    let sql = "SELECT number FROM numbers(500000)";
    let plain = node.run(sql).into_bytes();
    let asked = node.request().url("compress", "1").url("decompress", "1").body(block(sql.as_bytes())).send();
    assert!(asked.body.len() < plain.len() && unblock(&asked.body) == plain);
    let failed = node.request().url("compress", "1").body("SELECT * FROM nowhere").send();
    assert!(failed.code() == 60 && unblock(&failed.body).starts_with(b"Code: 60."));
    let damaged = node.request().url("decompress", "1").body(vec![7; 40]).send();
    assert_eq!(damaged.code(), 33, "{}", damaged.text());

    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(sql.as_bytes()).unwrap();
    let zipped = node.request().header("Content-Encoding", "gzip").body(zipped.finish().unwrap());
    let reply = zipped.header("Accept-Encoding", "zstd").url("enable_http_compression", "1").send();
    assert_eq!(reply.header("content-encoding"), Some("zstd"));
    assert!(zstd::decode_all(reply.body.as_slice()).unwrap() == plain);
    let unknown = node.request().header("Content-Encoding", "br").body(sql).send();
    assert_eq!(unknown.code(), 89);
}

#[test]
fn a_running_query_holds_its_id_until_it_is_killed() {
    let node = &shared().two;
    let victim = thread::spawn(|| {
        let sql = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";
        shared().two.request().url("query_id", "victim").body(sql).send()
    });
    node.until("SELECT count() FROM system.processes WHERE query_id = 'victim'", "1");
    assert_eq!(node.request().url("query_id", "victim").body("SELECT 1").send().code(), 216);
    let killed = node.run("KILL QUERY WHERE query_id = 'victim' SYNC");
    assert!(killed.starts_with("waiting\tvictim\t"), "{killed}");
    assert_eq!(victim.join().unwrap().code(), 394);
}

#[test]
fn an_insert_is_killed_by_the_id_of_its_client() {
    let node = &shared().two;
    node.run("CREATE TABLE killed (a UInt64) ENGINE = Memory");
    let socket = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
    let head = "POST /?query_id=slow-insert&user=lab&password=it's%20a%20p@ss&query=INSERT+INTO+killed+FORMAT+CSV \
                HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n";
    (&socket).write_all(head.as_bytes()).unwrap();
    node.until("SELECT count() FROM system.processes WHERE query_id = 'slow-insert'", "1");
    assert!(node.run("KILL QUERY WHERE query_id = 'slow-insert'").starts_with("waiting"));
    thread::sleep(Duration::from_millis(300));
    // The client goes away; the insert it never finished is gone and nothing is left running.
    socket.shutdown(Shutdown::Both).unwrap();
    node.until("SELECT count() FROM system.processes WHERE query LIKE 'insert into killed%'", "0");
    node.run("DROP TABLE killed");
}

#[test]
fn a_change_goes_on_without_its_client() {
    let node = &shared().two;
    node.run("CREATE TABLE gone (a UInt64) ENGINE = Memory");
    let sql = "INSERT INTO gone SELECT number + sleepEachRow(0.1) FROM numbers(10)";
    let socket = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
    let head = format!(
        "POST /?query_id=gone&user=lab&password=it's%20a%20p@ss HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{sql}",
        sql.len()
    );
    (&socket).write_all(head.as_bytes()).unwrap();
    node.until("SELECT count() FROM system.processes WHERE query_id = 'gone'", "1");
    drop(socket);
    node.until("SELECT count() FROM gone", "10");
    node.run("DROP TABLE gone");
}

#[test]
fn sessions_keep_their_state_and_one_request_at_a_time() {
    let node = &shared().one;
    let ask = |sql: &str| node.request().url("session_id", "s").body(sql).send();
    ask("CREATE TEMPORARY TABLE mine (a Int8)");
    ask("INSERT INTO mine VALUES (1), (2)");
    ask("SET max_threads = 5");
    let once = node.request().url("session_id", "s").url("max_threads", "2");
    assert_eq!(once.body("SELECT sum(a), getSetting('max_threads') FROM mine").send().text(), "3\t2\n");
    assert_eq!(ask("SELECT getSetting('max_threads')").text(), "5\n");
    assert_eq!(node.fails("SELECT * FROM mine").code(), 60);
    let missing = node.request().url("session_id", "none").url("session_check", "1").body("SELECT 1").send();
    assert_eq!(missing.code(), 372);
    let busy = thread::spawn(|| shared().one.request().url("session_id", "s").body("SELECT sleep(1)").send());
    node.until("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sleep(1)%'", "1");
    assert_eq!(ask("SELECT 1").code(), 373);
    assert_eq!(busy.join().unwrap().text(), "0\n");
}

#[test]
fn the_database_default_can_be_dropped_and_created_again() {
    let pair = Pair::start();
    let node: &Node = &pair.one;
    node.run("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a");
    assert_eq!(node.run("SELECT engine FROM system.databases WHERE name = 'default'"), "Atomic\n");
    node.run("DROP DATABASE default SYNC");
    // More requests than connections in reserve, each with its own settings.
    for _ in 0..50 {
        let reply = node.request().url("max_threads", "7").url("database", "system").body("SELECT count() FROM one");
        assert_eq!(reply.send().text(), "1\n");
        assert_eq!(node.run("SELECT count() FROM system.one"), "1\n");
    }
    assert_eq!(node.run("SELECT getSetting('max_threads') = 7"), "0\n");
    assert_eq!(node.request().url("database", "default").body("SELECT 1").send().code(), 81);
    node.run("CREATE DATABASE default");
    node.run("CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a");
    node.run("INSERT INTO t VALUES (1)");
    node.stop(libc::SIGKILL);
    node.start();
    assert_eq!(
        node.run("SELECT count(), (SELECT engine FROM system.databases WHERE name = 'default') FROM t"),
        "1\tAtomic\n"
    );
}

#[test]
fn the_statement_log_tells_what_ran_without_secrets() {
    let node = &shared().one;
    let sql = "SELECT count() FROM s3('http://127.0.0.1:1/b/k', 'AKIAKEY', 'verysecret', 'CSV', 'a Int8')";
    let reply = node.request().url("query_id", "logged").body(sql).send();
    assert_ne!(reply.code(), 0);
    let text = std::fs::read_to_string(node.dir.join("statements.jsonl")).unwrap();
    assert!(!text.contains("verysecret") && !text.contains("p@ss"));
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["query_id"] == "logged")
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["event"], &lines[1]["event"]), (&"start".into(), &serde_json::Value::Null));
    assert_eq!(lines[1]["code"], reply.code());
    assert_eq!((&lines[1]["kind"], &lines[1]["user"]), (&"read".into(), &"lab".into()));
    assert!(lines[1]["statement"].as_str().unwrap().contains("[HIDDEN]"));
}
