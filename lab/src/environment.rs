//! The environment file that `clickferry -e` takes as it is.

use std::fmt::Write as _;

use crate::error::LabError;
use crate::files;
use crate::layout::Layout;
use crate::state::{BUCKET, CLUSTER, LabState, REGION, USER};

/// Writes `environment.yaml`.
pub fn write(layout: &Layout, state: &LabState) -> Result<(), LabError> {
    files::write_private(&layout.environment(), render(layout, state).as_bytes())
}

/// A double-quoted YAML scalar; JSON's are the same.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn file_reference(path: &std::path::Path) -> String {
    format!("{{ file: {} }}", quoted(&path.display().to_string()))
}

fn render(layout: &Layout, state: &LabState) -> String {
    let credentials = format!("{{ user: {USER}, password: {} }}", file_reference(&layout.password()));
    let keys = format!(
        "{{ access_key: {}, secret_key: {} }}",
        file_reference(&layout.access_key()),
        file_reference(&layout.secret_key())
    );
    let mut text = String::from(
        "# A laboratory on this machine, written by `clickferry-lab up`. It is gone after `clickferry-lab down`.\n\
         apiVersion: clickferry/v1\nkind: Environment\nmetadata: { name: lab }\ntargets:\n",
    );
    let keeper = quoted(&format!("127.0.0.1:{}", state.keeper.port));
    // Each group of servers stands under two roles: for runbooks that move something and for those that do not.
    for role in ["source", "server"] {
        let _ = writeln!(text, "  {role}:\n    hosts:\n{}    credentials: {credentials}", hosts(state, false));
    }
    for role in ["destination", "cluster"] {
        let _ = writeln!(
            text,
            "  {role}:\n    cluster: {CLUSTER}\n    hosts:\n{}    keeper: {{ hosts: [{keeper}] }}\n    credentials: {credentials}",
            hosts(state, true)
        );
    }
    let endpoint = quoted(&format!("http://127.0.0.1:{}", state.s3_port));
    let directory = quoted(&layout.run_state().display().to_string());
    let _ = write!(
        text,
        "storage:\n  backups:\n    s3:\n      endpoint: {endpoint}\n      bucket: {BUCKET}\n      region: {REGION}\n      \
         credentials: {keys}\nstate: {{ directory: {directory} }}\n"
    );
    text
}

fn hosts(state: &LabState, replicas: bool) -> String {
    let mut text = String::new();
    for node in state.nodes.iter().filter(|node| node.shard.is_some() == replicas) {
        let (name, url) = (quoted(&node.name), quoted(&node.url()));
        let _ = match &node.shard {
            Some(shard) => writeln!(text, "      - {{ name: {name}, url: {url}, shard: {} }}", quoted(shard)),
            None => writeln!(text, "      - {{ name: {name}, url: {url} }}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Engine, Size};
    use crate::ports::FreePorts;
    use crate::process::ProcessId;
    use crate::state::KeeperState;
    use crate::topology;

    #[test]
    fn the_file_names_roles_and_references_but_no_secret() {
        let size = Size { replicas: 2, shards: 1, engine: Engine::Embedded };
        let mut nodes = topology::nodes(&size, &mut FreePorts::default()).unwrap();
        for (index, node) in nodes.iter_mut().enumerate() {
            node.http_port = 18130 + u16::try_from(index).unwrap();
        }
        let state = LabState {
            version: 1,
            engine: Engine::Embedded,
            supervisor: ProcessId { pid: 1, started: 1 },
            nodes,
            keeper: KeeperState { port: 12181, process: None },
            s3_port: 18999,
        };
        let text = render(&Layout::new("/tmp/a lab"), &state);
        for expected in [
            "  source:\n    hosts:\n      - { name: \"standalone\", url: \"http://127.0.0.1:18130\" }\n",
            "      - { name: \"replica2\", url: \"http://127.0.0.1:18132\", shard: \"01\" }\n",
            "    keeper: { hosts: [\"127.0.0.1:12181\"] }\n",
            "password: { file: \"/tmp/a lab/secrets/clickhouse-password\" }",
            "      endpoint: \"http://127.0.0.1:18999\"\n",
            "state: { directory: \"/tmp/a lab/state\" }\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }
}
