//! Keeper, asked and changed directly.

use clickferry_lab::Lab;
use zookeeper_client::{Acls, Client, CreateMode};

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
