//! Keeper, asked and changed directly.

use clickferry_lab::Lab;
use zookeeper_client::Client;

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

/// Every node at and below a path with its value.
pub fn subtree(lab: &Lab, path: &str) -> Vec<(String, Vec<u8>)> {
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
