//! Nodes of the embedded engine: this very binary, run as `node --config FILE`.

use std::path::PathBuf;

use crate::config::NodeConfig;
use crate::error::LabError;
use crate::files;
use crate::layout::Layout;
use crate::state::{LabState, NodeState, READER, USER};
use crate::supervisor::recipe::{Readiness, Recipe};
use crate::topology;

/// The running program, also after its file was replaced by a newer build.
const SELF: &str = "/proc/self/exe";

/// Writes the configuration of a node and says how its process is started.
pub fn recipe(
    layout: &Layout,
    library: &std::path::Path,
    state: &LabState,
    node: &NodeState,
    password: &str,
) -> Result<Recipe, LabError> {
    let dir = layout.node(&node.name);
    files::private_dir(&dir)?;
    let config = NodeConfig {
        name: node.name.clone(),
        dir: dir.clone(),
        library: library.to_path_buf(),
        http_port: node.http_port,
        interserver_port: node.interserver_port,
        shard: node.shard.clone(),
        // The standalone node knows nothing of the cluster, as before a migration.
        keeper: node.shard.iter().map(|_| format!("127.0.0.1:{}", state.keeper.port)).collect(),
        clusters: node.shard.iter().map(|_| topology::cluster(&state.nodes, |peer| peer.http_port)).collect(),
        user: USER.to_owned(),
        password: password.to_owned(),
        readers: vec![READER.to_owned()],
        s3_endpoint: format!("http://127.0.0.1:{}", state.s3_port),
    };
    let path = dir.join("node.json");
    let text =
        serde_json::to_vec_pretty(&config).map_err(|e| LabError::io("write", &path)(std::io::Error::other(e)))?;
    files::write_private(&path, &text)?;
    Ok(Recipe {
        name: node.name.clone(),
        program: PathBuf::from(SELF),
        arguments: vec!["node".into(), "--config".into(), path.into()],
        environment: Vec::new(),
        log: dir.join("output.log"),
        dir,
        readiness: Readiness::Line,
    })
}
