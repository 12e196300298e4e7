use std::time::Instant;

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use super::*;

struct Store {
    endpoint: String,
    folder: tempfile::TempDir,
}

impl Store {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("backups")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { endpoint, folder }
    }

    fn write(&self, key: &str, content: &[u8]) {
        let path = self.folder.path().join("backups").join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn bucket(&self, name: &str, prefix: &str, secret: &str) -> Bucket {
        bucket(&self.endpoint, name, prefix, secret)
    }
}

fn bucket(endpoint: &str, name: &str, prefix: &str, secret: &str) -> Bucket {
    Bucket::new(BucketConfig {
        endpoint: endpoint.to_owned(),
        bucket: name.to_owned(),
        region: "us-east-1".to_owned(),
        prefix: prefix.to_owned(),
        access_key: SecretString::from("key"),
        secret_key: SecretString::from(secret),
    })
}

#[tokio::test]
async fn lists_and_reads_below_the_prefix() {
    let store = Store::start().await;
    for key in ["p/a/1/.backup", "p/a/1/data/x.bin", "p/a/2/.lock", "p/top", "other/a"] {
        store.write(key, key.as_bytes());
    }
    let bucket = store.bucket("backups", "/p/", "secret");
    bucket.check_access().await.unwrap();
    let all = bucket.list("a/").await.unwrap();
    let keys: Vec<_> = all.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a/1/.backup", "a/1/data/x.bin", "a/2/.lock"]);
    assert_eq!(all[0].size, "p/a/1/.backup".len() as u64);
    assert_eq!(bucket.list_level("a/").await.unwrap(), ["1", "2"]);
    assert_eq!(bucket.list_level("a/1/").await.unwrap(), [".backup", "data"]);
    assert_eq!(bucket.list_level("").await.unwrap(), ["a", "top"]);
    assert_eq!(bucket.get("a/1/.backup").await.unwrap(), "p/a/1/.backup");
    assert!(bucket.list("nothing/").await.unwrap().is_empty());
    let whole = store.bucket("backups", "", "secret");
    assert_eq!(whole.list("").await.unwrap().len(), 5);
}

#[tokio::test]
async fn reads_all_pages() {
    let store = Store::start().await;
    for number in 0..2500 {
        store.write(&format!("many/{number:05}"), b"x");
    }
    let bucket = store.bucket("backups", "", "secret");
    let keys: Vec<_> = bucket.list("many/").await.unwrap().into_iter().map(|object| object.key).collect();
    let expected: Vec<_> = (0..2500).map(|number| format!("many/{number:05}")).collect();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn tells_what_is_missing_or_denied() {
    let store = Store::start().await;
    let error = store.bucket("backups", "p", "secret").get("none").await.unwrap_err();
    assert!(matches!(&error, ObjectError::NotFound { location } if location == "s3://backups/p/none"), "{error}");
    let error = store.bucket("nobody", "", "secret").list("").await.unwrap_err();
    assert!(matches!(error, ObjectError::NoBucket { .. }), "{error}");
    let error = store.bucket("nobody", "", "secret").check_access().await.unwrap_err();
    assert!(matches!(error, ObjectError::NoBucket { .. }), "{error}");
    let error = store.bucket("backups", "", "wrong-secret").check_access().await.unwrap_err();
    assert!(matches!(error, ObjectError::Denied { .. }), "{error}");
    assert!(!error.to_string().contains("wrong-secret"));
}

#[tokio::test]
async fn an_unreachable_store_is_told_soon() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for address in [closed.to_string(), mute.local_addr().unwrap().to_string()] {
        let start = Instant::now();
        let error = bucket(&format!("http://{address}"), "b", "", "s").list("").await.unwrap_err();
        assert!(matches!(error, ObjectError::Unavailable { .. }), "{error}");
        assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
        assert!(error.to_string().contains(&address), "{error}");
    }
}
