//! The engine's `config.xml`, and the database `default`.
//!
//! libchdb would make `default` an Overlay database. With an empty `default_database` it makes none, and a
//! `default` described in the metadata folder is attached as what it is: an ordinary Atomic database that can be
//! dropped and created again. A server creates a missing `default` at its start too.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use crate::config::NodeConfig;

/// Settings that keep a node of a few tables light, and quick where a server takes its time.
const SMALL_AND_QUICK: &str = "
  <default_database></default_database>
  <enable_system_unfreeze>true</enable_system_unfreeze>
  <background_pool_size>4</background_pool_size>
  <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
  <background_fetches_pool_size>4</background_fetches_pool_size>
  <background_move_pool_size>1</background_move_pool_size>
  <background_common_pool_size>4</background_common_pool_size>
  <background_schedule_pool_size>8</background_schedule_pool_size>
  <background_buffer_flush_schedule_pool_size>1</background_buffer_flush_schedule_pool_size>
  <background_message_broker_schedule_pool_size>1</background_message_broker_schedule_pool_size>
  <background_distributed_schedule_pool_size>1</background_distributed_schedule_pool_size>
  <max_concurrent_queries>1000</max_concurrent_queries>
  <mark_cache_size>67108864</mark_cache_size>
  <index_mark_cache_size>16777216</index_mark_cache_size>
  <primary_index_cache_size>67108864</primary_index_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  <compiled_expression_cache_size>16777216</compiled_expression_cache_size>
  <merge_tree>
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
  </merge_tree>
";

/// The text of `config.xml`.
pub fn render(config: &NodeConfig) -> String {
    let mut xml = String::from("<clickhouse>\n");
    element(&mut xml, "display_name", &config.name);
    xml.push_str(SMALL_AND_QUICK.trim_start_matches('\n'));
    let backups = config.dir.join("backups");
    let _ =
        writeln!(xml, "  <backups><allowed_path>{}/</allowed_path></backups>", escape(&backups.display().to_string()));
    xml.push_str(&storage(config));
    xml.push_str("  <macros>\n");
    if let Some(shard) = &config.shard {
        element(&mut xml, "shard", shard);
        element(&mut xml, "replica", &config.name);
    }
    xml.push_str("  </macros>\n");
    if !config.keeper.is_empty() {
        xml.push_str("  <zookeeper><session_timeout_ms>10000</session_timeout_ms>\n");
        for server in &config.keeper {
            let (host, port) = server.rsplit_once(':').unwrap_or((server, "2181"));
            let _ = writeln!(xml, "    <node><host>{}</host><port>{}</port></node>", escape(host), escape(port));
        }
        xml.push_str("  </zookeeper>\n");
    }
    xml.push_str("  <remote_servers>\n");
    for cluster in &config.clusters {
        let _ = writeln!(xml, "    <{}>", cluster.name);
        for shard in &cluster.shards {
            xml.push_str("      <shard><internal_replication>true</internal_replication>\n");
            for replica in shard {
                let host = escape(&replica.host);
                let _ = writeln!(xml, "        <replica><host>{host}</host><port>{}</port></replica>", replica.port);
            }
            xml.push_str("      </shard>\n");
        }
        let _ = writeln!(xml, "    </{}>", cluster.name);
    }
    xml.push_str("  </remote_servers>\n</clickhouse>\n");
    xml
}

/// A second disk, and policies over it and over both, as servers with cold storage have them.
fn storage(config: &NodeConfig) -> String {
    let path = escape(&config.dir.join("cold").display().to_string());
    format!(
        "  <storage_configuration>
    <disks><cold><path>{path}/</path></cold></disks>
    <policies>
      <cold><volumes><main><disk>cold</disk></main></volumes></cold>
      <tiered><volumes><hot><disk>default</disk></hot><cold><disk>cold</disk></cold></volumes></tiered>
    </policies>
  </storage_configuration>
"
    )
}

/// Describes an Atomic database `default` in the metadata folder, unless one is described there.
pub fn ensure_default_database(data: &Path, uuid: &str) -> io::Result<()> {
    let metadata = data.join("metadata");
    std::fs::create_dir_all(&metadata)?;
    let file = metadata.join("default.sql");
    if file.exists() {
        return Ok(());
    }
    std::fs::write(file, format!("ATTACH DATABASE _ UUID '{uuid}'\nENGINE = Atomic\n"))
}

fn element(xml: &mut String, name: &str, value: &str) {
    let _ = writeln!(xml, "  <{name}>{}</{name}>", escape(value));
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClusterConfig, Endpoint};

    fn config() -> NodeConfig {
        NodeConfig {
            name: "s1r1".into(),
            dir: "/tmp/a&b".into(),
            library: "/lib".into(),
            http_port: 1,
            interserver_port: 2,
            shard: Some("01".into()),
            keeper: vec!["127.0.0.1:2181".into()],
            clusters: vec![ClusterConfig {
                name: "lab".into(),
                shards: vec![vec![Endpoint { host: "127.0.0.1".into(), port: 8123 }]],
            }],
            user: "default".into(),
            password: String::new(),
            readers: Vec::new(),
            s3_endpoint: String::new(),
        }
    }

    #[test]
    fn names_macros_keeper_and_clusters() {
        let xml = render(&config());
        for part in [
            "<display_name>s1r1</display_name>",
            "<shard>01</shard>",
            "<replica>s1r1</replica>",
            "<node><host>127.0.0.1</host><port>2181</port></node>",
            "<replica><host>127.0.0.1</host><port>8123</port></replica>",
            "/tmp/a&amp;b/backups/",
            "<cold><path>/tmp/a&amp;b/cold/</path></cold>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
    }

    #[test]
    fn a_standalone_node_has_neither_macros_nor_keeper() {
        let xml = render(&NodeConfig { shard: None, keeper: Vec::new(), ..config() });
        assert!(!xml.contains("<replica>s1r1") && !xml.contains("<zookeeper>"), "{xml}");
    }
}
