//! The report of `status`.

use crate::layout::Layout;
use crate::state::{BUCKET, CLUSTER, LabState, REGION};
use crate::status::{Health, KeeperStatus, NodeStatus, REPORT_VERSION, S3Status, StatusReport};

/// The report as far as the record and the kernel tell it.
pub fn report_from_record(layout: &Layout, state: &LabState) -> StatusReport {
    let nodes = state.nodes.iter().map(|node| NodeStatus {
        name: node.name.clone(),
        role: if node.shard.is_some() { "replica" } else { "standalone" }.to_owned(),
        shard: node.shard.clone(),
        url: node.url(),
        tcp_port: node.tcp_port,
        pid: node.process.map(|process| process.pid),
        state: Health::of(node.process),
    });
    StatusReport {
        version: REPORT_VERSION,
        dir: layout.dir().display().to_string(),
        environment: layout.environment().display().to_string(),
        engine: state.engine.word().to_owned(),
        cluster: CLUSTER.to_owned(),
        supervisor: state.supervisor.pid,
        nodes: nodes.collect(),
        keeper: KeeperStatus {
            address: format!("127.0.0.1:{}", state.keeper.port),
            pid: state.keeper.process.map(|process| process.pid),
            state: Health::of(state.keeper.process),
        },
        s3: S3Status {
            endpoint: format!("http://127.0.0.1:{}", state.s3_port),
            bucket: BUCKET.to_owned(),
            region: REGION.to_owned(),
            requests: 0,
            fault: None,
        },
    }
}
