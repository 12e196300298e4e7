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

    let without = keeper.subtrees_without(&["/ch".to_owned()], &|path| path.ends_with("/a")).await.unwrap();
    assert_eq!(paths(without), ["/ch", "/ch/b", "/ch/b/is_active"]);
    let roots = ["/ch/b", "/none", "/ch/a/"].map(str::to_owned);
    let several = keeper.subtrees_without(&roots, &|path| path.ends_with("/y") || path.ends_with("/a")).await.unwrap();
    assert_eq!(paths(several), ["/ch/b", "/ch/a", "/ch/b/is_active", "/ch/a/x"]);
    let mut children = Vec::new();
    let asked = ["/ch/a", "/none", "/ch/", "/ch/a/x"].map(str::to_owned);
    keeper.children_of(&asked, &mut |at, names| children.push((at, owned(names)))).await.unwrap();
    let names = |names: &[&str]| owned(Some(names));
    assert_eq!(children, [(0, names(&["x", "y"])), (1, None), (2, names(&["a", "b"])), (3, names(&[]))]);

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

fn owned(names: Option<&[&str]>) -> Option<Vec<String>> {
    names.map(|names| names.iter().map(|name| (*name).to_owned()).collect())
}

/// Passes connections on and cuts each of the first `cuts` after `limit` bytes of answers.
async fn cutting_proxy(to: String, cuts: usize, limit: u64) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        for number in 0.. {
            let Ok((mut from, _)) = listener.accept().await else { return };
            let to = to.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                let (mut requests, mut back) = from.split();
                let (answers, mut on) = server.split();
                let limit = if number < cuts { limit } else { u64::MAX };
                let mut answers = tokio::io::AsyncReadExt::take(answers, limit);
                tokio::select! {
                    _ = tokio::io::copy(&mut requests, &mut on) => {}
                    _ = tokio::io::copy(&mut answers, &mut back) => {}
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_are_read_as_few_are() {
    let ensemble = Ensemble::start().await;
    let client = ensemble.make(&[("/t", b"")]).await;
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let names: Vec<_> = (0..700).map(|number| format!("/t/{number:03}")).collect();
    let made = names.iter().map(|name| async { client.create(name, name.as_bytes(), &options).await.map(drop) });
    futures_util::future::try_join_all(made).await.unwrap();
    let (client, options) = (&client, &options);
    let below = names.iter().step_by(2).map(|name| async move {
        client.create(&format!("{name}/b"), b"\xff\x00", options).await?;
        client.set_data(&format!("{name}/b"), b"2", None).await?;
        client.create(&format!("{name}/a"), b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all())).await.map(drop)
    });
    futures_util::future::try_join_all(below).await.unwrap();

    // Cut in the middle of the values, then of the lists of children.
    for (cuts, limit) in [(0, 0), (1, 30_000), (2, 61_000)] {
        let address = cutting_proxy(ensemble.address.clone(), cuts, limit).await;
        let keeper = ZooKeeper::new(vec![address], Some("/t"));
        let tree = keeper.subtree("/").await.unwrap();
        assert_eq!(tree.len(), 1 + 700 + 700);
        assert!(tree.iter().skip(1).take(700).map(|node| format!("/t{}", node.path)).eq(names.iter().cloned()));
        for node in tree.iter().step_by(97) {
            assert_eq!(keeper.get(&node.path).await.unwrap().as_ref(), Some(node));
        }
        let asked: Vec<String> = (0..900).map(|number| format!("/{number:03}")).collect();
        let mut listed = Vec::new();
        keeper.children_of(&asked, &mut |at, names| listed.push((at, owned(names)))).await.unwrap();
        for (number, (at, found)) in listed.iter().enumerate() {
            let expected = match number {
                700.. => None,
                even if even % 2 == 0 => owned(Some(&["a", "b"])),
                _ => Some(Vec::new()),
            };
            assert_eq!((*at, found), (number, &expected));
        }
        assert_eq!(listed.len(), 900);
    }
    // Where no session for many nodes gets an answer, the client is asked.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for hosts in [vec![dead.clone(), ensemble.address.clone()], vec![ensemble.address.clone(), dead]] {
        assert_eq!(ZooKeeper::new(hosts, Some("/t")).subtree("/").await.unwrap().len(), 1401);
    }
    let useless = cutting_proxy(ensemble.address.clone(), 1, 41).await;
    let keeper = ZooKeeper::new(vec![useless], None);
    assert_eq!(keeper.trees(&names, &|_| false).await.unwrap().len(), 1400);
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
