//! Keeper, asked and changed directly.

use clickferry_lab::Lab;
use zookeeper_client::{Acls, Client, CreateMode};

use super::lab::files_below;

fn with<T>(lab: &Lab, work: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Client::connect(&lab.keeper_address()).await.unwrap()).await })
}

/// The nodes directly below a path.
pub fn children(lab: &Lab, path: &str) -> Vec<String> {
    with(lab, async |client| client.list_children(path).await.unwrap())
}

/// Whether a node is there.
pub fn exists(lab: &Lab, path: &str) -> bool {
    with(lab, async |client| client.check_stat(path).await.unwrap().is_some())
}

/// All nodes at and below a path; none where it does not exist.
pub fn subtree(lab: &Lab, path: &str) -> Vec<String> {
    with(lab, async |client| {
        let mut found = Vec::new();
        let mut open = vec![path.to_owned()];
        while let Some(path) = open.pop() {
            let Ok(children) = client.list_children(&path).await else { continue };
            open.extend(children.into_iter().map(|child| format!("{}/{child}", path.trim_end_matches('/'))));
            found.push(path);
        }
        found
    })
}

/// Makes persistent nodes and those above them.
pub fn plant(lab: &Lab, nodes: &[(&str, &str)]) {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    with(lab, async |client| {
        for (path, value) in nodes {
            let ends = path.match_indices('/').skip(1).map(|(at, _)| at);
            for end in ends {
                // What is there already is enough.
                let _ = client.create(&path[..end], b"", &options).await;
            }
            client.create(path, value.as_bytes(), &options).await.unwrap();
        }
    });
}

/// One change of Keeper, from the log that it writes ahead.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// Its place among all changes.
    pub number: i64,
    /// Session that asked for it.
    pub session: i64,
    /// `create`, `delete`, or the number of another kind.
    pub kind: String,
    /// Node that it is about; empty where it is about none, or several.
    pub path: String,
}

impl Transaction {
    pub fn begins_session(&self) -> bool {
        self.kind == "-10"
    }

    /// Keeper writes down what it refuses too; nothing changes by it.
    pub fn was_refused(&self) -> bool {
        self.kind == "-1"
    }

    pub fn ends_session(&self) -> bool {
        self.kind == "-11"
    }
}

/// Every change of Keeper so far, in order.
pub fn transactions(lab: &Lab) -> Vec<Transaction> {
    let mut all: Vec<Transaction> = files_below(&lab.dir().join("keeper/data"))
        .iter()
        .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with("log."))
        .flat_map(|file| read_log(&std::fs::read(file).unwrap()))
        .collect();
    all.sort_by_key(|transaction| transaction.number);
    all
}

/// ZooKeeper's log: a head of 16 bytes, then for each change a checksum, a length, the change, and `B`. The rest of the
/// file is zeros, written ahead.
fn read_log(bytes: &[u8]) -> Vec<Transaction> {
    assert_eq!(&bytes[..4], b"ZKLG");
    let (mut found, mut at) = (Vec::new(), 16);
    while at + 12 <= bytes.len() {
        let length = number(bytes, at + 8, 4) as usize;
        let Some(entry) = bytes.get(at + 12..at + 12 + length).filter(|_| length > 0) else { break };
        found.push(transaction(entry));
        at += 12 + length + 1;
    }
    found
}

fn transaction(entry: &[u8]) -> Transaction {
    // Session, number of the request in it, number of the change, time, kind.
    let kind = number(entry, 28, 4);
    let name = match kind {
        1 | 15 | 19 | 21 => "create".to_owned(),
        2 => "delete".to_owned(),
        other => other.to_string(),
    };
    let path = if ["create", "delete"].contains(&name.as_str()) {
        let length = number(entry, 32, 4) as usize;
        String::from_utf8(entry[36..36 + length].to_vec()).unwrap()
    } else {
        String::new()
    };
    Transaction { number: number(entry, 12, 8), session: number(entry, 0, 8), kind: name, path }
}

/// A signed number of so many bytes, the highest first.
fn number(bytes: &[u8], at: usize, size: usize) -> i64 {
    let bytes = &bytes[at..at + size];
    let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    bytes.iter().fold(start, |number, byte| (number << 8) | i64::from(*byte))
}

/// Makes a node, and those above it that are missing.
pub fn create(lab: &Lab, path: &str, value: &str) {
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    let parent = path.rsplit_once('/').unwrap().0;
    with(lab, async |client| {
        client.mkdir(parent, &options).await.unwrap();
        client.create(path, value.as_bytes(), &options).await.unwrap();
    });
}

/// Changes what a node holds.
pub fn set(lab: &Lab, path: &str, value: &str) {
    with(lab, async |client| client.set_data(path, value.as_bytes(), None).await.unwrap());
}

/// Removes a node without children.
pub fn delete(lab: &Lab, path: &str) {
    with(lab, async |client| client.delete(path, None).await.unwrap());
}

/// Paths of all nodes at and below a path; none where it does not exist.
pub fn below(lab: &Lab, path: &str) -> Vec<String> {
    with(lab, async |client| {
        let (mut found, mut left) = (Vec::new(), vec![path.to_owned()]);
        while let Some(path) = left.pop() {
            let Ok(children) = client.list_children(&path).await else { continue };
            left.extend(children.into_iter().map(|name| format!("{path}/{name}")));
            found.push(path);
        }
        found.sort();
        found
    })
}

/// The nodes below a path, sorted, so many levels deep; none where it does not exist.
pub fn tree(lab: &Lab, path: &str, levels: usize) -> Vec<String> {
    with(lab, async |client| {
        let (mut found, mut level) = (Vec::new(), vec![path.to_owned()]);
        for _ in 0..levels {
            let mut next = Vec::new();
            for parent in &level {
                let children = client.list_children(parent).await.unwrap_or_default();
                next.extend(children.into_iter().map(|child| format!("{parent}/{child}")));
            }
            found.extend(next.iter().cloned());
            level = next;
        }
        found.sort();
        found
    })
}

/// Every node at and below a path with its value.
pub fn values(lab: &Lab, path: &str) -> Vec<(String, Vec<u8>)> {
    with(lab, async |client| {
        let (mut open, mut all) = (vec![path.to_owned()], Vec::new());
        while let Some(path) = open.pop() {
            let Ok((value, _)) = client.get_data(&path).await else { continue };
            open.extend(client.list_children(&path).await.unwrap().into_iter().map(|name| format!("{path}/{name}")));
            all.push((path, value));
        }
        all.sort();
        all
    })
}
