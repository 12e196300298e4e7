//! Keeper, asked and changed directly.

use clickferry_lab::Lab;
use zookeeper_client::{Acls, Client, CreateMode};

fn with<T>(lab: &Lab, work: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Client::connect(&lab.keeper_address()).await.unwrap()).await })
}

/// Makes a node and everything above it; an ephemeral one lives until `while_it_lives` has ended.
pub fn make(lab: &Lab, path: &str, value: &str) {
    with(lab, async |client| {
        let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
        client.mkdir(path.rsplit_once('/').unwrap().0, &persistent).await.unwrap();
        client.create(path, value.as_bytes(), &persistent).await.unwrap();
    });
}

/// Whether a node is there.
pub fn exists(lab: &Lab, path: &str) -> bool {
    with(lab, async |client| client.check_stat(path).await.unwrap().is_some())
}

/// Deletes a node, as the end of its session would.
pub fn remove(lab: &Lab, path: &str) {
    with(lab, async |client| client.delete(path, None).await.unwrap());
}
