//! Keeper, asked and changed directly.

use clickferry_lab::Lab;
use zookeeper_client::{Acls, Client, CreateMode, Error};

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

/// Makes nodes without a value, parents first.
pub fn create(lab: &Lab, paths: &[String]) {
    with(lab, async |client| {
        let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
        for path in paths {
            match client.create(path, b"", &options).await {
                Ok(_) | Err(Error::NodeExists) => {}
                Err(error) => panic!("{path}: {error}"),
            }
        }
    });
}
