use super::*;
use crate::adapter::redact::Redactor;

fn environment(targets: serde_json::Value, storage: serde_json::Value) -> Environment {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "clickferry/v1", "kind": "Environment", "metadata": { "name": "test" },
        "targets": targets, "storage": storage,
    }))
    .unwrap()
}

#[tokio::test]
async fn builds_every_port_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), "k\n").unwrap();
    let environment = environment(
        serde_json::json!({ "destination": {
            "hosts": [{ "url": "http://127.0.0.1:1" }, { "url": "https://127.0.0.1:2", "name": "b" }],
            "keeper": { "hosts": ["127.0.0.1:3"], "root": "/ch" },
        } }),
        serde_json::json!({ "backups": { "s3": {
            "endpoint": "http://127.0.0.1:4/", "bucket": "b", "prefix": "/p/",
            "credentials": { "access_key": { "file": "key" }, "secret_key": { "file": "key" } },
        } } }),
    );
    let ports = connect(&environment, folder.path(), &Redactor::default()).await.unwrap_or_else(|_| panic!("refused"));
    assert_eq!(ports.objects["backups"].describe(), "s3://b/p at http://127.0.0.1:4");
    assert_eq!(ports.keepers["destination"].describe(), "127.0.0.1:3/ch");
    assert_eq!(ports.state.describe(), folder.path().join(".clickferry").display().to_string());
}

#[tokio::test]
async fn tells_all_mistakes_at_once_and_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let environment = environment(
        serde_json::json!({
            "a": {
                "hosts": [{ "url": "http://me:hunter2@127.0.0.1:1" }, { "url": "http://h:1", "name": "x" }],
                "credentials": { "password": { "env": "CLICKFERRY_NOT_SET" } },
            },
            "b": { "hosts": [{ "url": "http://h:2", "name": "x" }, { "url": "ftp://h" }], "keeper": { "hosts": [] } },
        }),
        serde_json::json!({ "backups": { "s3": {
            "endpoint": "http://h", "bucket": "b",
            "credentials": { "access_key": { "file": "none" }, "secret_key": { "command": ["false"] } },
        } } }),
    );
    let Err(refusals) = connect(&environment, folder.path(), &Redactor::default()).await else { panic!("accepted") };
    let text: String = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(refusals.len(), 7, "{text}");
    for part in ["CLICKFERRY_NOT_SET", "file none", "command false", "called x", "user or a password"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
}
