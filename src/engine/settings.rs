//! Settings of a server that bear on a migration.

use std::collections::BTreeMap;

use super::observe::Asker;
use super::ports::SqlError;

/// One statement: what the server was started with, and what the user's own session has. Of those that change what a CREATE
/// becomes, or how long a statement may run, only what somebody changed.
const QUERY: &str = "SELECT 'server' AS place, name, toString(value) AS value FROM system.server_settings WHERE name IN ('max_table_size_to_drop', 'max_partition_size_to_drop', 'default_replica_path', 'default_replica_name') UNION ALL SELECT 'session' AS place, name, toString(value) AS value FROM system.settings WHERE name IN ('readonly', 'allow_experimental_analyzer') OR (changed AND name IN ('max_table_size_to_drop', 'compatibility', 'data_type_default_nullable', 'default_table_engine', 'flatten_nested', 'insert_deduplicate', 'insert_quorum', 'max_execution_time'))";

/// Values by name, those of the session before those of the server; empty where the version does not tell.
pub(super) async fn settings(asker: &Asker<'_>) -> Result<BTreeMap<String, String>, SqlError> {
    let answer = asker.optional(QUERY).await?;
    let mut settings = BTreeMap::new();
    for place in ["server", "session"] {
        let rows = (0..answer.rows.len()).filter(|row| answer.text(*row, "place").as_deref() == Some(place));
        settings.extend(rows.filter_map(|row| Some((answer.text(row, "name")?, answer.text(row, "value")?))));
    }
    Ok(settings)
}
