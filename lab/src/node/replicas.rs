//! `/replicas_status`: whether the replicas of this node keep up.

use std::fmt::Write as _;

use super::Node;
use super::engine::EngineError;

/// Lag in seconds that counts as too much; a server allows five minutes.
const TOO_LATE: u64 = 300;

/// The lag of the tables that are too late, `None` when all keep up.
pub fn status(node: &Node) -> Result<Option<String>, EngineError> {
    let mut lease = node.engine.lease(false)?;
    let rows = lease.connection.rows("SELECT database, table, absolute_delay FROM system.replicas");
    node.engine.give_back(lease, false);
    let mut text = String::new();
    for row in rows? {
        if let [database, table, delay] = row.as_slice()
            && delay.parse::<u64>().is_ok_and(|delay| delay >= TOO_LATE)
        {
            let _ = writeln!(text, "{database}.{table}:\tAbsolute delay: {delay}.");
        }
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}
