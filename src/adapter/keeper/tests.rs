//! Against a real ZooKeeper, which speaks the same protocol as ClickHouse Keeper.

use std::process::{Child, Stdio};
use std::time::Instant;

use zookeeper_client::{Acls, CreateMode};

use super::*;

struct Ensemble {
    address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ensemble {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("zoo.cfg");
        let text = format!(
            "tickTime=500\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\nmaxSessionTimeout=60000\n",
            folder.path().join("data").display()
        );
        std::fs::write(&config, text).unwrap();
        let process = std::process::Command::new("java")
            .args(["-cp", "/usr/share/java/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need java and ZooKeeper in /usr/share/java (Debian: zookeeper)");
        let address = format!("127.0.0.1:{port}");
        let mut ensemble = Self { address, process, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect(&ensemble.address).await.is_err() {
            if let Some(status) = ensemble.process.try_wait().unwrap() {
                panic!("ZooKeeper ended with {status}; is /usr/share/java/zookeeper.jar there?");
            }
            assert!(start.elapsed() < Duration::from_secs(60), "ZooKeeper did not start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensemble
    }

    fn keeper(&self, root: Option<&str>) -> ZooKeeper {
        ZooKeeper::new(vec![self.address.clone()], root)
    }

    async fn make(&self, nodes: &[(&str, &[u8])]) -> Client {
        let client = Client::connect(&self.address).await.unwrap();
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for (path, value) in nodes {
            client.create(path, value, &options).await.unwrap();
        }
        client
    }
}

fn holder(run: &str) -> LockHolder {
    LockHolder {
        run: run.to_owned(),
        owner: "me@here".to_owned(),
        pid: 7,
        since: "2026-01-01T00:00:00Z".to_owned(),
        machine: "m".to_owned(),
    }
}

/// Waits for a lock to be known as lost.
async fn lost(guard: &dyn LockGuard, limit: Duration) -> bool {
    let start = Instant::now();
    while start.elapsed() < limit {
        if !guard.is_held() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_deletes() {
    let ensemble = Ensemble::start().await;
    let nodes: [(&str, &[u8]); 5] =
        [("/ch", b""), ("/ch/b", b"1"), ("/ch/a", b"\xff\x00"), ("/ch/a/y", b""), ("/ch/a/x", b"2")];
    let client = ensemble.make(&nodes).await;
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create("/ch/b/is_active", b"", &ephemeral).await.unwrap();

    let keeper = ensemble.keeper(None);
    let node = keeper.get("/ch/a/").await.unwrap().unwrap();
    assert_eq!((node.path.as_str(), node.value.as_slice()), ("/ch/a", b"\xff\x00".as_slice()));
    assert_eq!((node.stat.version, node.stat.children, node.stat.ephemeral), (0, 2, false));
    assert!(keeper.get("/none").await.unwrap().is_none());
    assert_eq!(keeper.children("/ch").await.unwrap().unwrap(), ["a", "b"]);
    assert!(keeper.children("/none").await.unwrap().is_none());
    let paths = |nodes: Vec<KeeperNode>| nodes.into_iter().map(|node| node.path).collect::<Vec<_>>();
    let tree = keeper.subtree("/ch").await.unwrap();
    assert!(tree.last().unwrap().stat.ephemeral);
    assert_eq!(paths(tree), ["/ch", "/ch/a", "/ch/b", "/ch/a/x", "/ch/a/y", "/ch/b/is_active"]);
    assert!(keeper.subtree("/none").await.unwrap().is_empty());
    assert!(paths(keeper.subtree("/").await.unwrap()).contains(&"/ch/a/x".to_owned()));

    let without = keeper.subtree_without("/ch", &|path| path.ends_with("/a")).await.unwrap();
    assert_eq!(paths(without), ["/ch", "/ch/b", "/ch/b/is_active"]);
    let children = keeper.children_of(&["/ch/a", "/none", "/ch/", "/ch/a/x"].map(str::to_owned)).await.unwrap();
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(children, [names(&["x", "y"]), None, names(&["a", "b"]), names(&[])]);

    // The same nodes below a root, as the servers see them.
    let rooted = ensemble.keeper(Some("/ch/"));
    assert_eq!(paths(rooted.subtree("/a").await.unwrap()), ["/a", "/a/x", "/a/y"]);
    assert_eq!(rooted.children("/").await.unwrap().unwrap(), ["a", "b"]);
    assert_eq!(rooted.describe(), format!("{}/ch", ensemble.address));
    assert!(ensemble.keeper(Some("/nowhere")).get("/a").await.unwrap().is_none());

    assert!(matches!(keeper.delete("/ch/a", 0).await, Err(KeeperError::Changed { .. })));
    client.set_data("/ch/a/x", b"3", None).await.unwrap();
    assert!(matches!(keeper.delete("/ch/a/x", 0).await, Err(KeeperError::Changed { .. })));
    assert!(keeper.delete("/ch/a/x", -1).await.is_err());
    keeper.delete("/ch/a/x", 1).await.unwrap();
    assert!(matches!(keeper.delete("/ch/a/x", 1).await, Err(KeeperError::NoNode { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_subtree_is_read_while_it_shrinks() {
    let ensemble = Ensemble::start().await;
    let client = ensemble.make(&[("/t", b"")]).await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let names: Vec<_> = (0..2000).map(|number| format!("/t/{number:04}")).collect();
    futures_util::future::join_all(names.iter().map(|name| client.create(name, b"v", &options))).await;
    let keeper = ensemble.keeper(None);
    assert_eq!(keeper.subtree("/t").await.unwrap().len(), 2001);
    let deleting = async {
        futures_util::future::join_all(names[500..].iter().map(|name| client.delete(name, None))).await;
    };
    let (found, ()) = tokio::join!(keeper.subtree("/t"), deleting);
    assert!(found.unwrap().len() >= 501);
    assert_eq!(keeper.subtree("/t").await.unwrap().len(), 501);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_engine_holds_the_lock() {
    let ensemble = Ensemble::start().await;
    let client = ensemble.make(&[]).await;
    let (one, two) = (ensemble.keeper(None), ensemble.keeper(None));
    let path = "/clickferry/locks/destination";
    let guard = one.lock(path, &holder("first")).await.unwrap();
    assert!(guard.is_held());
    let Err(KeeperError::Locked { holder: found }) = two.lock(path, &holder("second")).await else { panic!() };
    assert_eq!(found, holder("first"));
    guard.release().await;
    assert!(!guard.is_held());
    let second = two.lock(path, &holder("second")).await.unwrap();
    drop(guard);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(second.is_held());

    // Dropped without a release: the session is closed, and the node goes with it.
    drop(second);
    let start = Instant::now();
    while client.check_stat(path).await.unwrap().is_some() {
        assert!(start.elapsed() < Duration::from_secs(5), "the session was not closed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Somebody deletes the node: the lock is lost although the session lives.
    let third = one.lock(path, &holder("third")).await.unwrap();
    client.delete(path, None).await.unwrap();
    assert!(lost(&*third, Duration::from_secs(4)).await);
    let fourth = two.lock(path, &holder("fourth")).await.unwrap();
    third.release().await;
    assert!(fourth.is_held() && client.check_stat(path).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_lost_with_its_server() {
    let mut ensemble = Ensemble::start().await;
    let keeper = ensemble.keeper(None);
    let guard = keeper.lock("/lock", &holder("first")).await.unwrap();
    assert!(guard.is_held());
    let _ = ensemble.process.kill();
    let _ = ensemble.process.wait();
    assert!(lost(&*guard, Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_not_believed_while_its_server_hangs() {
    let ensemble = Ensemble::start().await;
    let keeper = ensemble.keeper(None);
    let guard = keeper.lock("/lock", &holder("first")).await.unwrap();
    let process = i32::try_from(ensemble.process.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let noticed = lost(&*guard, SESSION_TIMEOUT).await;
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    assert!(noticed, "the lock was believed longer than the servers keep it");
}

#[tokio::test]
async fn an_unreachable_ensemble_is_named_at_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let keeper = ZooKeeper::new(vec![closed.clone(), "no-such-host.invalid:2181".to_owned()], None);
    let start = Instant::now();
    let error = keeper.get("/").await.unwrap_err();
    assert!(matches!(error, KeeperError::Unreachable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&closed) && text.contains("refused"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}
