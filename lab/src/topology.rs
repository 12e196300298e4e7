//! From a size to named nodes with ports.

use crate::config::{ClusterConfig, Endpoint};
use crate::error::LabError;
use crate::options::{Engine, Size};
use crate::ports::FreePorts;
use crate::state::{CLUSTER, NodeState};

/// Name of the node outside the cluster.
pub const STANDALONE: &str = "standalone";

/// The standalone node and then every replica, each with free ports.
pub fn nodes(size: &Size, ports: &mut FreePorts) -> Result<Vec<NodeState>, LabError> {
    let mut nodes = vec![node(STANDALONE.to_owned(), None, size.engine, ports)?];
    for shard in 1..=size.shards {
        for replica in 1..=size.replicas {
            let name = replica_name(size.shards, shard, replica);
            nodes.push(node(name, Some(format!("{shard:02}")), size.engine, ports)?);
        }
    }
    Ok(nodes)
}

fn replica_name(shards: u16, shard: u16, replica: u16) -> String {
    if shards == 1 { format!("replica{replica}") } else { format!("shard{shard}-replica{replica}") }
}

fn node(name: String, shard: Option<String>, engine: Engine, ports: &mut FreePorts) -> Result<NodeState, LabError> {
    let tcp_port = match engine {
        Engine::Embedded => None,
        Engine::Server => Some(ports.take()?),
    };
    let (http_port, interserver_port) = (ports.take()?, ports.take()?);
    Ok(NodeState { name, shard, http_port, interserver_port, tcp_port, process: None })
}

/// The one cluster, as the replicas know it; `port` says which port of a node its peers use.
pub fn cluster(nodes: &[NodeState], port: impl Fn(&NodeState) -> u16) -> ClusterConfig {
    let mut shards: Vec<(&str, Vec<Endpoint>)> = Vec::new();
    for node in nodes {
        let Some(shard) = node.shard.as_deref() else {
            continue;
        };
        let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: port(node) };
        match shards.iter_mut().find(|(name, _)| *name == shard) {
            Some((_, replicas)) => replicas.push(endpoint),
            None => shards.push((shard, vec![endpoint])),
        }
    }
    ClusterConfig { name: CLUSTER.to_owned(), shards: shards.into_iter().map(|(_, replicas)| replicas).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(replicas: u16, shards: u16) -> Vec<(String, Option<String>)> {
        let size = Size { replicas, shards, engine: Engine::Embedded };
        let nodes = nodes(&size, &mut FreePorts::default()).unwrap();
        nodes.into_iter().map(|node| (node.name, node.shard)).collect()
    }

    #[test]
    fn one_shard_gives_short_names() {
        let one = Some("01".to_owned());
        let expected =
            [("standalone".to_owned(), None), ("replica1".to_owned(), one.clone()), ("replica2".to_owned(), one)];
        assert_eq!(names(2, 1), expected);
    }

    #[test]
    fn several_shards_are_in_the_names_and_in_the_cluster() {
        let all = names(2, 2);
        assert_eq!(all[4], ("shard2-replica2".to_owned(), Some("02".to_owned())));
        let size = Size { replicas: 2, shards: 3, engine: Engine::Server };
        let nodes = nodes(&size, &mut FreePorts::default()).unwrap();
        assert!(nodes.iter().all(|node| node.tcp_port.is_some()));
        let cluster = cluster(&nodes, |node| node.http_port);
        assert_eq!(cluster.shards.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    }
}
