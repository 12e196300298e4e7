//! Nodes of the second engine: a real ClickHouse server found on the machine, from 18.16 on.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::LabError;
use crate::files;
use crate::install::ServerBinary;
use crate::layout::Layout;
use crate::state::{LabState, NodeState, READER, USER};
use crate::supervisor::recipe::{Readiness, Recipe};
use crate::topology;

/// Writes the configuration of a server and says how its process is started.
pub fn recipe(
    layout: &Layout,
    binary: &ServerBinary,
    state: &LabState,
    node: &NodeState,
    password: &str,
) -> Result<Recipe, LabError> {
    let dir = layout.node(&node.name);
    for folder in ["data", "tmp", "user_files", "format_schemas", "backups"] {
        files::private_dir(&dir.join(folder))?;
    }
    let (config, users) = (dir.join("config.xml"), dir.join("users.xml"));
    files::write_private(&config, configuration(&dir, state, node, password).as_bytes())?;
    files::write_private(&users, users_file(password).as_bytes())?;
    let mut arguments = Vec::new();
    if binary.multi_call {
        arguments.push("server".into());
    }
    arguments.push(format!("--config-file={}", config.display()).into());
    Ok(Recipe {
        name: node.name.clone(),
        program: binary.path.clone(),
        arguments,
        // Newer servers put a watchdog between us and them; the laboratory is the watchdog.
        environment: vec![("CLICKHOUSE_WATCHDOG_ENABLE", "0")],
        log: dir.join("output.log"),
        dir,
        readiness: Readiness::Server { http: node.http_port, keeper: node.shard.as_ref().map(|_| state.keeper.port) },
    })
}

/// Only the digest of the password is written for the server's own users.
fn users_file(password: &str) -> String {
    let digest = files::hex(&Sha256::digest(password));
    format!(
        "<yandex>\n  <profiles><default><max_memory_usage>4000000000</max_memory_usage></default>\
         <{READER}><readonly>2</readonly></{READER}></profiles>\n  \
         <users>{}{}</users>\n  \
         <quotas><default/></quotas>\n</yandex>\n",
        user(USER, "default", &digest),
        user(READER, READER, &digest)
    )
}

fn user(name: &str, profile: &str, digest: &str) -> String {
    format!(
        "<{name}><password_sha256_hex>{digest}</password_sha256_hex><networks><ip>127.0.0.1</ip></networks>\
         <profile>{profile}</profile><quota>default</quota></{name}>"
    )
}

/// The root element `yandex` is the one that old servers know; new ones accept it.
fn configuration(dir: &Path, state: &LabState, node: &NodeState, password: &str) -> String {
    let at = |name: &str| escape(&dir.join(name).display().to_string());
    // To the console, which is `output.log`: one place to look when a server does not start.
    let mut text = "<yandex>\n  <logger><level>information</level><console>1</console></logger>\n".to_owned();
    let entries = [
        ("http_port", node.http_port.to_string()),
        ("tcp_port", node.tcp_port.unwrap_or_default().to_string()),
        ("interserver_http_port", node.interserver_port.to_string()),
        ("interserver_http_host", "127.0.0.1".to_owned()),
        ("listen_host", "127.0.0.1".to_owned()),
        ("path", at("data/")),
        ("tmp_path", at("tmp/")),
        ("user_files_path", at("user_files/")),
        ("format_schema_path", at("format_schemas/")),
        ("users_config", at("users.xml")),
        ("default_profile", "default".to_owned()),
        ("default_database", "default".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("mark_cache_size", "67108864".to_owned()),
        ("uncompressed_cache_size", "0".to_owned()),
        ("max_concurrent_queries", "100".to_owned()),
        ("keep_alive_timeout", "10".to_owned()),
        ("mlock_executable", "false".to_owned()),
    ];
    for (name, value) in entries {
        let _ = writeln!(text, "  <{name}>{value}</{name}>");
    }
    let _ = writeln!(text, "  <backups><allowed_path>{}</allowed_path></backups>", at("backups/"));
    if let Some(shard) = &node.shard {
        text.push_str(&cluster_part(state, node, shard, password));
    }
    text.push_str("</yandex>\n");
    text
}

/// Keeper, cluster, macros and the queue of ON CLUSTER; a standalone server has none of them.
fn cluster_part(state: &LabState, node: &NodeState, shard: &str, password: &str) -> String {
    let mut text = format!(
        "  <zookeeper><node><host>127.0.0.1</host><port>{}</port></node>\
         <session_timeout_ms>5000</session_timeout_ms></zookeeper>\n  \
         <macros><shard>{shard}</shard><replica>{}</replica></macros>\n  \
         <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>\n  <remote_servers>\n",
        state.keeper.port, node.name
    );
    // Peers talk the native protocol.
    let cluster = topology::cluster(&state.nodes, |peer| peer.tcp_port.unwrap_or_default());
    let _ = writeln!(text, "    <{}>", cluster.name);
    for replicas in &cluster.shards {
        text.push_str("      <shard><internal_replication>true</internal_replication>\n");
        for peer in replicas {
            let _ = writeln!(
                text,
                "        <replica><host>{}</host><port>{}</port><user>{USER}</user><password>{}</password></replica>",
                peer.host,
                peer.port,
                escape(password)
            );
        }
        text.push_str("      </shard>\n");
    }
    let _ = writeln!(text, "    </{}>\n  </remote_servers>", cluster.name);
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Engine, Size};
    use crate::ports::FreePorts;
    use crate::process::ProcessId;
    use crate::state::KeeperState;

    fn state() -> LabState {
        let size = Size { replicas: 2, shards: 1, engine: Engine::Server };
        LabState {
            version: 1,
            engine: Engine::Server,
            supervisor: ProcessId { pid: 1, started: 1 },
            nodes: topology::nodes(&size, &mut FreePorts::default()).unwrap(),
            keeper: KeeperState { port: 2181, process: None },
            s3_port: 9,
        }
    }

    #[test]
    fn a_standalone_server_knows_no_cluster() {
        let state = state();
        let text = configuration(Path::new("/a&b"), &state, &state.nodes[0], "pw");
        assert!(text.contains("<path>/a&amp;b/data/</path>"), "{text}");
        assert!(!text.contains("zookeeper") && !text.contains("macros") && !text.contains("pw"));
    }

    #[test]
    fn a_replica_has_macros_keeper_and_both_peers() {
        let state = state();
        let text = configuration(Path::new("/d"), &state, &state.nodes[2], "p<w");
        assert!(text.contains("<shard>01</shard><replica>replica2</replica>"), "{text}");
        assert_eq!(text.matches("<password>p&lt;w</password>").count(), 2);
        assert!(!users_file("hush").contains("hush"));
    }
}
