//! Clients people use, with compression and without.

use std::path::{Path, PathBuf};
use std::process::Command;

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};

use crate::nodes::{PASSWORD, USER, shared};

#[derive(Clone, Debug, PartialEq, Row, Serialize, Deserialize)]
struct Reading {
    id: u64,
    name: String,
    value: Option<f64>,
    tags: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_selects_inserts_and_sees_errors() {
    let node = &shared().one;
    for (table, compression) in [("plain", Compression::None), ("packed", Compression::Lz4)] {
        let client = Client::default()
            .with_url(format!("http://127.0.0.1:{}", node.port))
            .with_user(USER)
            .with_password(PASSWORD)
            .with_compression(compression);
        let table = format!("rust_{table}");
        client
            .query(
                "CREATE TABLE ? (id UInt64, name String, value Nullable(Float64), tags Array(String)) ENGINE = Memory",
            )
            .bind(clickhouse::sql::Identifier(&table))
            .execute()
            .await
            .unwrap();
        let rows: Vec<Reading> = (0..200_000)
            .map(|id| Reading {
                id,
                name: format!("it's; number\n\n{id}"),
                value: (id % 2 == 0).then_some(id as f64 / 3.0),
                tags: vec!["a".to_owned(); (id % 3) as usize],
            })
            .collect();
        let mut insert = client.insert::<Reading>(&table).await.unwrap();
        for row in &rows {
            insert.write(row).await.unwrap();
        }
        insert.end().await.unwrap();
        // More than a megabyte in several chunks: the header of the format stands once.
        let query = format!("SELECT ?fields FROM {table} ORDER BY id");
        let read = client.query(&query).fetch_all::<Reading>().await.unwrap();
        assert!(read == rows, "{table}: {} rows", read.len());
        let sum: u64 = client.query("SELECT {a:UInt64} + ?").param("a", 40).bind(2).fetch_one().await.unwrap();
        assert_eq!(sum, 42);
        let error = client.query("SELECT * FROM nowhere.t").fetch_all::<u8>().await.unwrap_err().to_string();
        assert!(error.contains("Code: 81. DB::Exception") || error.contains("Code: 60. DB::Exception"), "{error}");
        let late = "SELECT throwIf(number = 3000000) FROM numbers(4000000)";
        let error = client.query(late).fetch_all::<u8>().await.unwrap_err().to_string();
        assert!(error.contains("Code: 395"), "{error}");
        client.query(&format!("DROP TABLE {table}")).execute().await.unwrap();
    }
}

/// A Python of the test's own, with clickhouse-connect in it.
fn python() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clickhouse-connect");
    let python = folder.join("bin/python");
    let has_client = |python: &Path| {
        Command::new(python).args(["-c", "import clickhouse_connect"]).output().is_ok_and(|out| out.status.success())
    };
    if !has_client(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let installed =
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "clickhouse-connect"]).output().unwrap();
        assert!(installed.status.success(), "{installed:?}");
    }
    python
}

#[test]
fn the_python_client_selects_inserts_and_sees_errors() {
    let node = &shared().one;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/client.py");
    let ran = Command::new(python())
        .arg(script)
        .arg(node.port.to_string())
        .env("LAB_USER", USER)
        .env("LAB_PASSWORD", PASSWORD)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{out}\n{err}");
    assert_eq!(out.trim(), "ok");
}
