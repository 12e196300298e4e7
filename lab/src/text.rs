//! Reports for people.

use std::path::Path;

use crate::status::StatusReport;

/// The table of `status`, at most 80 columns where the folder's name allows it.
pub fn status(report: &StatusReport) -> String {
    let mut rows = vec![["NODE", "ROLE", "STATE", "PID", "ADDRESS"].map(str::to_owned)];
    let pid = |pid: Option<i32>| pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    for node in &report.nodes {
        let native = node.tcp_port.map(|port| format!(" tcp {port}")).unwrap_or_default();
        rows.push([
            node.name.clone(),
            node.shard.as_ref().map_or_else(|| node.role.clone(), |shard| format!("{} {shard}", node.role)),
            node.state.word().to_owned(),
            pid(node.pid),
            format!("{}{native}", node.url),
        ]);
    }
    let keeper = &report.keeper;
    rows.push(row("keeper", "keeper", keeper.state.word(), &pid(keeper.pid), &keeper.address));
    rows.push(row("s3", "storage", "up", &report.supervisor.to_string(), &report.s3.endpoint));
    let fault = report.s3.fault.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    format!(
        "{}\nengine       {}, cluster {}\nbucket       {}, region {}, {} requests, fault: {fault}\nenvironment  {}",
        table(&rows),
        report.engine,
        report.cluster,
        report.s3.bucket,
        report.s3.region,
        report.s3.requests,
        report.environment,
    )
}

fn row(name: &str, role: &str, state: &str, pid: &str, address: &str) -> [String; 5] {
    [name, role, state, pid, address].map(str::to_owned)
}

/// Columns as wide as their widest entry, two blanks between them.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What to do after `up`.
pub fn next_steps(report: &StatusReport, dir: &Path, detached: bool) -> String {
    let mut lines = vec![
        "next:".to_owned(),
        format!("  clickferry-lab seed tracing --dir {}", dir.display()),
        format!("  clickferry inspect -e {}", report.environment),
    ];
    if detached {
        lines.push(format!("  clickferry-lab down --dir {}", dir.display()));
    } else {
        lines.push("  Ctrl-C ends the laboratory and removes its folder".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::faults::{FaultKind, S3Fault};
    use crate::status::{Health, KeeperStatus, NodeStatus, S3Status};

    fn report() -> StatusReport {
        let node = |name: &str, shard: Option<&str>, pid, state| NodeStatus {
            name: name.to_owned(),
            role: if shard.is_some() { "replica" } else { "standalone" }.to_owned(),
            shard: shard.map(str::to_owned),
            url: "http://127.0.0.1:18130".to_owned(),
            tcp_port: Some(19_000),
            pid,
            state,
        };
        StatusReport {
            version: 1,
            dir: "/d".to_owned(),
            environment: "/d/environment.yaml".to_owned(),
            engine: "server".to_owned(),
            cluster: "lab".to_owned(),
            supervisor: 4_194_303,
            nodes: vec![
                node("standalone", None, Some(4_194_301), Health::Up),
                node("shard1-replica1", Some("01"), None, Health::Down),
            ],
            keeper: KeeperStatus { address: "127.0.0.1:12181".to_owned(), pid: Some(7), state: Health::Paused },
            s3: S3Status {
                endpoint: "http://127.0.0.1:18999".to_owned(),
                bucket: "backups".to_owned(),
                region: "us-east-1".to_owned(),
                requests: 3,
                fault: Some(S3Fault::new(FaultKind::Status(503)).times(2)),
            },
        }
    }

    #[test]
    fn the_table_fits_a_terminal_and_says_everything() {
        let text = status(&report());
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        for expected in ["paused", "down", "fault: status 503, 2 left", "/d/environment.yaml", "tcp 19000"] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }
}
